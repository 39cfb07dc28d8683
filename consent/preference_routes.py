"""The shopper's pages: a signed link opens them, a plain form changes things. A GET never changes anything, so that
whoever looks through a message's links ahead of the shopper does no harm.

No login and no cookie, so no other site can make a browser act here: without the token, which stands in the form's
address, there is nothing to act with.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from consent.answers import language_of
from consent.bodies import ID_PATTERN
from consent.errors import ConsentError, GrantRefused, LinkExpired, LinkUnknown
from consent.preference import ACTOR, CHOICES, SOURCE, allowed
from consent.preference_link import PATHS, Holder, LinkKind, PreferenceLinks
from consent.preference_page import (
    PreferenceView,
    erasure_page,
    headers,
    plain_page,
    preference_page,
    unsubscribe_page,
)
from consent.preference_texts import Facts, Words, languages, preferred, words_in
from consent.rights import Rights

FORM = "application/x-www-form-urlencoded"
NAMES = frozenset(choice.name for choice in CHOICES)
Token = Annotated[str, Path()]
Lang = Annotated[str | None, Query()]
Said = Annotated[str | None, Query()]


@dataclass(frozen=True, slots=True)
class Visit:
    """A shopper at the page: who, since which link, and the words for them."""

    holder: Holder
    path: str
    words: Words


@dataclass(frozen=True, slots=True)
class PreferenceDoor:
    """What the pages are made from."""

    rights: Rights
    links: PreferenceLinks
    facts: Facts

    def visit(self, token: str, kind: LinkKind, lang: str | None) -> Visit:
        """Who comes with this token. Raises LinkUnknown, LinkExpired."""
        now = self.rights.desk.now()
        holder = self.links.holder(token, kind, self.rights.holder, now)
        known = self.rights.desk.subject(holder.subject)
        language = lang if lang in languages() else language_of(known.locale, known.phone)
        return Visit(holder, f"{PATHS[kind]}{token}", words_in(language, self.facts))

    def page(self, visit: Visit, until: datetime, said: str | None) -> str:
        """The page of choices and rights."""
        subject, desk = visit.holder.subject, self.rights.desk
        view = PreferenceView(
            path=visit.path,
            words=visit.words,
            brand=self.facts.brand,
            allowed=allowed(desk.entries(subject), desk.now()),
            too_young=self.rights.is_too_young(desk.subject(subject)),
            until=until,
            said=said,
        )
        return preference_page(view)

    def save(self, visit: Visit, form: FormData) -> str:
        """Record what the form changes; answers what to say."""
        shown = {str(each) for each in form.getlist("shown")} & NAMES
        chosen = {str(each) for each in form.getlist("allow")} & NAMES
        try:
            made = self.rights.choose(visit.holder.subject, shown, chosen, visit.words)
        except GrantRefused:
            return "refused_young"
        return "saved" if made else "unchanged"


def preference_pages(door: PreferenceDoor) -> APIRouter:
    """The pages behind ``/p/`` and ``/u/``; they are no part of the API's document."""
    pages = APIRouter(include_in_schema=False)
    _add_reading(pages, door)
    _add_acting(pages, door)
    _add_unsubscribing(pages, door)
    return pages


def link_calls(door: PreferenceDoor) -> APIRouter:
    """The call that makes links for a shopper."""
    api = APIRouter(tags=["consent"])

    @api.post(
        "/v1/subjects/{id}/links",
        operation_id="makeLinks",
        summary="Signed links for a shopper: to the preference page, and to unsubscribe",
        description="Hand them to the shopper alone: whoever holds the first speaks for them until it expires.",
    )
    def make_links(
        subject: Annotated[str, Path(alias="id", pattern=ID_PATTERN)],
    ) -> dict[str, dict[str, str]]:
        return links_of(door, subject)

    return api


def links_of(door: PreferenceDoor, subject: str) -> dict[str, dict[str, str]]:
    """Both links of a subject. Raises SubjectNotFound."""
    door.rights.desk.subject(subject)
    holder = door.rights.holder(subject)
    if holder is None:
        raise LinkUnknown
    made = {kind: door.links.to(holder, kind, door.rights.desk.now()) for kind in LinkKind}
    return {
        kind.name.lower(): {"url": link.url, "expires_at": link.expires_at.isoformat()}
        for kind, link in made.items()
    }


def _add_reading(pages: APIRouter, door: PreferenceDoor) -> None:
    @pages.get("/p/erased")
    def erased(request: Request, lang: Lang = None) -> Response:
        return _html(_plain(request, door, lang, "erased_title", "erased"))

    @pages.get("/p/{token}")
    def show(request: Request, token: Token, lang: Lang = None, said: Said = None) -> Response:
        def answer() -> Response:
            visit = door.visit(token, LinkKind.PREFERENCES, lang)
            return _html(door.page(visit, door.links.until(token), said))

        return _kindly(request, door, lang, answer)

    @pages.get("/p/{token}/erasure")
    def ask_erasure(request: Request, token: Token, lang: Lang = None) -> Response:
        def answer() -> Response:
            visit = door.visit(token, LinkKind.PREFERENCES, lang)
            return _html(erasure_page(visit.words, door.facts.brand, visit.path))

        return _kindly(request, door, lang, answer)


def _add_acting(pages: APIRouter, door: PreferenceDoor) -> None:
    acts: dict[str, Callable[[PreferenceDoor, Visit, FormData], Response]] = {
        "": _save,
        "/off": _everything_off,
        "/objection": _object,
        "/export": _export,
        "/erasure": _erase,
    }
    for path, act in acts.items():
        pages.add_api_route(f"/p/{{token}}{path}", _acting(door, act), methods=["POST"])


def _acting(
    door: PreferenceDoor, act: Callable[[PreferenceDoor, Visit, FormData], Response]
) -> Callable[..., Awaitable[Response]]:
    """Reads the form and who comes with it, then acts."""

    async def acting(request: Request, token: Token) -> Response:
        form = await _form(request)
        lang = _lang(form)

        def answer() -> Response:
            return act(door, door.visit(token, LinkKind.PREFERENCES, lang), form)

        return await run_in_threadpool(_kindly, request, door, lang, answer)

    return acting


def _save(door: PreferenceDoor, visit: Visit, form: FormData) -> Response:
    return _back(visit, door.save(visit, form))


def _everything_off(door: PreferenceDoor, visit: Visit, _form: FormData) -> Response:
    door.rights.everything_off(visit.holder.subject)
    return _back(visit, "off")


def _object(door: PreferenceDoor, visit: Visit, _form: FormData) -> Response:
    door.rights.object(visit.holder.subject, SOURCE, ACTOR)
    return _back(visit, "objected")


def _export(door: PreferenceDoor, visit: Visit, _form: FormData) -> Response:
    held = door.rights.see(visit.holder.subject, SOURCE, ACTOR)
    name = {"Content-Disposition": 'attachment; filename="my-data.json"'}
    body = json.dumps(held, ensure_ascii=False, indent=1)
    return Response(body, media_type="application/json", headers=headers() | name)


def _erase(door: PreferenceDoor, visit: Visit, _form: FormData) -> Response:
    door.rights.erase(visit.holder.subject, SOURCE, ACTOR)
    return _see_other(f"/p/erased?lang={visit.words.language}")


def _add_unsubscribing(pages: APIRouter, door: PreferenceDoor) -> None:
    @pages.get("/u/{token}")
    def offer(request: Request, token: Token, lang: Lang = None) -> Response:
        def answer() -> Response:
            visit = door.visit(token, LinkKind.UNSUBSCRIBE, lang)
            done = not door.rights.is_marketed(visit.holder.subject)
            return _html(unsubscribe_page(visit.words, door.facts.brand, visit.path, done=done))

        return _kindly(request, door, lang, answer)

    @pages.post("/u/{token}")
    async def unsubscribe(request: Request, token: Token) -> Response:
        """One click, as RFC 8058 has it: the POST is the whole of it, whatever its body says, and is not redirected."""
        form = await _form(request)
        lang = _lang(form)

        def answer() -> Response:
            visit = door.visit(token, LinkKind.UNSUBSCRIBE, lang)
            door.rights.unsubscribe(visit.holder.subject)
            if form.get("List-Unsubscribe") == "One-Click":
                return _html(unsubscribe_page(visit.words, door.facts.brand, visit.path, done=True))
            return _see_other(f"{visit.path}?lang={visit.words.language}")

        return await run_in_threadpool(_kindly, request, door, lang, answer)


def _kindly(
    request: Request, door: PreferenceDoor, lang: str | None, answer: Callable[[], Response]
) -> Response:
    """The answer, or a page in place of an error: a shopper is not told in JSON."""
    try:
        return answer()
    except (LinkUnknown, LinkExpired) as error:
        return _html(_plain(request, door, lang, "broken_title", "broken"), error.status)
    except ConsentError:  # the subject was erased between two steps
        return _html(_plain(request, door, lang, "broken_title", "broken"), LinkUnknown().status)


def _plain(request: Request, door: PreferenceDoor, lang: str | None, title: str, text: str) -> str:
    language = lang if lang in languages() else preferred(request.headers.get("accept-language"))
    return plain_page(words_in(language, door.facts), door.facts.brand, title, text)


async def _form(request: Request) -> FormData:
    """The form; an empty one for a body of another kind."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await request.form() if kind in (FORM, "multipart/form-data") else FormData()


def _lang(form: FormData) -> str | None:
    lang = form.get("lang")
    return lang if isinstance(lang, str) else None


def _back(visit: Visit, said: str) -> Response:
    return _see_other(f"{visit.path}?lang={visit.words.language}&said={said}")


def _see_other(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers=headers())


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status_code=status, headers=headers())
