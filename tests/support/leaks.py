"""A pytest plugin: whatever the product writes during the run is searched for what is private, and the run fails if
there is any. It names the test, the place and the kind, never the value.

Looked at: every log record with its traceback, every error body, every ``/metrics`` body, what each test printed (child
processes included), and what every subprocess answered. Not looked at is what a command is asked to hand out.
"""

import itertools
import json
import logging
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from consent.vault import DataKey
from tests.support.private import Private, kinds_in

HANDED_OUT = frozenset({"export", "classify", "replay", "story", "create", "bash"})
"""Commands whose standard output is the data that was asked for: exports, verdicts on texts, what a story tells, a new
key; and the shell in which the README's session runs, which prints what the API answers.
"""
LOG, ERROR, METRICS, PRINTED, PROCESS = (
    "a log record",
    "an error body",
    "/metrics",
    "its output",
    "a process's output",
)


class Watch:
    """Gathers, searches, and remembers what it found."""

    def __init__(self) -> None:
        self.test = "before the first test"
        self.private = Private()
        self.looked_at: Counter[str] = Counter()
        self.leaks: set[tuple[str, str, str]] = set()

    def begin(self, test: str) -> None:
        """From now on it is this test; texts of the one before are forgotten."""
        self.test = test
        self.private.texts.clear()

    def look(self, place: str, text: str | bytes | None, detail: str = "") -> None:
        """Search one text."""
        if not text:
            return
        self.looked_at[place] += 1
        said = text.decode(errors="replace") if isinstance(text, bytes) else text
        where = f"{place} ({detail})" if detail else place
        self.leaks |= {(self.test, where, kind.value) for kind in kinds_in(said, self.private)}

    def lines(self) -> list[str]:
        """What was found, for people."""
        return [f"{test}: a {kind} in {where}" for test, where, kind in sorted(self.leaks)]


def look_at_output(text: str) -> None:
    """Search what a process wrote into a file, where the plugin does not see it."""
    for watch in _WATCHES:
        watch.look(PROCESS, text)


def look_at_process(words: Iterable[str], out: Any, err: Any) -> None:
    """Search what a command printed; its output only if it does not hand out private things by intent."""
    shown = (err, out) if HANDED_OUT.isdisjoint(words) else (err,)
    for watch, text in itertools.product(_WATCHES, shown):
        watch.look(PROCESS, text)


def pytest_configure(config: pytest.Config) -> None:
    watch = Watch()
    config.stash[WATCH] = watch
    config.add_cleanup(_watch_logs(watch))
    config.add_cleanup(_watch_http(watch))
    config.add_cleanup(_watch_processes())
    config.add_cleanup(_learn_from_vault(watch))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str, location: object) -> None:
    for watch in _WATCHES:
        watch.begin(nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.passed:  # a failure shows its values, and fails the run by itself
        for name, text in report.sections:
            if "log" not in name:
                item.config.stash[WATCH].look(PRINTED, text)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    watch = session.config.stash[WATCH]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = [sorted(watch.leaks), dict(watch.looked_at)]
    elif watch.leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended."""
    leaks, looked_at = getattr(node, "workeroutput", {}).get("leaks", ([], {}))
    watch = node.config.stash[WATCH]
    watch.leaks |= {tuple(each) for each in leaks}
    watch.looked_at.update(looked_at)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    watch = config.stash[WATCH]
    counts = ", ".join(f"{count} of {place}" for place, count in sorted(watch.looked_at.items())) or "nothing"
    terminalreporter.write_sep("=", "privacy", red=bool(watch.leaks), green=not watch.leaks)
    terminalreporter.write_line(f"looked at: {counts}")
    for line in watch.lines() or ["nothing private was found"]:
        terminalreporter.write_line(line)


WATCH = pytest.StashKey[Watch]()
_WATCHES: list[Watch] = []


def _watch_logs(watch: Watch) -> Any:
    """Records are seen as they are made, whatever becomes of them; from INFO on, as in production."""
    from engine.cli import NOISY_LOGGERS

    _WATCHES.append(watch)
    made = logging.getLogRecordFactory()
    formatter = logging.Formatter()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made(*args, **kwargs)
        try:
            said = record.getMessage()
        except Exception as error:  # noqa: BLE001  # the record is wrong; logging tells so itself
            said = type(error).__name__
        trace = formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if not (record.levelno < logging.WARNING and record.name.split(".")[0] in NOISY_LOGGERS):
            watch.look(LOG, f"{said}\n{trace}", record.name)
        return record

    logging.setLogRecordFactory(make)
    if logging.getLogger().level in (logging.NOTSET, logging.WARNING):
        logging.getLogger().setLevel(logging.INFO)

    def end() -> None:
        logging.setLogRecordFactory(made)
        _WATCHES.remove(watch)

    return end


def _watch_http(watch: Watch) -> Any:
    send = httpx2.Client.send

    @wraps(send)
    def seen(self: httpx2.Client, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        _learn_request(watch.private, request)
        response = send(self, request, **kwargs)
        if not kwargs.get("stream"):
            if response.status_code >= 400:
                watch.look(ERROR, response.content, str(response.status_code))
            if request.url.path.startswith("/metrics"):
                watch.look(METRICS, response.content)
        return response

    httpx2.Client.send = seen  # type: ignore[method-assign]
    return lambda: setattr(httpx2.Client, "send", send)


def _learn_request(private: Private, request: httpx2.Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer":
        private.learn_token(key)
    try:
        body = request.content
    except httpx2.RequestNotRead:
        return
    kind = request.headers.get("content-type", "")
    if "form" in kind:
        private.learn_json(dict(parse_qsl(body.decode(errors="replace"))))
    elif body[:1] in (b"{", b"["):
        try:
            private.learn_json(json.loads(body))
        except (ValueError, RecursionError):  # what is no JSON is refused, and its answer is looked at
            return


def _watch_processes() -> Any:
    communicate = subprocess.Popen.communicate

    @wraps(communicate)
    def seen(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        out, err = communicate(self, *args, **kwargs)
        look_at_process([self.args] if isinstance(self.args, str) else map(str, self.args), out, err)
        return out, err

    subprocess.Popen.communicate = seen  # type: ignore[method-assign]
    return lambda: setattr(subprocess.Popen, "communicate", communicate)


def _learn_from_vault(watch: Watch) -> Any:
    """What is sealed, also by tests that write straight into the records store, is private, too."""
    seal = DataKey.seal

    @wraps(seal)
    def seen(self: DataKey, field: str, text: str) -> str:
        name = field.partition(" ")[0]
        watch.private.learn_json({name: json.loads(text) if name in {"attributes", "push"} else text})
        return seal(self, field, text)

    DataKey.seal = seen  # type: ignore[method-assign]
    return lambda: setattr(DataKey, "seal", seal)
