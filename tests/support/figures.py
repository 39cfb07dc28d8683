"""Figures that a test found are told at the end of the run, also when tests run side by side."""

from collections.abc import Callable, Iterator

import pytest

PROPERTY = "figure"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with a line of figures."""
    return lambda line: record_property(PROPERTY, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines of all tests, in the order in which they ended."""
    if lines := list(_lines(terminalreporter)):
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def _lines(reporter: pytest.TerminalReporter) -> Iterator[str]:
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, ()):
            if getattr(report, "when", "") == "call":
                yield from (str(value) for name, value in report.user_properties if name == PROPERTY)
