"""The preference page as HTML: a picture of what stands, and plain forms. No script, no cookie, nothing from elsewhere."""

from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files

from consent.preference import CHOICES
from consent.preference_texts import Words, languages

SAID = frozenset({"saved", "unchanged", "off", "objected", "refused_young", "unsubscribed"})
"""What a page may say on top about what was just done."""


@dataclass(frozen=True, slots=True)
class PreferenceView:
    """What the page shows: the choices that stand at yes, whether the shopper is `too_young` to say yes, until when
    the link is good, and what was `said` to have been done just now.
    """

    path: str
    words: Words
    brand: str
    allowed: Collection[str]
    too_young: bool
    until: datetime
    said: str | None = None


def headers() -> dict[str, str]:
    """The headers of every page: nothing is kept, told to others, framed, or fetched from anywhere."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_style_digest()}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), camera=(), microphone=(), browsing-topics=()",
    }


def preference_page(view: PreferenceView) -> str:
    """Every choice and every right of one shopper."""
    say = view.words.say
    body = [
        _heading(view.brand, say["title"]),
        _said(view.words, view.said),
        _paragraph(say["intro"]),
        _choices(view),
        _rights(view),
        _footer(view.words, view.path, say["until"].format(date=f"{view.until:%Y-%m-%d}")),
    ]
    return _document(view.words, say["title"], body)


def erasure_page(words: Words, brand: str, path: str) -> str:
    """Asks once more before everything is erased."""
    say = words.say
    buttons = (
        f'<div class="row"><button class="alarm">{escape(say["erase_confirm"])}</button>'
        f'<a class="button" href="{escape(path)}?lang={words.language}">{escape(say["cancel"])}</a></div>'
    )
    form = _form(f"{path}/erasure", words, buttons)
    body = [_heading(brand, say["erase_title"]), _paragraph(say["erase_warning"]), form]
    return _document(words, say["erase_title"], body)


def unsubscribe_page(words: Words, brand: str, path: str, *, done: bool) -> str:
    """One button, or that it is done."""
    say = words.say
    button = f'<button class="main">{escape(say["unsubscribe_confirm"])}</button>'
    act = (
        [_said(words, "unsubscribed")]
        if done
        else [_paragraph(say["unsubscribe"]), _form(path, words, button)]
    )
    body = [_heading(brand, say["unsubscribe_title"]), *act, _footer(words, path, None)]
    return _document(words, say["unsubscribe_title"], body)


def plain_page(words: Words, brand: str, title: str, text: str) -> str:
    """A page that only says something; `title` and `text` name phrases."""
    say = words.say
    return _document(words, say[title], [_heading(brand, say[title]), _paragraph(say[text])])


def _choices(view: PreferenceView) -> str:
    say = view.words.say
    rows = "".join(_choice(view, choice.name) for choice in CHOICES)
    young = f'<p class="said">{escape(say["young"])}</p>' if view.too_young else ""
    fields = f"<fieldset><legend>{escape(say['choices'])}</legend>{young}{rows}</fieldset>"
    save = f'<div class="row"><button class="main">{escape(say["save"])}</button></div>'
    off = _act(view, "off", "all_off", "all_off_hint")
    return (
        f'<div class="card">{_form(view.path, view.words, fields + save)}</div><div class="card">{off}</div>'
    )


def _choice(view: PreferenceView, name: str) -> str:
    notice, on = view.words.notices[name], name in view.allowed
    shown = f'<input type="hidden" name="shown" value="{name}">' if on else ""
    state = (" checked" if on else "") + (" disabled" if view.too_young and not on else "")
    return (
        f'<div class="choice"><label for="{name}">{escape(notice.label)}</label>'
        f'<input type="checkbox" role="switch" id="{name}" name="allow" value="{name}"'
        f' aria-describedby="{name}-notice"{state}>'
        f'<p class="hint" id="{name}-notice">{escape(notice.text)}</p>{shown}</div>'
    )


def _rights(view: PreferenceView) -> str:
    say = view.words.say
    erase = (
        f'<div class="right"><a class="button" href="{escape(view.path)}/erasure?lang={view.words.language}"'
        f' aria-describedby="erase-hint">{escape(say["erase"])}</a>'
        f'<p class="hint" id="erase-hint">{escape(say["erase_hint"])}</p></div>'
    )
    return (
        f'<section class="card" aria-labelledby="rights"><h2 id="rights">{escape(say["rights"])}</h2>'
        f"{_act(view, 'export', 'export', 'export_hint')}{_act(view, 'objection', 'object', 'object_hint')}"
        f"{erase}</section>"
    )


def _act(view: PreferenceView, action: str, phrase: str, hint: str) -> str:
    say = view.words.say
    button = (
        f'<button aria-describedby="{action}-hint">{escape(say[phrase])}</button>'
        f'<p class="hint" id="{action}-hint">{escape(say[hint])}</p>'
    )
    return f'<div class="right">{_form(f"{view.path}/{action}", view.words, button)}</div>'


def _form(path: str, words: Words, inner: str) -> str:
    hidden = f'<input type="hidden" name="lang" value="{words.language}">'
    return f'<form method="post" action="{escape(path)}">{hidden}{inner}</form>'


def _said(words: Words, said: str | None) -> str:
    return f'<p class="said" role="status">{escape(words.say[said])}</p>' if said in SAID else ""


def _heading(brand: str, title: str) -> str:
    return f'<p class="brand">{escape(brand)}</p><h1>{escape(title)}</h1>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _footer(words: Words, path: str, note: str | None) -> str:
    links = "".join(
        f'<li><a href="{escape(path)}?lang={code}" lang="{code}" hreflang="{code}"'
        f"{' aria-current=page' if code == words.language else ''}>{escape(name)}</a></li>"
        for code, name in languages().items()
    )
    small = "".join(f'<p class="small">{escape(text)}</p>' for text in (note, words.say["contact"]) if text)
    return (
        f'<footer>{small}<nav aria-label="{escape(words.say["languages"])}">'
        f'<ul class="languages">{links}</ul></nav></footer>'
    )


def _document(words: Words, title: str, body: Iterable[str]) -> str:
    """Whole page: what stands before the footer is its main part."""
    *main, last = body
    footer = last if last.startswith("<footer") else ""
    inner = "".join(main if footer else [*main, last])
    return (
        f'<!doctype html><html lang="{words.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex, nofollow">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head>"
        f'<body><div class="page"><main>{inner}</main>{footer}</div></body></html>'
    )


@cache
def _style() -> str:
    return files("consent").joinpath("preference.css").read_text("utf-8").strip()


@cache
def _style_digest() -> str:
    return b64encode(sha256(_style().encode()).digest()).decode()
