"""Twilio's Messages API: create, fetch, list, redact, cancel and delete, and what becomes of a message afterwards."""

import re
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from engine.clock import Now, wall_clock
from engine.provider.exchange import DROPPED, HUNG, NOTHING, Answer, Request, as_json
from engine.provider.fault import Fault, Faults, retry_after
from engine.provider.twilio_errors import REFUSED_FROM, REFUSED_TO, refusal
from engine.provider.twilio_message import API, ENDED, TextMessage, message_json, page_json

ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  # known to everybody, like the account
MESSAGES_LIMIT = 200_000
"""Messages, and calls, that are remembered; the oldest go first."""
BODY_LIMIT_CHARS = 1600
VALIDITY_LIMIT_SECONDS = 36_000

_COLLECTION = re.compile(rf"^{API}/(AC[0-9a-fA-F]{{32}})/Messages\.json$")
_ITEM = re.compile(rf"^{API}/(AC[0-9a-fA-F]{{32}})/Messages/(SM[0-9a-f]{{32}})(/Media)?\.json$")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Report:
    """One status callback: where it goes, and the message as it was at that moment."""

    url: str
    message: TextMessage


class TwilioApi:
    """One account, and its messages. `requests` holds every form that was posted, oldest first.

    `dead` tells of a number with which code its messages end as undelivered. May be asked from several threads.
    """

    def __init__(
        self,
        *,
        account: str = ACCOUNT_SID,
        token: str = AUTH_TOKEN,
        now: Now = wall_clock,
        faults: Faults | None = None,
        dead: Mapping[str, int] | None = None,
    ) -> None:
        self.account = account
        self.token = token
        self.requests: list[dict[str, str]] = []
        self.faults = faults or Faults()
        self.dead = dict(dead or {})
        self._now = now
        self._lock = threading.RLock()
        self._sids = (f"SM{number:032x}" for number in count(1))
        self._texts: dict[str, TextMessage] = {}
        self._under_way: list[str] = []

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        """Every message as the API shows it, by sid, oldest first."""
        return {each.sid: message_json(each) for each in self.texts()}

    def texts(self) -> list[TextMessage]:
        """Every message, oldest first."""
        with self._lock:
            return list(self._texts.values())

    def counts(self) -> dict[str, Counter[str]]:
        """How often the product sent each of its own messages (by its id in the callback's query), and each body."""
        sent = [each for each in self.texts() if each.direction == "outbound-api"]
        return {
            "by_id": Counter(each.our_id for each in sent if each.our_id),
            "by_body": Counter(each.body for each in sent),
        }

    def create(self, form: Mapping[str, str]) -> TextMessage:
        """Take a message as a POST's form has it."""
        service = form.get("MessagingServiceSid")
        return self.add(
            to=form.get("To", ""),
            from_=form.get("From"),
            body=form.get("Body", ""),
            status="accepted" if service else "queued",
            service=service,
            callback=form.get("StatusCallback"),
        )

    def add(self, *, to: str, from_: str | None, body: str, status: str, **more: Any) -> TextMessage:
        """Keep a message that came about, in either direction."""
        with self._lock:
            at = self._now()
            message = TextMessage(next(self._sids), self.account, to, from_, body, status, at, at, **more)
            self._texts[message.sid] = message
            if status not in ENDED:
                self._under_way.append(message.sid)
            if len(self._texts) > MESSAGES_LIMIT:
                del self._texts[next(iter(self._texts))]
        return message

    def deliver(self) -> list[Report]:
        """Bring every message that is under way to its end; the callbacks to make, as they really go out."""
        with self._lock:
            sids, self._under_way = self._under_way, []
            made = [self._end(self._texts[sid]) for sid in sids if sid in self._texts]
        return [report for reports in made for report in self.faults.of_callbacks(reports)]

    def forget(self) -> None:
        """Remove every message."""
        with self._lock:
            self._texts.clear()
            self._under_way.clear()
            self.requests.clear()

    def answer(self, request: Request) -> Answer:
        """Answer one call of the API."""
        if not self._is_authorised(request):
            return refusal(401, 20003)
        found = _COLLECTION.match(request.path) or _ITEM.match(request.path)
        if found is None or found[1] != self.account:
            return refusal(404, 20404)
        form = request.form
        creates = request.method == "POST" and found.re is _COLLECTION
        if creates:
            self._note(form)
        fault = self.faults.of_call(request.method)
        if fault is None:
            return self._do(request, found)
        if not (fault.status or fault.hang or fault.drop):  # only late
            return replace(self._do(request, found), delay_seconds=fault.delay_seconds)
        if fault.accept:
            self._do(request, found)
        return replace(_failed(fault, form.get("To", "")), delay_seconds=fault.delay_seconds)

    def _note(self, form: dict[str, str]) -> None:
        with self._lock:
            self.requests.append(form)
            del self.requests[:-MESSAGES_LIMIT]

    def _do(self, request: Request, found: re.Match[str]) -> Answer:
        if found.re is _COLLECTION:
            return self._list(request) if request.method == "GET" else self._take(request.form)
        with self._lock:
            message = self._texts.get(found[2])
            if message is None:
                return refusal(404, 20404)
            if found[3]:
                return as_json(200, {"media_list": [], **_empty_page(request)})
            return self._on_one(request, message)

    def _on_one(self, request: Request, message: TextMessage) -> Answer:
        match request.method:
            case "GET":
                return as_json(200, message_json(message))
            case "DELETE":
                if message.status not in ENDED:
                    return refusal(409, 20009)
                del self._texts[message.sid]
                return NOTHING
            case "POST" if request.form.get("Body") == "":
                return as_json(200, message_json(self._change(message, body="")))
            case "POST" if request.form.get("Status") == "canceled" and message.status not in ENDED:
                self._under_way = [sid for sid in self._under_way if sid != message.sid]
                return as_json(200, message_json(self._change(message, status="canceled")))
            case _:
                return refusal(400, 20001)

    def _take(self, form: Mapping[str, str]) -> Answer:
        if code := _fault_of(form):
            return refusal(400, code, of=form.get("To", "") if code in REFUSED_TO.values() else "")
        return as_json(201, message_json(self.create(form)))

    def _list(self, request: Request) -> Answer:
        try:
            return as_json(200, page_json(request.path, request.parameters, self.texts()[::-1]))
        except ValueError:
            return refusal(400, 20001)

    def _end(self, message: TextMessage) -> list[Report]:
        """Let a message pass through every status that is left to it; what is to be said about each."""
        code = self.dead.get(message.to)
        passed = [message] if message.status == "queued" else [self._change(message, status="queued")]
        passed.append(self._change(passed[-1], status="sent", sent_at=self._now()))
        end = {"status": "undelivered", "error_code": code} if code else {"status": "delivered"}
        passed.append(self._change(passed[-1], **end))
        return [Report(each.callback, each) for each in passed if each.callback]

    def _change(self, message: TextMessage, **changes: Any) -> TextMessage:
        changed = replace(message, updated_at=self._now(), **changes)
        self._texts[message.sid] = changed
        return changed

    def _is_authorised(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            return scheme == "Basic" and b64decode(value).decode() == f"{self.account}:{self.token}"
        except ValueError:
            return False


def _fault_of(form: Mapping[str, str]) -> int | None:
    """The code with which Twilio refuses a new message; None if it takes it."""
    to, from_, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    validity = form.get("ValidityPeriod", "1")
    faults: Iterable[tuple[bool, int]] = (
        (not to, 21604),
        (not from_ and not form.get("MessagingServiceSid"), 21603),
        (not body, 21602),
        (len(body) > BODY_LIMIT_CHARS, 21617),
        (not _PHONE.fullmatch(to), 21211),
        (not validity.isdecimal() or not 1 <= int(validity) <= VALIDITY_LIMIT_SECONDS, 20001),
    )
    wrong = next((code for is_wrong, code in faults if is_wrong), None)
    return wrong or REFUSED_FROM.get(from_) or REFUSED_TO.get(to)


def _failed(fault: Fault, to: str) -> Answer:
    if fault.hang:
        return HUNG
    if fault.drop:
        return DROPPED
    if fault.body is not None:
        return Answer(fault.status, fault.body)
    refused = refusal(fault.status, fault.code, problem_json=fault.problem_json, of=to)
    return replace(refused, headers=retry_after(fault))


def _empty_page(request: Request) -> dict[str, Any]:
    uri = f"{request.path}?PageSize=50&Page=0"
    ends: dict[str, Any] = {"next_page_uri": None, "previous_page_uri": None, "uri": uri}
    return ends | {"end": 0, "start": 0, "page": 0, "page_size": 50, "first_page_uri": uri}
