import pytest

from engine.bench.queueing import Demand, throughput

DEMAND = Demand(worker_us=8.0, store_us=2.0)


def test_one_worker_waits_for_nobody():
    assert throughput(DEMAND, 1) == pytest.approx(1e6 / 10)
    assert throughput(DEMAND, 1, cores=2) == pytest.approx(1e6 / 10)


def test_two_workers_as_worked_out_by_hand():
    # The second finds the store busy as often as the one alone keeps it busy: 2 of 10 us.
    assert throughput(DEMAND, 2) == pytest.approx(2e6 / (8 + 2 * 1.2))


def test_equal_stations_as_in_the_closed_form():
    # Two single servers with equal demands D: X(n) = n / (D (n + 1)).
    for workers in (1, 2, 3, 7):
        found = throughput(Demand(5.0, 5.0), workers, cores=1)
        assert found == pytest.approx(min(workers / (5.0 * (workers + 1)), 1 / 10) * 1e6)


def test_many_workers_saturate_the_live_store_and_no_more():
    rates = [throughput(DEMAND, workers) for workers in (1, 2, 4, 8, 16, 64, 256)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(1e6 / DEMAND.store_us, rel=0.001)


def test_a_store_that_costs_nothing_leaves_the_cores():
    for workers in (1, 2, 3, 9):
        found = throughput(Demand(8.0, 1e-9), workers, cores=2)
        assert found == pytest.approx(min(workers, 2) / 8.0 * 1e6, rel=1e-6)


def test_a_machine_does_no_more_than_its_cores_can():
    assert throughput(DEMAND, 64, cores=2) == pytest.approx(2e6 / 10)
    assert throughput(DEMAND, 3, cores=4) <= throughput(DEMAND, 3)
