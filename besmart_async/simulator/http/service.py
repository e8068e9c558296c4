"""The ASGI application below the base path: one request from its arrival to the last byte of its answer."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING

import orjson

from besmart_async.simulator.dialect import dialect_of
from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.faults import Fault, Faults
from besmart_async.simulator.http.refusals import Refusal
from besmart_async.simulator.http.requests import Arrival, RecordedRequest
from besmart_async.simulator.http.responses import ServiceResponse, too_large
from besmart_async.simulator.http.sending import ABORT, ResponseSender, end_connection
from besmart_async.simulator.http.tokens import Tokens
from besmart_async.simulator.routing import router
from besmart_async.simulator.routing.declarations import Route
from besmart_async.simulator.routing.validation import json_body, path_values, query_values
from besmart_async.simulator.settings import Settings
from besmart_async.simulator.storage.database import transaction
from besmart_async.simulator.storage.store import EntityStore

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Service:
    """The operations over ASGI, with everything a test may want to see or break."""

    def __init__(
        self, settings: Settings, store: EntityStore, tokens: Tokens, faults: Faults, graph_names: set[str]
    ) -> None:
        self.settings = settings
        self.store = store
        self.tokens = tokens
        self.faults = faults
        self.graph_names = graph_names
        self.runs: list[dict[str, object]] = []
        self.requests: deque[RecordedRequest] = deque(maxlen=settings.requests_kept)
        self.counts: Counter[str] = Counter()
        self.in_flight = 0
        self.peak_in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        record, route, found, refusal = self._arrived(scope)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            sender = ResponseSender(scope, receive, send, self.settings, record)
            if self._refuse_unread(record):
                await sender.send(too_large(), close=True)
                return
            body = await _read(receive)
            if body is None:
                return
            record.body_bytes = len(body)
            record.body = body if self.settings.keep_bodies else None
            arrival = Arrival(record=record, route=route, found=found, body=body)
            await self._serve(arrival, refusal, sender, self.faults.take(arrival))
        finally:
            self.in_flight -= 1
            record.finished_at = self.settings.now_ms()
            if self.settings.on_request is not None:
                self.settings.on_request(record)

    def _arrived(self, scope: Scope) -> tuple[RecordedRequest, Route | None, dict[str, str], Refusal | None]:
        path = scope["path"][len(scope.get("root_path", "")) :] or "/"
        route, found, refusal = None, dict[str, str](), None
        try:
            route, found = router.find(self.settings.dialect, scope["method"], path)
        except Refusal as error:
            refusal = error
        record = RecordedRequest(
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            operation=route.operation if route else None,
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            at=self.settings.now_ms(),
        )
        self.requests.append(record)
        self.counts[record.operation or ""] += 1
        return record, route, found, refusal

    def _refuse_unread(self, record: RecordedRequest) -> bool:
        limit, length = self.settings.max_body_bytes, record.headers.get("content-length", "")
        if limit is None or not self.settings.close_on_413 or not length.isdecimal():
            return False
        record.body_bytes = int(length)
        return int(length) > limit

    async def _serve(self, arrival: Arrival, refusal: Refusal | None, sender: ResponseSender, hit: list[Fault]) -> None:
        record = arrival.record
        record.faults = len(hit)
        await _wait(sum(fault.latency_s for fault in hit))
        decisive = next((fault for fault in hit if fault.decisive), Fault())
        if decisive.reset == "before":
            await end_connection(sender.scope, sender.receive, ABORT)
            return
        answer = ServiceResponse(500)
        if decisive.status is None or decisive.apply:
            answer = self._answer(arrival, refusal, decisive)
        await _wait(sum(fault.latency_after_s for fault in hit))
        if decisive.reset == "after":
            await end_connection(sender.scope, sender.receive, ABORT)
            return
        if 200 <= answer.status < 300 and arrival.operation == "sensors.post_signals_data":
            answer = self._rearranged(answer, hit)
        await sender.send_faulty(answer, decisive, hit, self.faults.random)

    def _rearranged(self, answer: ServiceResponse, hit: list[Fault]) -> ServiceResponse:
        if not any(f.shuffle or f.drop or f.drop_keys or f.duplicate or f.extra for f in hit):
            return answer
        return ServiceResponse.of(answer.status, self.faults.rearranged(orjson.loads(answer.body), hit))

    def _answer(self, arrival: Arrival, refusal: Refusal | None, fault: Fault) -> ServiceResponse:
        """The answer of a service without faults, the partial application of a bulk write aside."""
        limit = self.settings.max_body_bytes
        if limit is not None and len(arrival.body) > limit:
            return too_large()
        dialect = dialect_of(self.settings)
        try:
            if refusal is not None or arrival.route is None:
                raise refusal or Refusal(404, "Resource not found")
            with transaction(self.store.connection):
                context = self._context(arrival, arrival.route, fault)
                answer = arrival.route.handler(context)
            arrival.record.applied = True
        except router.MethodNotAllowed as error:
            return dialect.refused(error, (("allow", ", ".join(error.allowed)),))
        except Refusal as error:
            return dialect.refused(error)
        if fault.apply_items is not None:
            return dialect.refused(Refusal(500, "ServerError"))
        return answer

    def _context(self, arrival: Arrival, route: Route, fault: Fault) -> RequestContext:
        headers = arrival.headers
        token = _bearer(headers.get("authorization"))
        if route.security == "BearerAuth":
            self.tokens.check(token)
        params = path_values(route, arrival.found, samples=self.settings.samples)
        params.update(query_values(route, arrival.record.query.encode("latin-1")))
        return RequestContext(
            store=self.store,
            tokens=self.tokens,
            settings=self.settings,
            params=params,
            body=self._body(arrival, route),
            token=token,
            api_key=headers.get("x-auth"),
            poison=self.faults.poisoned,
            apply_items=fault.apply_items,
            graph_names=self.graph_names,
            runs=self.runs,
        )

    def _body(self, arrival: Arrival, route: Route) -> object:
        if route.body is None:
            if arrival.body:
                raise Refusal(422, "the operation takes no body", ("body",))
            return None
        encoding = arrival.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Refusal(415, f"Content-Encoding {encoding} is not supported")
        if not arrival.body and self.settings.samples and not route.body.required:
            return route.body.absent
        _check_media(arrival.headers.get("content-type", ""), route.body.media_types)
        if route.operation == "users.get_token":
            return arrival.json  # every unreadable body is a failed login, never a 422
        return json_body(arrival.body)


def _check_media(content_type: str, expected: tuple[str, ...]) -> None:
    media, _, options = content_type.partition(";")
    charset = options.strip().lower().removeprefix("charset=").strip('"')
    if media.strip().lower() not in expected or charset not in {"", "utf-8", "utf8"}:
        raise Refusal(415, f"Content-Type {content_type!r} is not supported, send {expected[0]}")


async def _wait(seconds: float) -> None:
    if seconds == float("inf"):
        await asyncio.get_running_loop().create_future()
    elif seconds > 0:
        await asyncio.sleep(seconds)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None if the client went away before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
