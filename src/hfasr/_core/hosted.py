"""One call over one hosted route: the forms in which it is put, and the attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hfasr._hosted.dialect import Fix
from hfasr._hosted.probe import openai_probe, read_probe
from hfasr.errors import APIError, AudioError, HfasrError

from .about import About
from .context import logger
from .exchange import Exchange
from .retry import Pacer
from .routes import DIALECTS

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Ask, Dialect, Failure, Form, Server
    from hfasr.audio import Upload
    from hfasr.types import Transcript
    from hfasr.wire import Response

    from .context import CallContext
    from .prepared import PreparedAudio
    from .routes import HostedRoute

__all__ = ["Answer", "HostedCall"]

_MAX_FORMS = 12  # two bodies, three kinds of times, three of audio, and some parameters; against a loop
_INLINE_REPLY_BYTES = 64 * 1024  # parsing this takes about a millisecond


class Answer(NamedTuple):
    """A transcript and what was sent for it."""

    transcript: Transcript
    upload: Upload


class HostedCall:
    """One call over one hosted route, within *window* seconds."""

    def __init__(
        self, call: CallContext, route: HostedRoute, ask: Ask, audio: PreparedAudio, window: float | None
    ) -> None:
        self._call = call
        self._route = route
        self._ask = ask
        self._audio = audio
        self.exchange = Exchange(call, route, None if window is None else call.io.clock.now() + window)
        provider = route.provider if route.behind_router else None
        self._about = About(provider, route.model, ask, audio.source, call.config.channels, call.stretch)
        self._pacer = Pacer(call.config.retry, call.io.clock)
        self._pause: float | None = None
        self._form: Form | None = None
        self._tried: set[Form] = set()

    async def run(self) -> Answer:
        """
        Return the answer, after as many attempts as the policy allows.

        Raises:
            APIError: The last attempt's.
            AudioError: The audio cannot be sent there.
        """
        try:
            return await self._attempt()
        except APIError as error:
            self._plan(error)
            if self._pause is None:
                raise
        return await self._try_again(self._pause)

    def _plan(self, error: APIError) -> None:
        """Decide how long to wait after *error*; a wait that would pass the deadline is not begun."""
        self._call.last_api_error = error
        pause, left = self._pacer.pause_after(error), self.exchange.left()
        self._pause = None if pause is not None and left is not None and pause >= left else pause
        if self._pause is not None:
            logger.debug("%s: %s; trying again in %.1f s", self._route.name, type(error).__name__, self._pause)

    async def _try_again(self, pause: float) -> Answer:
        # tenacity takes 33 ms to import and 45 µs a call: what works at once does without it.
        from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, APIError):
                self._plan(error)
            return self._pause or 0.0

        def stop(_: RetryCallState) -> bool:
            return self._pause is None  # tenacity asks for the wait first, which plans

        await self._call.sleep(pause)
        retrying = AsyncRetrying(
            sleep=self._call.sleep, wait=wait, stop=stop, retry=retry_if_exception_type(APIError), reraise=True
        )
        async for attempt in retrying:
            with attempt:
                return await self._attempt()
        raise AssertionError("tenacity ends with a result or an error")

    async def _attempt(self) -> Answer:
        """Ask once, in as many forms as the server's complaints call for."""
        dialect, server = await self.find_server()
        if self._form is None:
            self._form = self._call.shared.learned_form(server, self._ask) or dialect.first_form(self._ask)
            self._tried.add(self._form)
        limits = (dialect.max_duration_s(server.model), self._call.shared.longest_s(server, self._call.io.clock.now()))
        limit = min((s for s in limits if s is not None), default=None)
        upload = await self._audio.upload(self._form.upload, dialect.accepts, limit)
        while True:
            request = dialect.build(server, self._ask, self._form, upload)
            response = await self.exchange.send(request, server, self._about)
            if 200 <= response.status_code < 300:
                return Answer(await self._read(dialect, server, response, upload), upload)
            failure = self.exchange.diagnose(response, server, self._audio.duration)
            try:
                upload = await self._mended(dialect, failure, upload, limit)
            except HfasrError as error:
                self._learn_length(server, error)
                raise
            logger.debug("%s: %s; sending it again with %s", server.name, response.status_code, failure.fix)

    async def _mended(self, dialect: Dialect, failure: Failure, upload: Upload, limit: float | None) -> Upload:
        """Go on to the next form that may mend *failure*, and return its body; raise where there is none."""
        form = self._form
        assert form is not None
        hopeless = len(self._tried) >= _MAX_FORMS or (failure.fix is Fix.DECODE and not upload.original)
        others = () if failure.fix is None or hopeless else dialect.other_forms(form, self._ask, failure)
        for other in others:
            if other in self._tried:
                continue
            self._tried.add(other)
            try:
                body = upload
                if other.upload != form.upload:
                    body = await self._audio.upload(other.upload, dialect.accepts, limit)
            except AudioError as error:
                raise self._final(failure) from error  # it went out as it is, but cannot be encoded anew
            if failure.fix is Fix.SHRINK and len(body.data) >= len(upload.data):
                continue
            self._form = other
            return body
        raise self._final(failure)

    def _learn_length(self, server: Server, error: HfasrError) -> None:
        longest_s = self._audio.shorter(error)
        if longest_s is not None:
            self._call.shared.learn_longest(server, longest_s, self._call.io.clock.now())

    def _final(self, failure: Failure) -> Exception:
        # Damaged also for the server after decoding it here: no other route can mend that.
        self._call.audio_refused = failure.fix is Fix.DECODE
        return failure.error

    async def _read(self, dialect: Dialect, server: Server, response: Response, upload: Upload) -> Transcript:
        ask, form = self._ask, self._form
        assert form is not None

        def parse() -> Transcript:
            return dialect.parse(response, ask, form, upload.duration)

        try:
            small = len(response.content) <= _INLINE_REPLY_BYTES
            transcript = parse() if small else await self._call.io.offload(parse)
        except APIError as error:
            self.exchange.failed(error)
            raise
        if len(self._tried) > 1:
            self._call.shared.learn_form(server, ask, replace(form, upload="first"))
        return _with_warnings(transcript, server, ask, form)

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
        server = self._route.server("hf")
        for request, prefix in openai_probe(self._route.base_url):
            if request is None:
                return "openai", prefix
            response = await self.exchange.send(request, server)
            speaks = read_probe(response)
            if speaks is None:
                raise self.exchange.diagnose(response, server, None).error
            if speaks:
                return "openai", prefix
        return "hf", None


def _with_warnings(transcript: Transcript, server: Server, ask: Ask, form: Form) -> Transcript:
    warnings = [f"{server.name} cannot take {name}; it was left out" for name in sorted(form.dropped)]
    if ask.return_timestamps and transcript.text:
        if not transcript.segments:
            warnings.append(f"{server.name} gave no times")
        elif ask.return_timestamps == "word" and not transcript.words:
            warnings.append(f"{server.name} gave no word times, only segments'")
    return replace(transcript, warnings=(*transcript.warnings, *warnings)) if warnings else transcript
