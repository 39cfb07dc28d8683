from engine.traffic.crowd import FRESH_SECONDS, Crowd, Surroundings
from engine.traffic.drive import Drive, Point, Run

METRE = 1 / 111_320


def car(north_m: float, speed: float, *, creeping: bool, north: float = 1.0) -> Drive:
    place = Point(2000.0, 0.0, north_m * METRE, 10.0)
    run = Run(1900.0, 0.0, place.lat, 0.0, north, fixes=5 if creeping else 0)
    return Drive(place, speed, (place,), run, drove_at=1850.0, drove_m=900.0, north=north)


HERE = Point(2000.0, 0.0, 0.0, 10.0)


def test_others_are_counted_by_what_they_do_and_where_they_go():
    crowd = Crowd()
    crowd.see("ana", car(0, 0.1, creeping=True), 2000)
    crowd.see("bob", car(50, 0.1, creeping=True), 2000)
    crowd.see("eve", car(-60, 0.1, creeping=True, north=-1.0), 2000)
    crowd.see("max", car(30, 12.0, creeping=False), 2000)
    crowd.see("far", car(500, 0.1, creeping=True), 2000)
    assert crowd.around("ana", HERE, 0.0, 1.0, 2001) == Surroundings(1, 2, 1)


def test_a_phone_that_moved_on_or_was_forgotten_is_no_longer_there():
    crowd = Crowd()
    crowd.see("bob", car(50, 0.1, creeping=True), 2000)
    crowd.see("bob", car(5000, 0.1, creeping=True), 2010)
    crowd.see("eve", car(20, 0.1, creeping=True), 2010)
    crowd.forget("eve")
    assert crowd.around("ana", HERE, 0.0, 1.0, 2011) == Surroundings(0, 0, 0)


def test_what_is_old_does_not_count_and_is_dropped():
    crowd = Crowd()
    crowd.see("bob", car(50, 0.1, creeping=True), 2000)
    assert crowd.around("ana", HERE, 0.0, 1.0, 2000 + FRESH_SECONDS).creeping_near == 1
    assert crowd.around("ana", HERE, 0.0, 1.0, 2001 + FRESH_SECONDS).creeping_near == 0
    assert not crowd._where
