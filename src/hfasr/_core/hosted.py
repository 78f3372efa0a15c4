"""One call over one hosted route: forms, retries, waits and the token."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from hfasr._hosted.dialect import Fix
from hfasr._hosted.failures import diagnose
from hfasr._hosted.probe import openai_probe, read_probe
from hfasr._hosted.replies import request_id
from hfasr._hosted.servers import origin
from hfasr.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AudioError,
    AuthenticationError,
    BadRequestError,
    HfasrError,
    NotFoundError,
)

from .context import logger, user_agent
from .http import Reach
from .retry import Pacer
from .routes import DIALECTS

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Ask, Dialect, Failure, Form, Server
    from hfasr.audio import Upload
    from hfasr.types import Transcript
    from hfasr.wire import Request, Response

    from .context import CallContext
    from .prepared import PreparedAudio
    from .routes import HostedRoute

__all__ = ["Answer", "AudioRefusedError", "HostedCall"]

_MAX_REDIRECTS = 3
_MAX_FORMS = 8
_REACH = Reach()


class Answer(NamedTuple):
    """A transcript and what was sent for it."""

    transcript: Transcript
    upload: Upload


class AudioRefusedError(Exception):
    """The server says that the audio is damaged, also after decoding it here: no route can mend it."""

    def __init__(self, error: BadRequestError) -> None:
        super().__init__(error)
        self.error = error


class HostedCall:
    """One call over one hosted route, within *window* seconds."""

    def __init__(
        self, call: CallContext, route: HostedRoute, ask: Ask, audio: PreparedAudio, window: float | None
    ) -> None:
        self._call = call
        self._route = route
        self._ask = ask
        self._audio = audio
        self._expires = None if window is None else call.io.clock.now() + window
        self._pacer = Pacer(call.config.retry, call.io.clock)
        self._pause: float | None = None

    async def run(self) -> Answer:
        """
        Return the answer, after as many attempts as the policy allows.

        Raises:
            APIError: The last attempt's.
            AudioError: The audio cannot be sent there.
            AudioRefusedError: The server cannot read it.
        """
        try:
            return await self._attempt()
        except APIError as error:
            self._note(error)
            first = error
        if self._pause is None or self._would_pass(self._pause):
            raise first
        return await self._retried(first)

    def _note(self, error: APIError) -> None:
        self._call.last_api_error = error
        self._pause = self._pacer.pause_after(error)

    def _would_pass(self, pause: float) -> bool:
        left = self._left()
        return left is not None and pause >= left

    def _left(self) -> float | None:
        return None if self._expires is None else self._expires - self._call.io.clock.now()

    async def _retried(self, first: APIError) -> Answer:
        # tenacity takes 33 ms to import and 45 µs a call, so the first attempt does without it.
        from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, APIError) and error is not first:
                self._note(error)
            return self._pause or 0.0

        def stop(_: RetryCallState) -> bool:
            return self._pause is None or self._would_pass(self._pause)

        def announce(_: RetryCallState) -> None:
            error = self._call.last_api_error
            logger.info("%s: %s; trying again in %.1f s", self._route.name, type(error).__name__, self._pause)

        retrying = AsyncRetrying(
            sleep=self._call.sleep,
            wait=wait,
            stop=stop,
            retry=retry_if_exception_type(APIError),
            before_sleep=announce,
            reraise=True,
        )
        pending: APIError | None = first
        async for attempt in retrying:
            with attempt:
                if pending is not None:
                    error, pending = pending, None
                    raise error
                return await self._attempt()
        raise first

    async def _attempt(self) -> Answer:
        """Ask once, in as many forms as the server's complaints call for."""
        dialect, server = await self.find_server()
        shared = self._call.shared
        form = shared.learned_form(server, self._ask) or dialect.first_form(self._ask)
        tried: set[Form] = set()
        failure: Failure | None = None
        while True:
            tried.add(form)
            try:
                upload = await self._audio.upload(form.upload, dialect.accepts, dialect.max_duration_s(server.model))
            except AudioError as error:
                if failure is None:
                    raise
                raise self._final(failure) from error  # it went out once, but cannot be encoded anew
            response = await self.exchange(dialect.build(server, self._ask, form, upload), server)
            if 200 <= response.status_code < 300:
                try:
                    transcript = dialect.parse(response, self._ask, form, upload.duration)
                except APIError as error:
                    self._mark_failed(error)
                    raise
                if len(tried) > 1:
                    shared.learn_form(server, self._ask, replace(form, upload="first"))
                return Answer(_with_warnings(transcript, server, self._ask, form), upload)
            failure = self._diagnose(response, server)
            following = self._next_form(dialect, form, failure, tried, upload)
            if following is None:
                raise self._final(failure)
            logger.info("%s: %s; sending it again with %s", server.name, response.status_code, failure.fix)
            form = following

    def _next_form(
        self, dialect: Dialect, form: Form, failure: Failure, tried: set[Form], upload: Upload
    ) -> Form | None:
        if failure.fix is None or len(tried) >= _MAX_FORMS or (failure.fix is Fix.DECODE and not upload.original):
            return None
        return next((other for other in dialect.other_forms(form, self._ask, failure) if other not in tried), None)

    def _final(self, failure: Failure) -> Exception:
        error = failure.error
        if isinstance(error, NotFoundError):
            self._call.shared.dialects.pop(self._route.base_url, None)  # another server may stand there now
        if isinstance(error, AuthenticationError):
            self._call.shared.forget_token()
        if failure.fix is Fix.DECODE and isinstance(error, BadRequestError):
            return AudioRefusedError(error)
        return error

    def _diagnose(self, response: Response, server: Server) -> Failure:
        failure = diagnose(response, server, wall=self._call.io.clock.wall(), duration=self._audio.duration)
        self._mark_failed(failure.error)
        return failure

    def _mark_failed(self, error: HfasrError) -> None:
        """Name the error in the attempt that was just recorded as answered."""
        self._call.attempts[-1] = replace(self._call.attempts[-1], error=type(error).__name__)

    async def find_server(self) -> tuple[Dialect, Server]:
        """Return what the route's server speaks, asking it once where that is not known."""
        route = self._route
        if route.dialect != "auto":
            return DIALECTS[route.dialect], route.server(route.dialect)
        known = self._call.shared.dialects.get(route.base_url)
        if known is None:
            known = await self._probe()
            self._call.shared.dialects[route.base_url] = known
        name, prefix = known
        return DIALECTS[name], route.server(name, prefix)

    async def _probe(self) -> tuple[str, str | None]:
        for request, prefix in openai_probe(self._route.base_url):
            if request is None:
                return "openai", prefix
            server = self._route.server("openai", prefix)
            response = await self.exchange(request, server)
            speaks = read_probe(response)
            if speaks is None:
                raise self._diagnose(response, server).error
            if speaks:
                return "openai", prefix
        return "hf", None

    async def exchange(self, request: Request, server: Server) -> Response:
        """Send *request* with credentials, following redirects of the same server, and record it."""
        headers = {**request.headers, **await self._headers(server)}
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self.send(replace(request, headers=headers))
            if response.status_code not in {301, 302, 303, 307, 308}:
                return response
            request = self._redirected(request, response)
        raise APIConnectionError(f"{server.name} redirects in circles; correct the address", permanent=True)

    def _redirected(self, request: Request, response: Response) -> Request:
        status, location = response.status_code, response.headers.get("location", "")
        try:
            target = urljoin(request.url, location)
            same = location != "" and origin(target) == origin(request.url)
        except ValueError:
            target, same = "", False
        if not same or status not in {307, 308}:
            where = "another server" if location and not same else "a page"
            error = APIStatusError(
                f"{self._route.name} answered {status} and points to {where}, where neither audio nor token is sent; "
                "set base_url= (or router_url=) to the right address",
                status_code=status,
                request_id=request_id(response),
            )
            self._mark_failed(error)
            raise error
        return replace(request, url=target)

    async def send(self, request: Request) -> Response:
        """Send *request* once and record it."""
        call, began = self._call, self._call.io.clock.now()
        left = self._left()
        if left is not None and left <= 0:
            raise APITimeoutError("the time for this route was used up before the request could be sent")
        try:
            response = await call.io.send(request, timeout=call.config.timeout, expires_in=left, reach=_REACH)
        except HfasrError as error:
            call.record(self._route.name, began, status=getattr(error, "status_code", None), error=type(error).__name__)
            raise
        call.record(self._route.name, began, status=response.status_code, error=None, request_id=request_id(response))
        return response

    async def _headers(self, server: Server) -> dict[str, str]:
        config = self._call.config
        headers: dict[str, Any] = {"user-agent": user_agent(), "x-amzn-trace-id": str(uuid.uuid4())}
        token = await self.token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        if config.bill_to and self._route.behind_router:
            headers["x-hf-bill-to"] = config.bill_to
        if server.endpoint:
            headers["x-scale-up-timeout"] = str(self._hold_s())
        return headers

    def _hold_s(self) -> int:
        """Return how long an endpoint's proxy may hold the request: less than we wait for an answer."""
        left = self._left()
        limits = [self._call.config.timeout, self._call.config.retry.loading_timeout, *([] if left is None else [left])]
        return max(1, int(min(limits) * 0.9))

    async def token(self) -> str | None:
        """
        Return the token that this server may see.

        Raises:
            AuthenticationError: There is none, and the server gives nothing without one.
        """
        route, shared = self._route, self._call.shared
        token = route.explicit_token
        if token is None and route.finds_token:
            token = shared.found_token() if shared.token_is_known else await self._call.io.offload(shared.found_token)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise AuthenticationError(
                "the Hugging Face token that was found holds characters that no header can carry: "
                "run `hf auth login` again",
                status_code=401,
            )
        if token is None and route.needs_token:
            raise AuthenticationError(
                "no Hugging Face token was found: run `hf auth login` or set HF_TOKEN, "
                'or choose a local engine such as backend="pocketsphinx"',
                status_code=401,
            )
        return token


def _with_warnings(transcript: Transcript, server: Server, ask: Ask, form: Form) -> Transcript:
    warnings = [f"{server.name} cannot take {name}; it was left out" for name in sorted(form.dropped)]
    if ask.return_timestamps and transcript.text:
        if not transcript.segments:
            warnings.append(f"{server.name} gave no times for {server.model}")
        elif ask.return_timestamps == "word" and not transcript.words:
            warnings.append(f"{server.name} gave no word times for {server.model}, only segments'")
    return replace(transcript, warnings=(*transcript.warnings, *warnings)) if warnings else transcript
