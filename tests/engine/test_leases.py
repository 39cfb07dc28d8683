from engine.leases import Leases
from engine.live import Live, lease_key


def worker(live: Live, name: str) -> Leases:
    return Leases(live, name, lease_seconds=10)


def test_one_worker_takes_every_partition(live: Live):
    ana = worker(live, "ana")
    ana.refresh()
    assert sorted(ana.held) == [0, 1, 2, 3]


def test_two_workers_share_evenly_and_never_hold_the_same_one(live: Live):
    ana, bob = worker(live, "ana"), worker(live, "bob")
    ana.refresh()
    bob.refresh()
    assert bob.held == {}
    ana.refresh()  # learns of bob, gives half back
    bob.refresh()
    assert len(ana.held) == len(bob.held) == 2
    assert not set(ana.held) & set(bob.held)


def test_partitions_that_do_not_divide_evenly_go_one_each_to_the_first(live: Live):
    workers = [worker(live, name) for name in ("ana", "bob", "carl")]
    for _ in range(3):
        for each in workers:
            each.refresh()
    assert [len(each.held) for each in workers] == [2, 1, 1]
    assert sorted(partition for each in workers for partition in each.held) == [0, 1, 2, 3]
    workers[0].release_all()
    for _ in range(2):
        for each in workers[1:]:
            each.refresh()
    assert [len(each.held) for each in workers] == [0, 2, 2]


def test_more_workers_than_partitions_leave_some_with_nothing_to_do(live: Live):
    workers = [worker(live, f"worker-{number}") for number in range(6)]
    for _ in range(6):
        for each in workers:
            each.refresh()
    assert [len(each.held) for each in workers] == [1, 1, 1, 1, 0, 0]


def test_a_lease_is_ours_only_as_long_as_the_live_store_says_so(live: Live):
    ana = worker(live, "ana")
    assert not ana.ours([0])
    ana.refresh()
    assert ana.ours([0, 9]) == {0}
    live.client.delete(lease_key(0))
    assert not ana.ours([0])


def test_what_is_held_is_renewed_beside_the_work_and_what_is_lost_is_not_taken_back(live: Live):
    ana, bob = worker(live, "ana"), worker(live, "bob")
    ana.refresh()
    for partition in range(4):
        live.client.pexpire(lease_key(partition), 60_000)
    live.client.set(lease_key(0), "bob#99")
    live.client.delete(lease_key(1))
    ana.renew()
    assert live.client.get(lease_key(0)) == b"bob#99"
    assert not live.client.exists(lease_key(1))
    assert all(9_000 < live.client.pttl(lease_key(partition)) <= 10_000 for partition in (2, 3))
    bob.refresh()
    assert 1 in bob.held


def test_a_leaving_worker_frees_its_partitions_at_once(live: Live):
    ana, bob = worker(live, "ana"), worker(live, "bob")
    ana.refresh()
    ana.release_all()
    bob.refresh()
    assert sorted(bob.held) == [0, 1, 2, 3]


def test_a_lease_taken_anew_has_a_new_fencing_token(live: Live):
    ana, bob = worker(live, "ana"), worker(live, "bob")
    ana.refresh()
    before = ana.held[0]
    live.client.delete(lease_key(0))  # it ran out while ana was paused
    bob.refresh()
    assert bob.held[0] != before
    ana.refresh()
    assert 0 not in ana.held


def test_releasing_what_has_passed_on_takes_nothing_from_the_new_owner(live: Live):
    ana, bob = worker(live, "ana"), worker(live, "bob")
    ana.refresh()
    live.client.delete(lease_key(0))
    bob.refresh()
    ana.release(0)
    assert live.client.get(lease_key(0)) == bob.held[0].encode()
