"""`chaland rules` and `chaland consent breaches`, as they are typed."""

import json

from tests.engine.test_cli import SQUARE
from tests.support.command import chaland


def test_an_operator_learns_whether_an_offer_may_go_and_if_not_when_next(tmp_path):
    shops = tmp_path / "shops.geojson"
    strasbourg = {"type": "Point", "coordinates": [7.75, 48.58]}
    shop = SQUARE | {"id": "shop", "geometry": strasbourg, "properties": {"name": "Shop", "radius": 30}}
    shops.write_text(json.dumps({"type": "FeatureCollection", "features": [shop]}))
    chaland("geofences", "import", str(shops), data_dir=tmp_path)

    def ask(at, to="+33639980001", **environ):
        words = ("rules", "explain", "--store", "shop", "--to", to, "--at", at)
        return chaland(*words, data_dir=tmp_path, **environ)

    may = ask("2026-11-28T19:59:59")
    assert (may.returncode, may.stdout.splitlines()[0]) == (0, "yes, at 2026-11-28T19:59:59+01:00")
    closed = ask("2026-11-28T20:00:00")
    assert closed.returncode == 1
    assert "held by   fr.hours@2024-09-01: outside its hours (Europe/Paris, sat 20:00)" in closed.stdout
    assert "next:     2026-11-30T08:00:00+01:00" in closed.stdout
    assert ask("2026-11-28T20:00:00", CHALAND_SENDING_HOURS="latest").returncode == 0
    feast = ask("2026-12-26T10:00:00")
    assert "held by   fr.holidays@2018-01-01: a holiday: Saint Stephen's Day" in feast.stdout
    assert "next:     2026-12-28T08:00:00+01:00" in feast.stdout
    florida = ask("2026-11-28T15:00:00", to="+13055550123")
    assert "cap:      us.fl.cap@2021-07-01: 3 in 86400 seconds" in florida.stdout
    assert "639980001" not in closed.stdout + closed.stderr
    wrong = ask("2026-11-28T20:00:00", to="36111")
    assert (wrong.returncode, "36111" in wrong.stderr) == (2, False)
    words = ("rules", "explain", "--at", "2026-11-28T15:59:00")
    no_place = chaland(*words, "--to", "+34600123456", data_dir=tmp_path)
    assert (no_place.returncode, "ES-CN" in no_place.stdout, "Atlantic/Canary" in no_place.stdout) == (
        0,
        True,
        True,
    )
    assert "held by   no_country" in chaland(*words, data_dir=tmp_path).stdout
    assert chaland(*words, "--country", "fr", data_dir=tmp_path).returncode == 0
    nowhere = chaland("rules", "explain", "--store", "nowhere", data_dir=tmp_path)
    assert (nowhere.returncode, "no geofence has the id 'nowhere'" in nowhere.stderr) == (2, True)


def test_rules_are_listed_with_their_sources(tmp_path):
    listed = chaland("rules", "list", "--country", "fr", data_dir=tmp_path)
    assert listed.returncode == 0
    [hours] = [line for line in listed.stdout.splitlines() if line.startswith("fr.hours@2024-09-01")]
    assert "review by 2027-05-23" in hours
    assert "af2m.org" in hours


def test_refusals_are_checked_by_hand(tmp_path):
    ran = chaland("consent", "breaches", data_dir=tmp_path)
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) == 7
    assert ran.stdout.splitlines()[0].endswith("0 refusals, 0 messages, 0 breaches")
    one = chaland("consent", "breaches", "--day", "2026-11-24", data_dir=tmp_path)
    assert one.stdout == "2026-11-24  0 refusals, 0 messages, 0 breaches\n"
