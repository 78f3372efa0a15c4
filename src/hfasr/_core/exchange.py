"""Requests of one route: credentials, redirects, the log of attempts, and what must not leak."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from hfasr._hosted.failures import diagnose
from hfasr._hosted.replies import request_id
from hfasr._hosted.servers import origin
from hfasr.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    HfasrError,
    ModelLoadingError,
    NotFoundError,
)
from hfasr.wire import Request

from .cancel import Cancelled
from .context import CANCELLED, user_agent
from .gates import gate_of
from .hidden import Secrets
from .http import Reach
from .limiter import Outcome

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Failure, Server
    from hfasr.wire import Response

    from .about import About
    from .context import CallContext
    from .gates import Gate
    from .limiter import Ticket
    from .routes import HostedRoute

__all__ = ["Exchange"]

_MAX_REDIRECTS = 3
_REACH = Reach()


def _trace_id() -> str:
    # Of ordinary chance: it is no secret, and asking the system for 16 bytes was seen to take 150 µs.
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


class Exchange:
    """Sends the requests of one call over one route, until *expires* on the call's clock."""

    def __init__(self, call: CallContext, route: HostedRoute, expires: float | None) -> None:
        self._call = call
        self._route = route
        self._expires = expires
        self._secrets = Secrets(None)

    def left(self) -> float | None:
        """Return the seconds that this route may still use, ``None`` for no limit; may be negative."""
        return None if self._expires is None else self._expires - self._call.io.clock.now()

    async def send(self, request: Request, server: Server, about: About | None = None) -> Response:
        """
        Send *request* with credentials, following redirects of the same server, and record it.

        *about* says what it is for, where that is audio.

        Raises:
            APIError: No answer, or a redirect that is not followed.
        """
        headers = {**request.headers, **await self._headers(server, about)}
        request = Request(request.method, request.url, headers, request.content, about)
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._send_once(request, server)
            if response.status_code not in {301, 302, 303, 307, 308}:
                return response
            request = self._redirected(request, response)
        raise APIConnectionError(f"{server.name} redirects in circles; correct the address", permanent=True)

    async def _send_once(self, request: Request, server: Server) -> Response:
        call = self._call
        left = self.left()
        if left is not None and left <= 0:
            raise APITimeoutError("the time for this route was used up before the request could be sent")
        gate, longest = gate_of(request.url, call.io.clock), call.config.retry.max_retry_after
        ticket = await self._enter(gate, longest)
        answer: Response | None = None
        outcome = Outcome.UNKNOWN
        try:
            answer = response = await self._send_now(request)
            outcome = self._outcome(response, server)
            return response
        finally:
            gate.leave(ticket, outcome, response=answer, longest=longest)

    async def _enter(self, gate: Gate, longest: float) -> Ticket:
        """Wait for this request's turn at its server."""
        ticket = gate.try_enter()
        if ticket is not None:
            return ticket
        call, began = self._call, self._call.io.clock.now()
        try:
            return await gate.enter(call.io, self._route.name, expires=self._expires, longest=longest)
        finally:
            call.count_wait(call.io.clock.now() - began)

    async def _send_now(self, request: Request) -> Response:
        call, began = self._call, self._call.io.clock.now()
        try:
            response = await call.io.send(request, timeout=call.config.timeout, expires_in=self.left(), reach=_REACH)
        except HfasrError as error:
            self._secrets.out_of_error(error)
            status = getattr(error, "status_code", None)
            call.record(self._route.name, began, status=status, error=type(error).__name__)
            raise
        except BaseException as error:
            if type(error) is not Cancelled:  # which is told before anything is sent
                call.record(self._route.name, began, status=None, error=CANCELLED)
            raise
        found = self._secrets.out_of_id(request_id(response))
        call.record(self._route.name, began, status=response.status_code, error=None, request_id=found)
        return response

    def _outcome(self, response: Response, server: Server) -> Outcome:
        """Say what *response* means for the server's load."""
        status = response.status_code
        if status == 429:
            return Outcome.LIMITED
        if status == 503:  # a model that is loading says nothing of the others
            failure = diagnose(response, server, wall=self._call.io.clock.wall(), duration=None)
            return Outcome.UNKNOWN if isinstance(failure.error, ModelLoadingError) else Outcome.OVERLOADED
        if status in {408, 504}:
            return Outcome.OVERLOADED
        return Outcome.ACCEPTED if status < 500 else Outcome.UNKNOWN

    def failed(self, error: HfasrError) -> None:
        """Name *error* in the attempt that was just recorded as answered, and hide in it what is secret."""
        self._secrets.out_of_error(error)
        self._call.failed(error)

    def diagnose(self, response: Response, server: Server, duration: float | None) -> Failure:
        """Say what a failed *response* means, and forget what it proves wrong."""
        failure = diagnose(response, server, wall=self._call.io.clock.wall(), duration=duration)
        self.failed(failure.error)
        if isinstance(failure.error, NotFoundError):
            self._call.shared.dialects.pop(self._route.base_url, None)  # another server may stand there now
        if isinstance(failure.error, AuthenticationError):
            self._call.shared.forget_token()
        return failure

    def _redirected(self, request: Request, response: Response) -> Request:
        status, location = response.status_code, response.headers.get("location", "")
        try:
            target = urljoin(request.url, location)
            same = location != "" and origin(target) == origin(request.url)
        except ValueError:
            target, same = "", False
        if same and status in {307, 308}:
            return replace(request, url=target)
        where = "another server" if location and not same else "a page"
        error = APIStatusError(
            f"{self._route.name} answered {status} and points to {where}, where neither audio nor token is sent; "
            "set base_url= (or router_url=) to the right address",
            status_code=status,
            request_id=request_id(response),
        )
        self.failed(error)
        raise error

    async def _headers(self, server: Server, about: About | None) -> dict[str, str]:
        config = self._call.config
        headers = {"user-agent": user_agent(), "x-amzn-trace-id": _trace_id()}
        token = await self._find_token()
        self._secrets = Secrets(token, None if about is None else about.ask.prompt)
        if token:
            headers["authorization"] = f"Bearer {token}"
        if config.bill_to and self._route.behind_router:
            headers["x-hf-bill-to"] = config.bill_to
        if server.endpoint:
            headers["x-scale-up-timeout"] = str(self._hold_s())
        return headers

    def _hold_s(self) -> int:
        """Return how long an endpoint's proxy may hold the request: less than we wait for an answer."""
        left, config = self.left(), self._call.config
        limits = [config.timeout, config.retry.loading_timeout, *([] if left is None else [left])]
        return max(1, int(min(limits) * 0.9))

    async def _find_token(self) -> str | None:
        route, shared = self._route, self._call.shared
        token = route.explicit_token
        if token is None and route.finds_token:
            token = shared.known_token or await self._call.io.offload(shared.find_token)
        if token is None and route.needs_token:
            raise AuthenticationError(
                "no Hugging Face token was found: run `hf auth login` or set HF_TOKEN, "
                'or choose a local engine such as backend="pocketsphinx"',
                status_code=401,
            )
        return token
