"""The shopper's pages, as a browser without scripts uses them."""

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from fastapi.testclient import TestClient

from consent.entry import Action
from consent.ledger import entries_of
from consent.preference_link import LinkKind, PreferenceLinks
from engine.app import Engine
from tests.conftest import ADMIN_KEY

ANA = {
    "phone": "+33639980001",
    "locale": "de-AT",
    "attributes": {"first_name": "Ana"},
    "devices": [{"device": "ana-phone"}],
}
CHOICES = ("location", "marketing-sms", "marketing-push", "profiling", "cart")


class Shopper:
    """A browser: no key, no cookies, follows redirects by hand."""

    def __init__(self, engine: Engine, client: TestClient):
        self.engine, self.desk = engine, client
        self.http = TestClient(engine.web(), base_url="https://offers.example.org", follow_redirects=False)
        self.make_known()
        self.path, self.way_out = (self.link(kind) for kind in ("preferences", "unsubscribe"))

    def make_known(self, **differing):
        self.desk.put("/v1/subjects/ana", json=ANA | differing).raise_for_status()

    def link(self, kind):
        links = self.desk.post("/v1/subjects/ana/links").raise_for_status().json()
        return links[kind]["url"].removeprefix("https://offers.example.org")

    def get(self, path=None):
        return self.http.get(path or self.path)

    def post(self, act="", path=None, **form):
        answer = self.http.post(f"{path or self.path}{act}", data=form)
        assert not answer.cookies
        return answer

    def choose(self, *allow, shown=None):
        """Send the form as the page shows it, with these switches on."""
        seen = re.findall(r'name="shown" value="([a-z-]+)"', self.get().text) if shown is None else shown
        return self.post(lang="de", allow=list(allow), shown=seen)

    def follow(self, answer):
        assert answer.status_code == 303
        return self.get(answer.headers["location"])

    def stands(self):
        told = self.desk.get("/v1/subjects/ana/consents").json()["standing"]
        return {
            "-".join(filter(None, (each["purpose"], each["channel"]))) for each in told if each["allowed"]
        }

    def entries(self):
        with self.engine.records.reads.connect() as conn:
            return entries_of(conn, "ana")

    def requests(self):
        query = "/v1/privacy-requests?open=false&subject=ana"
        return [(each["kind"], each["outcome"]) for each in self.desk.get(query).json()["items"]]


@pytest.fixture
def ana(engine: Engine, client: TestClient):
    return Shopper(engine, client)


def test_the_page_opens_in_the_shoppers_language_or_another(ana):
    page = ana.get()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<html lang="de">' in page.text
    assert "Ihre Auswahl" in page.text
    assert " checked" not in page.text
    assert "Vos choix" in ana.get(f"{ana.path}?lang=fr").text
    assert '<html lang="de">' in ana.get(f"{ana.path}?lang=xx&said=<script>").text


def test_every_answer_is_private_and_sets_nothing(ana):
    answers = [
        ana.get(), ana.get(f"{ana.path}/erasure"), ana.get(ana.way_out), ana.get("/p/nonsense"), ana.get("/p/erased"),
        ana.post("/off"), ana.post("/export"), ana.post(path=ana.way_out), ana.post("/erasure"), ana.get(),
    ]  # fmt: skip
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "set-cookie" not in answer.headers


def test_choices_are_recorded_with_the_text_that_was_shown(ana):
    done = ana.follow(ana.choose("location", "marketing-sms"))
    assert "Ihre Auswahl ist gespeichert" in done.text
    assert ana.stands() == {"location", "marketing-sms"}
    entries = ana.entries()
    assert [(each.action, each.actor, each.source) for each in entries] == [
        (Action.GRANT, "subject", "preference page")
    ] * 2
    notices = ana.engine.privacy.door.visit(ana.path[3:], LinkKind.PREFERENCES, "de").words.notices
    assert [each.text_version for each in entries] == [
        notices["location"].version,
        notices["marketing-sms"].version,
    ]
    assert unescape(done.text).count(notices["location"].text) == 1


def test_each_choice_can_be_given_and_taken_back(ana):
    for name in CHOICES:
        ana.engine.now.advance(seconds=1)
        ana.choose(*(ana.stands() | {name}))
        assert name in ana.stands()
    assert ana.stands() == set(CHOICES)
    for name in CHOICES:
        ana.engine.now.advance(seconds=1)
        ana.choose(*(ana.stands() - {name}))
        assert name not in ana.stands()
    assert ana.stands() == set()


def test_a_withdrawal_closes_the_gate_before_it_is_answered(ana):
    ana.choose("location")
    ping = {
        "device": "ana-phone",
        "at": ana.engine.now().timestamp(),
        "lat": 48.85,
        "lon": 2.35,
        "accuracy": 8,
    }
    assert ana.desk.post("/v1/pings", json={"pings": [ping]}).json()["accepted"] == 1
    ana.engine.now.advance(seconds=1)
    ana.post("/off")
    assert ana.desk.post("/v1/pings", json={"pings": [ping]}).json()["accepted"] == 0


def test_a_form_that_changes_nothing_writes_nothing(ana):
    ana.choose("cart")
    before = ana.entries()
    assert "geändert" in ana.follow(ana.choose("cart")).text
    assert ana.entries() == before


def test_a_page_opened_before_a_stop_does_not_grant_anew(ana):
    ana.choose("marketing-sms")
    ana.engine.now.advance(seconds=1)
    stop = {"purpose": "marketing", "action": "withdraw", "source": "sms"}
    ana.desk.post("/v1/subjects/ana/consents", json=stop).raise_for_status()
    ana.choose("marketing-sms", "cart", shown=["marketing-sms"])
    assert ana.stands() == {"cart"}


def test_a_form_with_nonsense_changes_nothing(ana):
    for form in [{"allow": ["everything", "' OR 1"]}, {"shown": ["location"] * 500}, {"allow": ""}]:
        assert ana.post(**form).status_code == 303
    plain = ana.http.post(ana.path, content=b"\xff\xfe{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 303
    broken = ana.http.post(ana.path, content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert ana.http.post(ana.path, content=b"x" * 100_000).status_code == 413
    assert ana.entries() == ()


def test_looking_changes_nothing_whatever_is_looked_at(ana):
    ana.choose(*CHOICES)
    before = ana.entries()
    for path in [ana.path, ana.way_out, f"{ana.path}/erasure", f"{ana.path}/off", f"{ana.path}/objection"]:
        for method in ("GET", "HEAD", "OPTIONS"):
            assert ana.http.request(method, f"{path}?allow=x&lang=fr").status_code in (200, 405)
    for act in ("off", "export", "objection"):
        assert ana.get(f"{ana.path}/{act}").status_code == 405
    assert ana.entries() == before
    assert ana.requests() == []


def test_everything_off_ends_every_purpose(ana):
    ana.choose(*CHOICES)
    ana.engine.now.advance(seconds=1)
    assert "Alles ist abgelehnt" in ana.follow(ana.post("/off", lang="de")).text
    assert ana.stands() == set()


def test_an_objection_stands_until_the_shopper_lifts_it(ana):
    ana.choose("location", "marketing-sms", "profiling")
    ana.engine.now.advance(seconds=1)
    assert "Widerspruch" in ana.follow(ana.post("/objection", lang="de")).text
    assert ana.stands() == set()
    assert ana.requests() == [("objection", "done")]
    ana.engine.now.advance(days=3)
    grant = {
        "purpose": "marketing",
        "channel": "sms",
        "action": "grant",
        "source": "crm",
        "text_version": "1",
    }
    refused = ana.desk.post("/v1/subjects/ana/consents", json=grant)
    assert (refused.status_code, refused.json()["code"]) == (409, "objected")
    assert ana.stands() == set()
    ana.choose("marketing-sms")
    assert ana.stands() == {"marketing-sms"}
    ana.engine.now.advance(days=1)
    assert ana.desk.post("/v1/subjects/ana/consents", json=grant).status_code == 201


def test_the_export_comes_as_a_file_and_is_counted_as_an_answered_request(ana):
    ana.choose("location")
    answer = ana.post("/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    held = json.loads(answer.text)
    assert (held["subject"]["phone"], held["consents"][0]["purpose"]) == (ANA["phone"], "location")
    assert ana.requests() == [("access", "done")]


def test_erasure_is_asked_once_more_and_leaves_a_dead_link(ana):
    ana.choose(*CHOICES)
    question = ana.get(f"{ana.path}/erasure?lang=fr")
    assert f'action="{ana.path}/erasure"' in question.text
    assert "Oui, tout effacer" in question.text
    gone = ana.follow(ana.post("/erasure", lang="fr"))
    assert "Vos données sont effacées" in gone.text
    assert ana.desk.get("/v1/subjects/ana").status_code == 404
    assert ana.requests() == [("erasure", "done")]
    assert ana.get().status_code == ana.post("/off").status_code == ana.get(ana.way_out).status_code == 404
    again = ana.desk.put("/v1/subjects/ana", json=ANA)
    assert (again.status_code, again.json()["code"]) == (409, "number_suppressed")
    ana.desk.put("/v1/subjects/ana", json={**ANA, "phone": None}).raise_for_status()
    assert ana.stands() == set()


def test_links_die_with_the_number_and_with_time(ana):
    ana.make_known(phone="+33639980002")
    assert ana.get().status_code == ana.get(ana.way_out).status_code == 404
    ana.make_known()
    assert ana.get().status_code == 200
    ana.engine.now.advance(days=30, seconds=1)
    assert ana.get().status_code == ana.post("/off").status_code == 410
    assert ana.get(ana.way_out).status_code == 200
    ana.engine.now.advance(days=370)
    assert ana.get(ana.way_out).status_code == ana.post(path=ana.way_out).status_code == 410


def test_a_wrong_link_is_told_in_words_in_the_browsers_language(ana):
    forged = PreferenceLinks("https://x", (b"z" * 32,), timedelta(days=1), timedelta(days=1))
    holder = ana.engine.privacy.rights.holder("ana")
    paths = [
        "/p/x",
        "/p/" + "A" * 5000,
        "/u/é",
        ana.way_out.replace("/u/", "/p/"),
        ana.path.replace("/p/", "/u/"),
    ]
    paths.append(forged.to(holder, LinkKind.PREFERENCES, ana.engine.now()).url.removeprefix("https://x"))
    for path in paths:
        answer = ana.http.get(path, headers={"accept-language": "pt-BR"})
        assert (answer.status_code, "Esta ligação não abre nada" in answer.text) == (404, True), path
        assert ana.http.post(path).status_code == 404


def test_one_click_unsubscribes_as_rfc_8058_has_it(ana):
    ana.choose("location", "marketing-sms", "marketing-push")
    assert "Ein Klick genügt" in ana.get(ana.way_out).text
    ana.engine.now.advance(seconds=1)
    for _ in range(2):
        answer = ana.post(path=ana.way_out, **{"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    assert ana.stands() == {"location"}
    assert {each.source for each in ana.entries() if each.action is Action.WITHDRAW} == {"unsubscribe link"}
    assert "Erledigt" in ana.get(ana.way_out).text


def test_the_button_of_the_way_out_does_the_same(ana):
    ana.choose("marketing-sms")
    ana.engine.now.advance(seconds=1)
    assert "Fait" not in ana.get(f"{ana.way_out}?lang=fr").text
    assert "C&#x27;est fait" in ana.follow(ana.post(path=ana.way_out, lang="fr")).text
    multipart = ana.http.post(ana.way_out, files={"List-Unsubscribe": (None, "One-Click")})
    assert (multipart.status_code, ana.stands()) == (200, set())


def test_links_are_made_by_the_privacy_desk_alone(engine, ana):
    _, secret = engine.keys.create("shop", ["marketing", "ingest", "operations"])
    call = {"headers": {"Authorization": f"Bearer {secret}"}}
    assert ana.http.post("/v1/subjects/ana/links", **call).status_code == 403
    assert ana.http.post("/v1/subjects/ana/links").status_code == 401
    assert ana.desk.post("/v1/subjects/nobody/links").status_code == 404


def test_who_is_too_young_may_not_allow_anything_and_loses_what_was_allowed(ana):
    ana.choose("location", "marketing-sms")
    ana.engine.now.advance(seconds=1)
    ana.make_known(attributes={"birth_date": "2013-01-01"})
    assert ana.stands() == set()
    ping = {
        "device": "ana-phone",
        "at": ana.engine.now().timestamp(),
        "lat": 48.85,
        "lon": 2.35,
        "accuracy": 8,
    }
    assert ana.desk.post("/v1/pings", json={"pings": [ping]}).json()["accepted"] == 0
    page = ana.get(f"{ana.path}?lang=en").text
    assert "not old enough" in page
    assert page.count(" disabled") == len(CHOICES)
    assert "zu jung" in ana.follow(ana.choose("cart")).text
    grant = {"purpose": "location", "action": "grant", "source": "app", "text_version": "1"}
    refused = ana.desk.post("/v1/subjects/ana/consents", json=grant)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_young")
    assert ana.stands() == set()
    ana.make_known(attributes={"birth_date": "1990-01-01"})
    assert ana.stands() == set()


def test_no_key_and_no_token_opens_the_console_or_the_api_from_here(ana):
    for path in ("/v1/subjects/ana", "/v1/privacy-requests", "/v1/erasure-notices"):
        assert ana.http.get(path).status_code == 401
        assert ana.http.get(path, headers={"Authorization": f"Bearer {ana.path[3:]}"}).status_code == 401
        assert ana.http.get(path, headers={"Authorization": f"Bearer {ADMIN_KEY}"}).status_code == 200
