"""The command `chaland`."""

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from config import DEMO_TWILIO_TOKEN, InvalidSettings, Settings, load_settings

app = typer.Typer(
    help="Chaland hears where consenting shoppers are, knows the moment that matters, and sends one lawful offer, "
    "or nothing and says why.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
geofences_app = typer.Typer(help="Bring geofences in, or take them out, as GeoJSON.", no_args_is_help=True)
beacons_app = typer.Typer(help="Bring beacons in, or take them out, as a JSON list.", no_args_is_help=True)
rules_app = typer.Typer(
    help="The rules of countries: when, how often, from whom and with which words.", no_args_is_help=True
)
campaigns_app = typer.Typer(help="Try campaigns out.", no_args_is_help=True)
consent_app = typer.Typer(help="The consent ledger, and what shoppers write.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
vault_app = typer.Typer(help="The keys that seal what is held of people.", no_args_is_help=True)
app.add_typer(geofences_app, name="geofences")
app.add_typer(beacons_app, name="beacons")
app.add_typer(rules_app, name="rules")
app.add_typer(campaigns_app, name="campaigns")
app.add_typer(consent_app, name="consent")
app.add_typer(keys_app, name="keys")
app.add_typer(vault_app, name="vault")

KEY_FILE = "development.key"
NOISY_LOGGERS = ("httpx2", "apscheduler", "alembic", "twilio")
"""Only their warnings are logged: their other lines hold addresses and phone numbers."""

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")]


def main() -> None:
    """Run the command; a mistake in the settings or in a file is told in words, without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in NOISY_LOGGERS:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    app()


@app.command()
def serve(
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="What this process does: all, api, engine, sender, scheduler, console. May be repeated."
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Run the engine.

    Examples:  chaland serve    |    chaland serve --role api --host 0.0.0.0    |    chaland serve --role engine
    """
    from engine.app import Role
    from engine.runtime import settle_in

    try:
        roles = {Role(each) for each in role or ["all"]}
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role") from None
    with _opened() as engine:
        _greet(engine)
        settle_in()
        engine.start(roles)
        if roles & {Role.ALL, Role.API, Role.CONSOLE}:
            _serve_http(engine, host, port, with_console=bool(roles & {Role.ALL, Role.CONSOLE}))
        else:
            typer.echo(f"Chaland works as {', '.join(sorted(roles))}  (Ctrl-C stops it)")
            _wait_for_signal()


@app.command()
def demo(
    seconds: Annotated[int | None, typer.Option(help="Stop after so long, and print what happened.")] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    phone_port: Annotated[
        int | None, typer.Option(help="Port of the pretend phone; 8010, or a free one if --port is 0.")
    ] = None,
) -> None:
    """Run everything in one process with a sample town, and open the door at http://127.0.0.1:8000 .

    Simulated shoppers, all of them consenting to location, walk and drive about. Nobody real is messaged: their texts
    arrive on a pretend phone at http://127.0.0.1:8010, from which one can text STOP, unless CHALAND_SMS_CHANNEL is set.

    Examples:  chaland demo    |    chaland demo --seconds 30 --port 0
    """
    from engine.app import Role
    from engine.demo import run_town
    from engine.provider_commands import demo_phone
    from engine.runtime import settle_in

    token = os.environ.get("CHALAND_TWILIO_AUTH_TOKEN", DEMO_TWILIO_TOKEN)
    rules = None if "CHALAND_COUNTRY_RULES" in os.environ else "off"  # its shoppers are awake at any hour
    phone_port = (8010 if port else 0) if phone_port is None else phone_port
    with contextlib.ExitStack() as stack:
        phone = (
            None
            if "CHALAND_SMS_CHANNEL" in os.environ
            else stack.enter_context(demo_phone(host, phone_port, token, _fail))
        )
        through = phone.engine_settings if phone else {}
        engine = stack.enter_context(_opened(twilio_auth_token=token, country_rules=rules, **through))
        key = _greet(engine)
        settle_in()
        engine.start({Role.ALL})
        run_town(engine, key, host, port, seconds, phone)


@app.command()
def replay(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed, by received_at.")
    ],
    sightings: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Beacon sightings.")
    ] = None,
    beacons: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Where the beacons hang.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Events as JSON lines; standard output if not given.")
    ] = None,
) -> None:
    """Run the engine's detection over recorded files, in arrival order, never looking ahead.

    Example:  chaland replay --geofences shops.geojson --pings pings.jsonl.gz --out events.jsonl

    Example:  chaland replay --geofences shops.geojson --pings p.jsonl --sightings s.jsonl --beacons beacons.json
    """
    from engine.recorded import Unreadable
    from engine.replay import Recording
    from engine.replay import replay as run_replay
    from geofences.errors import GeofenceError

    if bool(sightings) != bool(beacons):
        _fail("--sightings and --beacons go together: what was heard, and where it hangs")
    try:
        with out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target:
            counts = run_replay(Recording(geofences, pings, sightings, beacons), target)
    except (Unreadable, GeofenceError) as error:
        _fail(str(error))
    typer.echo(", ".join(f"{value} {name}" for name, value in counts.items()), err=True)


@app.command()
def ablation(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed.")],
    truth: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What happened, as JSON lines.")],
    sightings: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    beacons: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Score detection on a labelled recording: whole, and without each of its parts.

    Example:  chaland ablation --geofences shops.geojson --pings pings.jsonl.gz --truth truth.jsonl.gz
    """
    from engine import labelled
    from engine.recorded import Unreadable
    from engine.replay import Recording
    from geofences.errors import GeofenceError

    try:
        happened = labelled.read_truth(truth)
        typer.echo(labelled.ablation_head())
        for part, scores in labelled.ablation(Recording(geofences, pings, sightings, beacons), happened):
            typer.echo(labelled.ablation_line(part, scores))
    except (Unreadable, GeofenceError) as error:
        _fail(str(error))


@app.command()
def nearness(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed.")],
    tracks: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="True positions, CSV: device, t, lat, lon; .gz allowed."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What happened; tells nothing of nearby.")
    ] = None,
    sightings: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    beacons: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Score nearby, approach and cross where it is known when phones were inside geofences.

    Example:  chaland nearness --geofences shops.geojson --pings pings.jsonl.gz --tracks tracks.csv.gz
    """
    from engine import labelled, nearness_report
    from engine.recorded import Unreadable
    from engine.replay import Recording, open_world
    from geofences.errors import GeofenceError

    recording = Recording(geofences, pings, sightings, beacons)
    try:
        if tracks and not truth:
            stays = nearness_report.read_tracks(tracks, open_world(recording).index)
        elif truth and not tracks:
            stays = nearness_report.stays_of(labelled.read_truth(truth))
        else:
            _fail("one of --tracks and --truth is needed")
        typer.echo(nearness_report.table(nearness_report.measure(recording, stays)))
    except (Unreadable, GeofenceError) as error:
        _fail(str(error))


@app.command()
def ranging(
    sensors: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="CSV: mac or id, x, y, z.")],
    calibrate: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="Readings to fit the radios on; may be repeated."),
    ],
    readings: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV: ts, x, y, perhaps z, and sensor and rssi, or rssi_NAME for each sensor; .gz allowed.",
        ),
    ],
    height: Annotated[float, typer.Option(help="Metres, of a radio whose readings have no z.")] = 1.0,
) -> None:
    """Compare told distances with measured ones: the ranging filter against single hearings.

    Example:  chaland ranging --sensors sensors.csv --calibrate walk-1.csv --readings walk-2.csv
    """
    from engine import ranging_report
    from engine.recorded import Unreadable

    try:
        fitted = [each for file in calibrate for each in ranging_report.read_readings(sensors, file, height)]
        radios = ranging_report.calibrated(fitted)
        scored = ranging_report.read_readings(sensors, readings, height)
        plain, filtered = ranging_report.compare(scored, radios)
    except (Unreadable, ValueError) as error:
        _fail(str(error))
    typer.echo(ranging_report.table(plain, filtered))


@app.command("fit-jams")
def fit_jams(
    towns: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folders with fences.geojson, pings.jsonl.gz, sightings.jsonl.gz, beacons.json, truth.jsonl.gz.",
        ),
    ],
) -> None:
    """Fit the weights of the jam model to labelled recordings and print them, as engine/traffic/weights.py has them.

    Each recording is taken whole, and once more as if only some of its phones were there, so that the model also learns
    what a jam looks like where few phones tell of it.

    Example:  chaland fit-jams recordings/harbour recordings/old-town
    """
    from engine import labelled
    from engine.replay import Recording
    from engine.traffic.fit import THIN_SHARE, fit

    found = []
    for town in towns:
        recording = Recording(
            town / "fences.geojson",
            town / "pings.jsonl.gz",
            town / "sightings.jsonl.gz",
            town / "beacons.json",
        )
        truth = labelled.read_truth(town / "truth.jsonl.gz")
        found += [labelled.examples(recording, truth, share) for share in (1.0, THIN_SHARE)]
    for feature, weight in fit(found).items():
        typer.echo(f'    "{feature}": {weight},')


@app.command()
def story(files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Play text stories against a fresh engine; print each expectation met or missed; exit 1 on a miss.

    Example:  chaland story tests/stories/first_light.story
    """
    from engine.stage import Stage
    from engine.story import FIRST_DAY, StoryError, report, tell

    logging.getLogger().setLevel(logging.WARNING)
    missed = 0
    for file in files:
        typer.echo(f"{file}")
        try:
            with Stage(datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)) as stage:
                results = tell(file.read_text(encoding="utf-8"), stage)
        except StoryError as error:
            _fail(f"{file}: {error}")
        for line in report(results):
            typer.echo(f"  {line}")
        missed += sum(not each.met for each in results)
    raise typer.Exit(1 if missed else 0)


@app.command()
def bench(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="End within 50 seconds.")] = False,  # noqa: FBT002  # a flag
    postgis: Annotated[
        str, typer.Option(metavar="URL", help="A PostGIS to compare with; needs temporary tables only.")
    ] = "",
    tile38: Annotated[str, typer.Option(metavar="HOST:PORT", help="A Tile38 to compare with.")] = "",
    growth: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Measure up to a million geofences and ten million phones besides, and draw pictures into "
            "this folder. Takes half an hour, and 16 GiB of memory.",
        ),
    ] = None,
) -> None:
    """Measure what a ping costs, end to end and stage by stage, its latency, memory, and peers on the same work.

    Everything runs on data of its own in a temporary folder.

    Example:  chaland bench --quick --json figures.json

    Example:  chaland bench --postgis postgresql://localhost/bench --tile38 localhost:9851

    Example:  chaland bench --growth docs
    """
    import signal

    from tqdm import tqdm

    from engine.bench import growth as growing
    from engine.bench.plan import FULL, QUICK
    from engine.bench.report import table
    from engine.bench.run import Peers, measure, steps

    logging.getLogger().setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    plan = QUICK if quick else FULL
    more = growing.STEPS if growth else 0
    with tqdm(total=steps(plan) + more, unit=" steps", disable=not sys.stderr.isatty()) as progress:

        def say(what: str) -> None:
            progress.set_description(what)
            progress.update()

        figures = measure(plan, Peers(postgis, tile38), say)
        if growth:
            grown = growing.grow(say)
            growing.write(growth, grown, figures["scaling"])
            figures["growth"] = grown.table()
    typer.echo(table(figures))
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


@app.command()
def check() -> None:
    """Tell what is configured, and whether the stores answer; exit 1 if one does not."""
    from engine.check import check_stores

    settings = _settings()
    fine = True
    for line, good in check_stores(settings):
        typer.echo(f"{'ok   ' if good else 'FAILS'}  {line}")
        fine &= good
    raise typer.Exit(0 if fine else 1)


@geofences_app.command("import")
def import_geofences(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON FeatureCollection, .gz allowed.")
    ],
) -> None:
    """Bring geofences in, all or none; every feature that is wrong is named.

    Example:  chaland geofences import shops.geojson
    """
    from engine.transfer import import_file
    from geofences.errors import GeofenceError

    with _opened() as engine:
        try:
            count = import_file(engine.records, file, engine.now(), engine.sensitive.faults)
        except GeofenceError as error:
            _fail_with_fields(error)
    typer.echo(f"{count} geofences imported")


@geofences_app.command("export")
def export_geofences(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Take every geofence out as one GeoJSON FeatureCollection.

    Example:  chaland geofences export shops.geojson
    """
    from engine.transfer import export_to

    with (
        _opened() as engine,
        out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target,
    ):
        count = export_to(engine.records, target)
    typer.echo(f"{count} geofences exported", err=True)


@beacons_app.command("import")
def import_beacons(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="JSON list of beacons, .gz allowed.")
    ],
) -> None:
    """Bring beacons in, all or none; every one that is wrong is named. Without an `id`, its radio ids are one.

    Example:  chaland beacons import beacons.json
    """
    from engine.transfer import import_beacons as import_file
    from geofences.errors import GeofenceError

    with _opened() as engine:
        try:
            count = import_file(engine.records, file, engine.now())
        except GeofenceError as error:
            _fail_with_fields(error)
    typer.echo(f"{count} beacons imported")


@beacons_app.command("export")
def export_beacons(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Take every beacon out as one JSON list.

    Example:  chaland beacons export beacons.json
    """
    from engine.transfer import export_beacons as export_to

    with (
        _opened() as engine,
        out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target,
    ):
        count = export_to(engine.records, target)
    typer.echo(f"{count} beacons exported", err=True)


@beacons_app.command("health")
def beacons_health() -> None:
    """List the beacons with which something is wrong, and why; exit 1 if there are any.

    Example:  chaland beacons health
    """
    with _opened() as engine:
        unhealthy = engine.unhealthy_beacons()
    for beacon, _, findings in unhealthy:
        for finding in findings:
            typer.echo(f"{beacon.id}  {beacon.geofence}  {finding.verdict}: {finding.reason}")
    typer.echo(f"{len(unhealthy)} beacons need a look", err=True)
    raise typer.Exit(1 if unhealthy else 0)


@consent_app.command()
def classify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines with `text`.")],
) -> None:
    """Tell what each text a shopper wrote means: opt_out, opt_in, help, ambiguous or other.

    Example:  chaland consent classify texts.jsonl
    """
    from consent.keywords import classify as verdict_of

    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            text = fields["text"]
        except (ValueError, KeyError, TypeError):
            _fail(f"{file}, line {number}: a JSON object with the field `text` is needed")
        typer.echo(json.dumps(fields | {"verdict": verdict_of(str(text))}, ensure_ascii=False))


@consent_app.command()
def breaches(
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Check this UTC day now; else those not checked yet."),
    ] = None,
) -> None:
    """Check that every refusal was heeded: nothing went, or waits, to who had said no; exit 1 if something did.

    Example:  chaland consent breaches --day 2026-11-24
    """
    from campaigns.delivery import breach_store

    with _opened() as engine:
        if day is None:
            engine.check_refusals()
            with engine.records.reads.connect() as connection:
                known = breach_store.checks(connection, limit=31)
        else:
            with engine.records.writes.begin() as connection:
                known = [breach_store.check_day(connection, day.date(), engine.now())]
    for check in known:
        typer.echo(
            f"{check.day}  {check.withdrawals} refusals, {check.messages} messages, {len(check.breaches)} breaches"
        )
        for each in check.findings:
            when = each.started_at.isoformat() if each.started_at else "not yet"
            typer.echo(
                f"  {each.kind}: message {each.message}, started {when}, refused {each.refused_at.isoformat()}"
            )
    raise typer.Exit(1 if any(check.breaches for check in known) else 0)


@rules_app.command("list")
def list_rules(
    country: Annotated[str, typer.Option(help="ISO 3166 code; all if not given.")] = "",
) -> None:
    """List every version of every rule, who says so, and when to review it; exit 1 if a review is overdue.

    Example:  chaland rules list --country FR
    """
    from consent.countries.pack import all_rules, overdue
    from engine.clock import wall_clock

    late = {rule.name for rule in overdue(wall_clock().date())}
    for rule in all_rules():
        if rule.area.startswith(country.upper()):
            mark = "OVERDUE" if rule.name in late else "review"
            typer.echo(
                f"{rule.name:28} {rule.area:6} {rule.basis:9} {mark} by {rule.review_by}  {rule.source}"
            )
    raise typer.Exit(1 if late else 0)


@rules_app.command("explain")
def explain_rules(
    store: Annotated[str, typer.Option(help="The id of a geofence.")],
    to: Annotated[str, typer.Option(help="The phone number; left out: a shopper without one.")] = "",
    at: Annotated[datetime | None, typer.Option(help="Local time of the store; now if not given.")] = None,
    channel: Annotated[str, typer.Option(help="sms or push.")] = "sms",
) -> None:
    """Tell whether an offer may go to a number from a store at an instant; if not, why not, and when next.

    Exit 1 if it may not.

    Example:  chaland rules explain --store bakery --to +33639980001 --at 2026-12-26T10:00:00
    """
    from zoneinfo import ZoneInfo

    from consent.countries.rule import Reach
    from consent.entry import Channel
    from consent.errors import InvalidConsent
    from consent.phone import normalise, origin_of
    from engine.explanation import explain
    from geofences import store as geofence_store

    if channel not in list(Channel):
        raise typer.BadParameter(f"one of {', '.join(Channel)}", param_hint="--channel")
    with _opened() as engine:
        with engine.records.reads.connect() as connection:
            geofence = geofence_store.get(connection, store)
        if geofence is None:
            _fail(f"no geofence has the id {store!r}; `chaland geofences export` lists them")
        try:
            origin = origin_of(normalise(to, engine.settings.default_region, "--to")) if to else None
        except InvalidConsent as error:
            _fail(str(error))
        instant = at.replace(tzinfo=at.tzinfo or ZoneInfo(geofence.timezone)) if at else engine.now()
        lines, allowed = explain(
            geofence, origin, instant, Channel(channel), Reach(engine.settings.sending_hours)
        )
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if allowed else 1)


@consent_app.command("verify")
def verify_ledger(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A checkpoint kept elsewhere. May be repeated."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Public keys; the log's own if not given."),
    ] = None,
) -> None:
    """Prove the whole consent ledger: every entry, the tree, every checkpoint; exit 1 and name the first that is bad.

    Example:  chaland consent verify

    Example:  chaland consent verify --checkpoint auditor/2026-11.checkpoint --keys auditor/chaland.keys
    """
    from engine.ledger_audit import verify

    settings = _settings()
    ring = _ring(settings, keys)
    notes = [file.read_text(encoding="utf-8") for file in checkpoint or ()]
    lines, fine = verify(settings, ring, notes)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if fine else 1)


@consent_app.command("checkpoint")
def take_checkpoint(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Sign what the consent ledger is now. Give it to somebody else: with it, `verify` proves that nothing was cut back.

    Example:  chaland consent checkpoint auditor/2026-11.checkpoint
    """
    with _opened() as engine:
        note = engine.take_checkpoint()
    if out:
        out.write_text(note, encoding="utf-8")
    else:
        typer.echo(note, nl=False)


@consent_app.command("proof")
def prove_consent(
    subject: Annotated[str, typer.Argument(help="The subject's id.")],
    purpose: Annotated[str, typer.Argument(help="location, marketing, profiling or cart.")],
    channel: Annotated[str | None, typer.Option(help="sms or push, for marketing.")] = None,
    at: Annotated[datetime | None, typer.Option(help="The instant, in UTC; now if not given.")] = None,
) -> None:
    """Print what stood at an instant as JSON: the entry that decided, the text, and the proof that the log holds it.

    Example:  chaland consent proof ana marketing --channel sms --at 2026-11-23T08:00:00
    """
    from engine.ledger_audit import UnknownWord, prove

    with _opened() as engine:
        asked = at.replace(tzinfo=UTC) if at else engine.now()
        try:
            found = prove(engine.records, engine.ring, subject, purpose, channel, asked, engine.now())
        except UnknownWord as error:
            _fail(str(error))
    typer.echo(json.dumps(found, ensure_ascii=False, indent=1))


@consent_app.command("check-receipt")
def check_receipt(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A receipt, or a proof, as JSON.")
    ],
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Public keys; the log's own if not given."),
    ] = None,
) -> None:
    """Check a shopper's receipt offline, by the log's public keys alone; exit 1 if it proves nothing.

    Example:  chaland consent check-receipt receipt.json --keys chaland.keys
    """
    from consent.receipt import InvalidReceipt, check

    try:
        proven = check(file.read_bytes(), _ring(_settings(), keys))
    except InvalidReceipt as error:
        typer.echo(f"proves nothing: {error}")
        raise typer.Exit(1) from None
    for name, value in sorted(proven.told().items()):
        typer.echo(f"{name:14}{value}")
    typer.echo(f"proven: it stood in the log when that was signed at {proven.by:%Y-%m-%d %H:%M} UTC")


@consent_app.command("keys")
def ledger_keys() -> None:
    """Print the public keys of the consent ledger, the newest first: to be published, and given to who audits it.

    Example:  chaland consent keys > chaland.keys
    """
    for key in _ring(_settings(), None).public:
        typer.echo(str(key))


@consent_app.command("rotate-key")
def rotate_ledger_key() -> None:
    """Sign with a new key from now on; what was signed before can still be checked. Then restart what runs."""
    from consent.signing import InvalidKey
    from engine.ledger_key import rotate

    settings = _settings()
    try:
        ring = rotate(settings)
    except InvalidKey as error:
        _fail(str(error))
    typer.echo(str(ring.public[0]))


@consent_app.command("reviews")
def list_reviews() -> None:
    """List the texts that were taken for an opt-out in doubt: JSON lines, with the words that are in doubt.

    Example:  chaland consent reviews
    """
    from consent import review

    with _opened() as engine, engine.records.reads.connect() as connection:
        for text in review.waiting(connection, limit=1000):
            shown = {"sid": text.sid, "received_at": text.received_at.isoformat(), "language": text.language}
            typer.echo(
                json.dumps(shown | {"subjects": text.subjects, "words": text.words}, ensure_ascii=False)
            )


@consent_app.command("settle")
def settle_review(
    sid: Annotated[str, typer.Argument(help="The text's id, as `consent reviews` shows it.")],
    decision: Annotated[str, typer.Argument(help="confirm (it was an opt-out) or reinstate (it was none).")],
) -> None:
    """Say whether a text in doubt was an opt-out; if it was none, what was granted before stands again.

    Example:  chaland consent settle SM0123 confirm
    """
    from consent import review
    from consent.errors import ConsentError

    try:
        said = review.Decision(decision)
    except ValueError:
        raise typer.BadParameter("one of confirm, reinstate", param_hint="DECISION") from None
    with _opened() as engine:
        try:
            with engine.records.writes.begin() as connection:
                again = review.settle(connection, sid, said, "command line", engine.now())
        except ConsentError as error:
            _fail(error.detail)
    typer.echo(f"{sid} is settled; {len(again)} grants stand again")


def _add_privacy_commands() -> None:
    from engine.privacy_commands import add_privacy_commands

    add_privacy_commands(consent_app, _opened, _fail)


def _add_campaign_commands() -> None:
    from engine.campaign_commands import add_campaign_commands

    add_campaign_commands(campaigns_app, _opened, _fail)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[
        list[str], typer.Option(help="ingest, marketing, privacy, till, operations. May be repeated.")
    ],
) -> None:
    """Make a key and show it once.

    Example:  chaland keys create "shop app" --scope ingest
    """
    from engine.keys import Scope

    try:
        scopes = [Scope(each) for each in scope]
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(Scope)}", param_hint="--scope") from None
    with _opened() as engine:
        key, secret = engine.keys.create(name, scopes)
    typer.echo(f"{key.id}  {secret}")
    typer.echo("this is the only time the key is shown", err=True)


@keys_app.command("list")
def list_keys() -> None:
    """List keys, never their secrets."""
    with _opened() as engine:
        for key in engine.keys.all():
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "live"
            typer.echo(f"{key.id}  {state:24}  {' '.join(sorted(key.scopes)):40}  {key.name}")


@keys_app.command("secret")
def key_secret(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """Print what an app's server signs its calls with, in place of showing the key.

    Example:  chaland keys secret 4f1c2a9b
    """
    from engine.link_key import link_keys
    from engine.signed_call import secret_text

    with _opened() as engine:
        if engine.keys.live(key_id) is None:
            _fail(f"there is no live key {key_id}; `chaland keys list` shows them")
        typer.echo(secret_text(link_keys(engine.settings)[0], key_id))


@keys_app.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """End a key at once."""
    with _opened() as engine:
        if not engine.keys.revoke(key_id):
            _fail(f"there is no live key {key_id}; `chaland keys list` shows them")
    typer.echo(f"{key_id} is revoked")


@vault_app.command("rotate")
def rotate_vault() -> None:
    """Move all that is sealed to new keys, while the engine works; what was interrupted is taken up again.

    Keep a copy of the file of keys first. Where several machines work on one database, run `chaland vault prepare`
    and copy the file to all of them before.

    Example:  chaland vault rotate
    """
    from tqdm import tqdm

    from consent import rotation

    with _vault() as records:
        total = rotation.size(records.writes)
        with tqdm(total=total, unit=" rows", disable=not sys.stderr.isatty()) as progress:
            for rows in rotation.rotate(records.writes):
                progress.update(rows)
    typer.echo(
        f"{total} rows went to new keys; back up the keys and the database, then `chaland vault retire`"
    )


@vault_app.command("prepare")
def prepare_vault() -> None:
    """Write new keys into the file, for the next `rotate`, so that it can be copied to other machines first."""
    from consent import rotation

    with _vault() as records:
        ids = rotation.prepare(records.writes)
    typer.echo(f"{', '.join(ids)}: in {_settings().vault_keys}, not used yet")


@vault_app.command("retire")
def retire_vault() -> None:
    """Destroy the keys that no row needs any more: what older backups hold of people cannot be read afterwards."""
    from consent import rotation

    with _vault() as records:
        ids = rotation.retire(records.writes)
    typer.echo(f"destroyed: {', '.join(ids)}" if ids else "no key has been rotated out")


@contextlib.contextmanager
def _vault() -> Iterator[Any]:
    """The records store alone: the engine may be at work meanwhile."""
    from consent.keyring import KeyMissing, UnreadableKeys
    from engine.records import open_records
    from engine.schema import upgrade
    from engine.sealing import seal_existing

    settings = _settings()
    records = open_records(settings.records_url, settings.vault_keys)
    try:
        upgrade(records)
        seal_existing(records)
        yield records
    except (KeyMissing, UnreadableKeys) as error:
        _fail(str(error))
    finally:
        records.close()


def _settings(**given: Any) -> Settings:
    try:
        return load_settings(os.environ, **given)
    except InvalidSettings as error:
        _fail(str(error))


def _ring(settings: Settings, keys: Path | None) -> Any:
    """The public keys in a file, or else the log's own ring."""
    from consent.signing import InvalidKey, KeyRing
    from engine.ledger_key import known_ring

    try:
        ring = KeyRing.parse(keys.read_text(encoding="utf-8")) if keys else known_ring(settings)
    except InvalidKey as error:
        _fail(str(error))
    if ring is None:
        _fail("there are no keys of a consent ledger here: name them with --keys, or see CHALAND_LEDGER_KEY")
    return ring


@contextlib.contextmanager
def _opened(**given: Any) -> Iterator[Any]:
    from consent.keyring import KeyMissing, UnreadableKeys
    from consent.processor import InvalidProcessors
    from consent.signing import InvalidKey
    from engine.app import Engine
    from engine.live import LiveStoreMismatch
    from engine.push_apps import InvalidPushApps
    from engine.valkey import ValkeyDidNotStart
    from geofences.errors import GeofenceError

    engine = Engine(_settings(**given))
    try:
        engine.open()
    except GeofenceError as error:
        _fail_with_fields(error)
    except (
        InvalidKey,
        InvalidProcessors,
        KeyMissing,
        InvalidPushApps,
        LiveStoreMismatch,
        UnreadableKeys,
        ValkeyDidNotStart,
    ) as error:
        _fail(str(error))
    try:
        yield engine
    finally:
        engine.close()


def _greet(engine: Any) -> str:
    """Make sure that there is a key in development; answers one that may do everything, or an empty string."""
    settings: Settings = engine.settings
    if settings.admin_key:
        return settings.admin_key
    file = settings.data_dir / KEY_FILE
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    if engine.keys.all():
        return ""
    from engine.keys import EVERY_SCOPE

    _, secret = engine.keys.create("development", EVERY_SCOPE)
    file.touch(mode=0o600)
    file.write_text(secret + "\n", encoding="utf-8")
    typer.echo(f"made a first key, and wrote it to {file}:  {secret}")
    return str(secret)


def _serve_http(engine: Any, host: str, port: int, *, with_console: bool) -> None:
    from engine.serving import Server

    server = Server(engine.web(with_console=with_console), host, port)
    typer.echo(f"Chaland is at {server.url}  (Ctrl-C stops it)")
    server.run()


def _wait_for_signal() -> None:
    import signal

    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    done.wait()


def _fail_with_fields(error: Any) -> NoReturn:
    _fail("\n".join([error.detail, *(f"  {each.field}: {each.detail}" for each in error.errors)]))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


def _add_provider_command() -> None:
    from engine.provider_commands import add_provider_command

    add_provider_command(app, _wait_for_signal, _fail)


_add_privacy_commands()
_add_campaign_commands()
_add_provider_command()

if __name__ == "__main__":
    main()
