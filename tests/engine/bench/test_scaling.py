import pytest

from engine.bench.scaling import share_per_second


def test_the_middle_of_a_drain_is_what_counts():
    starting = [(0.0, 1000), (2.0, 1000)]  # two seconds in which nobody has begun
    steady = [(2.0 + step * 0.1, 1000 - 20 * step) for step in range(1, 46)]
    last = [(20.0, 0)]  # one straggler at the end
    assert share_per_second([*starting, *steady, *last]) == pytest.approx(0.2, rel=0.02)


def test_a_drain_too_quick_to_watch_counts_as_a_whole():
    assert share_per_second([(0.0, 100), (0.5, 0)]) == pytest.approx(2.0)


def test_a_drain_of_few_steps_close_together_counts_as_a_whole():
    assert share_per_second([(0.0, 100), (0.5, 60), (0.501, 20), (1.0, 0)]) == pytest.approx(1.0)


def test_a_drain_that_was_watched_at_one_step_only_counts_as_a_whole():
    assert share_per_second([(0.0, 100), (0.1, 50), (0.4, 50), (0.5, 0)]) == pytest.approx(2.0)
