"""The command `chaland provider`."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.opening import fail, wait_for_signal

if TYPE_CHECKING:
    from engine.provider.provider import Provider


def provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8010,
    apns_port: Annotated[int, typer.Option(help="Port of Apple's service, which speaks HTTP/2.")] = 8011,
    callback_url: Annotated[
        str, typer.Option(help="Where the engine listens, for reports and shoppers' texts.")
    ] = "http://127.0.0.1:8000",
    public_url: Annotated[
        str,
        typer.Option(help="The engine's CHALAND_PUBLIC_URL, where it differs: signatures are over it."),
    ] = "",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=CHANCE",
            help="May be repeated. latency, 429, 500, hang, drop (taken, but the connection breaks); of callbacks: "
            "duplicate, shuffle, missing.",
        ),
    ] = None,
    dead: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER=CODE", help="Texts to this number end undelivered. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same faults.")] = 0,
    latency_seconds: Annotated[float, typer.Option(help="How late a late answer is.")] = 1.0,
    account_sid: Annotated[
        str, typer.Option(envvar="CHALAND_TWILIO_ACCOUNT_SID", help="The account, as the engine has it.")
    ] = "",
    auth_token: Annotated[
        str,
        typer.Option(envvar="CHALAND_TWILIO_AUTH_TOKEN", help="Its token, which also signs callbacks."),
    ] = "",
) -> None:
    """Pretend to be Twilio, Firebase, Apple's push and browsers on this machine, with a phone at / that shows what arrives and can answer.

    Nothing is sent to anybody. Twilio's magic numbers are refused as by Twilio itself; of Firebase, tokens that
    begin with unregistered, mismatch, invalid or busy. Calls of its own:
    GET /control (counts of what arrived), PUT /control/faults {"429": 0.1, "seed": 7},
    POST /control/texts {"from", "to", "body"}, GET /control/fcm-account (a service account), GET /control/apns-key, GET /control/webhook (a URL and its secret),
    POST /control/browsers {"name"} (a subscription to Web Push), DELETE /control/messages.

    Example:  chaland provider

    Example:  chaland provider --port 8010 --fault 429=0.1 --fault drop=0.05 --seed 7 --dead +33639980009=30003
    """
    from engine.provider.fault import InvalidPlan, plan_from_json
    from engine.provider.provider import Provider
    from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN

    try:
        plan = plan_from_json(
            {name: float(chance) for name, chance in _pairs(fault)}
            | {"seed": seed, "latency_seconds": latency_seconds}
        )
        dead_numbers = {number: int(code) for number, code in _pairs(dead)}
    except InvalidPlan as error:
        fail(f"--fault {error}")
    except ValueError:
        fail("--fault is KIND=CHANCE, such as 429=0.1; --dead is NUMBER=CODE, such as +33639980009=30003")
    account, token = account_sid or ACCOUNT_SID, auth_token.partition(",")[0].strip() or AUTH_TOKEN
    pretended = Provider(
        host=host,
        port=port,
        account=account,
        token=token,
        public_url=public_url or callback_url,
        callback_url=callback_url,
        plan=plan,
        dead=dead_numbers,
        delivers=True,
        apns_port=apns_port,
    )
    with _listening(pretended) as opened:
        typer.echo(f"the pretend phone: {opened.url}  (Ctrl-C stops it). For the engine:")
        typer.echo(f"# Apple's service: {opened.apns_url}")
        for name, value in opened.engine_settings.items():
            typer.echo(f"export CHALAND_{name.upper()}={value}")
        if not auth_token:
            typer.echo(f"export CHALAND_TWILIO_AUTH_TOKEN={token}")
        wait_for_signal()


def _pairs(given: list[str] | None) -> list[tuple[str, str]]:
    """``NAME=VALUE`` each. Raises ValueError."""
    split = [each.rpartition("=") for each in given or ()]
    if not all(name for name, _, _ in split):
        raise ValueError
    return [(name, value) for name, _, value in split]


@contextlib.contextmanager
def demo_phone(host: str, port: int, token: str) -> Iterator["Provider"]:
    """The provider of the demo, which the engine reaches by `engine_settings`."""
    from engine.provider.provider import Provider

    first = token.partition(",")[0].strip()
    with _listening(Provider(host=host, port=port, token=first, delivers=True)) as opened:
        yield opened


@contextlib.contextmanager
def _listening(provider: "Provider") -> Iterator["Provider"]:
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(provider)
        except OSError as error:
            fail(f"the pretend phone cannot listen: {error.strerror}; give it another port")
        yield opened
