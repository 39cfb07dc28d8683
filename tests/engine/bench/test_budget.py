import pytest

from engine.bench.budget import LEAST_SECONDS, Budget


def test_shares_shrink_as_time_goes_by():
    now = [100.0]
    budget = Budget(50.0, lambda: now[0])
    assert (budget.left(), budget.share(0.1, 60.0), budget.share(0.5, 10.0)) == (50.0, 5.0, 10.0)
    now[0] = 140.0
    assert budget.share(0.1, 60.0) == pytest.approx(1.0)
    now[0] = 200.0
    assert (budget.left(), budget.share(0.5, 10.0)) == (0.0, LEAST_SECONDS)


def test_without_a_limit_everything_may_take_its_time():
    budget = Budget(None)
    assert budget.share(0.1, 60.0) == 60.0
    assert budget.left() == float("inf")
