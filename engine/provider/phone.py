"""The pretend phone: a page with every text that arrived, by number, from which one can answer."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from engine.provider.notifications import Notification
from engine.provider.twilio_message import TextMessage

SHOWN_PHONES, SHOWN_TEXTS = 20, 12
"""The phones that were heard of last, and the newest texts on each."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pretend phone</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; color: #1e293b }}
section {{ border: 1px solid #cbd5e1; border-radius: .8rem; padding: 1rem; margin: 1rem 0 }}
p {{ padding: .5rem .8rem; border-radius: .8rem; max-width: 80%; width: fit-content; margin: .4rem 0; white-space: pre-wrap }}
.came {{ background: #f1f5f9 }} .went {{ background: #dbeafe; margin-left: auto }}
small {{ color: #64748b; display: block }} form {{ display: flex; gap: .5rem; margin-top: .8rem }}
input {{ flex: 1; padding: .4rem .6rem }}
</style></head><body>
<h1>Pretend phone</h1>
<p class="came">Texts that the engine sends arrive here, and go no further. Answer one: STOP is heard as a real one would be.</p>
<main>{phones}</main>
<script>
// The list is fetched anew; what somebody is typing stays.
setInterval(async () => {{
  const active = document.activeElement;
  if (active && active.tagName === "INPUT" && active.value && active.value !== "STOP") return;
  const fresh = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  const main = document.querySelector("main"), now = fresh.querySelector("main");
  if (main.innerHTML !== now.innerHTML) main.replaceChildren(...now.childNodes);
}}, 1000);
</script></body></html>
"""


def phone_page(messages: Iterable[TextMessage], notifications: Sequence[Notification] = ()) -> str:
    """The page. All are oldest first; a shopper's number is the one that is not ours."""
    phones: dict[str, list[TextMessage]] = {}
    for message in messages:
        number = theirs(message)
        phones[number] = [*phones.pop(number, []), message][-SHOWN_TEXTS:]
    shown = list(phones.items())[-SHOWN_PHONES:][::-1]
    drawn = "".join(_phone(number, texts) for number, texts in shown)
    if notifications:
        drawn += f"<section><h2>Notifications</h2>{''.join(map(_notification, notifications[:-SHOWN_PHONES:-1]))}</section>"
    return PAGE.format(phones=drawn or "<p>Nothing has arrived yet.</p>")


def theirs(message: TextMessage) -> str:
    """The shopper's number of a message."""
    return (message.from_ or "") if message.direction == "inbound" else message.to


def ours(message: TextMessage) -> str:
    """The sender's name or number of a message, or the service that stands for it."""
    return message.to if message.direction == "inbound" else message.from_ or message.service or ""


def _phone(number: str, texts: Sequence[TextMessage]) -> str:
    lines = "".join(
        f"<small>{escape(sender)}</small>" + "".join(_line(each) for each in said)
        for sender, said in groupby(texts, key=ours)
    )
    hidden = f'<input type="hidden" name="from" value="{escape(number)}">'
    to = f'<input type="hidden" name="to" value="{escape(ours(texts[-1]))}">'
    text = '<input name="body" value="STOP" maxlength="1600" aria-label="text to send">'
    form = f'<form method="post" action="/phone/texts">{hidden}{to}{text}<button>Send</button></form>'
    return f"<section><h2>{escape(number)}</h2>{lines}{form}</section>"


def _notification(shown: Notification) -> str:
    told = f"{shown.service} {shown.address[:12]}…{', silent' if shown.silent else ''}, good for {shown.valid_seconds} s"
    return (
        f'<p class="came"><b>{escape(shown.title)}</b>\n{escape(shown.body)}<small>{escape(told)}</small></p>'
    )


def _line(message: TextMessage) -> str:
    side = "went" if message.direction == "inbound" else "came"
    told = f"<small>{message.created_at:%H:%M:%S} {escape(message.status)}</small>"
    return f'<p class="{side}">{escape(message.body)}{told}</p>'
