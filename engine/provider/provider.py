"""The whole provider: the pretended services behind one address, the phone, and the calls that set faults."""

import contextlib
import re
import threading
from collections import Counter
from dataclasses import replace
from html import unescape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2

from engine.clock import Now, wall_clock
from engine.provider.apns_api import ApnsApi
from engine.provider.callbacks import Caller, Post, posting
from engine.provider.control import Unfit, read_browser, read_json, read_text, told
from engine.provider.exchange import NOTHING, Answer, Request, as_json, as_page
from engine.provider.fault import NO_FAULTS, Fault, Faults, InvalidPlan, Plan, plan_from_json, plan_json
from engine.provider.fcm_api import FcmApi
from engine.provider.notifications import Notifications
from engine.provider.phone import phone_page
from engine.provider.server import LocalServer
from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN, TwilioApi
from engine.provider.web_push_api import WebPushApi
from engine.provider.webhook_api import PATH as WEBHOOK_PATH
from engine.provider.webhook_api import SECRET as WEBHOOK_SECRET
from engine.provider.webhook_api import WebhookApi

if TYPE_CHECKING:
    from engine.provider.http2_server import Http2Server

DELIVERY_SECONDS = 0.2
SENDER = "36111"
"""From whom the demo's texts come: a French short code, which can be answered."""
_REPLY = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)


class Provider:
    """Runs while it is entered. With `delivers`, a thread delivers messages and makes the callbacks; without, a test
    says when (`deliver`). Apple's service has a port of its own, if it is given one. `public_url` is what the engine calls itself, `callback_url` where it really listens.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account: str = ACCOUNT_SID,
        token: str = AUTH_TOKEN,
        public_url: str = "http://127.0.0.1:8000",
        callback_url: str | None = None,
        plan: Plan = NO_FAULTS,
        dead: dict[str, int] | None = None,
        delivers: bool = False,
        now: Now = wall_clock,
        post: Post | None = None,
        apns_port: int | None = None,
    ) -> None:
        self.faults = Faults(plan)
        self.twilio = TwilioApi(account=account, token=token, now=now, faults=self.faults, dead=dead)
        self.notifications = Notifications()
        self.fcm = FcmApi(self.notifications, self.faults, lambda: self.url)
        self.web_push = WebPushApi(self.notifications, self.faults, lambda: self.url)
        self.apns = ApnsApi(self.notifications, self.faults, now)
        self._http2 = None if apns_port is None else _http2(self.apns, host, apns_port)
        self.webhook = WebhookApi(self.notifications, self.faults)
        self.called: Counter[int] = Counter()
        """How the engine answered the callbacks, by status; 0 is no answer."""
        self._server = LocalServer(self.answer, host, port)
        self._client = httpx2.Client()
        self._caller = Caller(token, public_url, callback_url or public_url, post or posting(self._client))
        self._stop = threading.Event()
        self._delivers = delivers

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._server)
            if self._http2:
                opened.enter_context(self._http2)
            self._opened = opened.pop_all()
        self._thread = threading.Thread(target=self._run, name="local provider's callbacks")
        if self._delivers:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._delivers:
            self._thread.join()
        self._opened.close()
        self._client.close()

    @property
    def url(self) -> str:
        """Where it listens; the engine's ``CHALAND_TWILIO_API_URL``."""
        return self._server.url

    @property
    def apns_url(self) -> str:
        """Where Apple's service listens, over HTTP/2; only with an `apns_port`."""
        assert self._http2
        return self._http2.url

    @property
    def engine_settings(self) -> dict[str, str]:
        """What the engine is set to, so that it sends here; its auth token is not among it."""
        return {
            "sms_channel": "twilio",
            "twilio_account_sid": self.twilio.account,
            "twilio_from": SENDER,
            "twilio_api_url": self.url,
        }

    def engine_listens_at(self, url: str) -> None:
        """From now on callbacks go there, signed as before."""
        self._caller = replace(self._caller, callback_url=url)

    def fail_next(self, *faults: Fault, method: str = "POST") -> None:
        """Let the coming calls fail so, one each."""
        self.faults.fail_next(*faults, method=method)

    def deliver(self) -> list[int]:
        """Deliver what is under way and make its callbacks, as the plan of faults has them; how each was answered."""
        statuses = [self._caller.report(report) for report in self.twilio.deliver()]
        self.called.update(statuses)
        return statuses

    def text(self, from_: str, to: str, body: str) -> tuple[int, str]:
        """Text from a pretend phone to the product. Its answer's status and TwiML; a reply in it arrives on the phone."""
        message = self.twilio.add(to=to, from_=from_, body=body, status="received", direction="inbound")
        status, twiml = self._caller.text(message)
        for reply in _REPLY.findall(twiml) if status == 200 else ():
            words = unescape(reply)
            self.twilio.add(to=from_, from_=to, body=words, status="queued", direction="outbound-reply")
        return status, twiml

    def answer(self, request: Request) -> Answer:
        """Answer one call of any of the services."""
        if request.path.startswith("/2010-04-01/"):
            return self.twilio.answer(request)
        if self.fcm.answers(request):
            return self.fcm.answer(request)
        if self.web_push.answers(request):
            return self.web_push.answer(request)
        if (request.method, request.path) == ("POST", WEBHOOK_PATH):
            return self.webhook.answer(request)
        try:
            return self._own(request)
        except (Unfit, InvalidPlan) as error:
            return told(str(error))

    def _own(self, request: Request) -> Answer:
        match request.method, request.path:
            case "GET", "/":
                return as_page(phone_page(self.twilio.texts(), self.notifications.shown()))
            case "POST", "/phone/texts":
                self.text(*read_text(request.form))
                return Answer(303, headers={"Location": "/"})
            case "GET", "/control":
                return as_json(200, self._state())
            case "PUT", "/control/faults":
                self.faults.follow(plan_from_json(read_json(request.body)))
                return as_json(200, plan_json(self.faults.plan))
            case "POST", "/control/texts":
                status, twiml = self.text(*read_text(read_json(request.body)))
                return as_json(200, {"status": status, "twiml": twiml})
            case "GET", "/control/fcm-account" | "/control/apns-key" | "/control/webhook":
                return self._credentials(request.path)
            case "POST", "/control/browsers":
                return as_json(200, self.web_push.subscribe(*read_browser(read_json(request.body))))
            case "DELETE", "/control/messages":
                self.twilio.forget()
                self.notifications.forget()
                return NOTHING
            case _:
                return as_json(404, {"error": "no such call; `chaland provider --help` lists them"})

    def _credentials(self, path: str) -> Answer:
        """What the engine needs to push here, as the real services hand it out."""
        if path.endswith("apns-key"):
            return Answer(200, self.apns.key_file().encode(), "application/x-pem-file")
        if path.endswith("webhook"):
            return as_json(200, {"url": f"{self.url}{WEBHOOK_PATH}", "secret": WEBHOOK_SECRET})
        return as_json(200, self.fcm.account())

    def _state(self) -> dict[str, Any]:
        return {
            "faults": plan_json(self.faults.plan),
            "callbacks": {str(status): count for status, count in sorted(self.called.items())},
            "messages": len(self.twilio.texts()),
            "pushes": self.notifications.received,
            "counts": self.twilio.counts(),
        }

    def _run(self) -> None:
        while not self._stop.wait(DELIVERY_SECONDS):
            self.deliver()


def _http2(apns: ApnsApi, host: str, port: int) -> "Http2Server":
    from engine.provider.http2_server import (
        Http2Server,
    )  # a library of its own, for whoever has Apple's service

    return Http2Server(apns.answer, host, port)
