from engine.recent import Recent


def test_a_value_stays_for_its_time_and_goes_after_twice_that():
    recent: Recent[int] = Recent(60.0, 100)
    recent.put({"ana": 1}, 0.0)
    recent.put({"bob": 2}, 61.0)
    assert recent.among(["ana", "bob", "carl"], 61.0) == {"ana": 1, "bob": 2}
    assert len(recent) == 2
    recent.put({"carl": 3}, 122.0)
    assert recent.among(["ana", "bob"], 122.0) == {"bob": 2}


def test_a_newer_nothing_hides_an_older_value():
    recent: Recent[int | None] = Recent(60.0, 100)
    recent.put({"ana": 1}, 0.0)
    recent.put({"ana": None}, 61.0)
    assert recent.among(["ana"], 61.0) == {"ana": None}


def test_it_holds_no_more_than_its_limit():
    recent: Recent[int] = Recent(60.0, 10)
    for number in range(100):
        recent.put({f"phone-{number}": number}, 0.0)
        assert len(recent) <= 12
    assert recent.among(["phone-99"], 0.0) == {"phone-99": 99}


def test_what_is_dropped_is_gone_from_both_generations():
    recent: Recent[int] = Recent(60.0, 100)
    recent.put({"ana": 1}, 0.0)
    recent.put({"ana": 2}, 61.0)
    recent.pop("ana")
    recent.pop("nobody")
    assert not recent.among(["ana"], 61.0)


def test_a_value_goes_after_twice_its_time_though_nothing_else_is_put():
    recent: Recent[int] = Recent(60.0, 100)
    recent.put({"ana": 1}, 0.0)
    assert recent.among(["ana"], 115.0) == {"ana": 1}
    recent.put({"bob": 2}, 115.0)
    assert recent.among(["ana", "bob"], 121.0) == {"bob": 2}
    assert recent.among(["bob"], 500.0) == {}
    assert len(recent) == 0


def test_the_quick_way_answers_in_order_and_only_when_nothing_need_be_put_again():
    recent: Recent[int] = Recent(60.0, 100)
    recent.put({"ana": 1, "bob": 2}, 0.0)
    assert recent.just_now(["bob", "ana"], 1.0) == [2, 1]
    assert recent.just_now(["bob", "carl"], 1.0) is None
    assert recent.just_now([], 1.0) == []
    assert recent.just_now(["ana"], 61.0) is None, "it is of the older generation"
