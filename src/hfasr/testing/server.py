"""
A server on loopback that speaks the hosted APIs, decodes the audio that it is sent, and answers with what it heard.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from . import replies
from ._actions import needs_reply, perform, wait
from ._connection import BadHTTPError, RecordedRequest, arm_reset, read_body, read_head
from ._dialects import Dialect, Dialects
from ._hf import Model
from ._sockets import SocketServer
from .heard import Engine, Listener
from .replies import Action, Normal, Reply, Reset

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Collection, Iterator

__all__ = ["Connections", "FakeASRServer", "RecordedRequest"]


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections a server has seen."""

    accepted: int
    """Since the server was made."""

    open: int
    """Right now."""


class FakeASRServer:
    """
    A speech-recognition server for tests, on a real socket of the loopback interface.

    One port speaks three dialects: ``POST {router_url}/hf-inference/models/{org}/{name}`` as
    Hugging Face's router, ``POST {url}/`` as an Inference Endpoint with HF's toolkit (also
    ``/predict`` and ``GET /health``), and ``POST {openai_url}/audio/transcriptions`` as OpenAI.
    Each is as strict as the real one about content types and parameters, and fails with the
    same bodies. Everything else is 404.

    It serves each connection in a thread. Use it as a context manager, or `start` and `stop` it.

    Args:
        engine: Hears the decoded audio: a function of `Audio` and `TranscribeOptions` that gives a
            `Transcript`, or a `Backend`. ``None``: a `ToneSpeech`.

        speaks: One dialect or several; what it does not speak is 404.

        model_kind: ``"whisper"`` gives segments and words, ``"ctc"`` (wav2vec2) words only.

        max_duration_s: Whisper behind the router fails on audio longer than this, seconds, as the
            live one was seen to do; ``None``: it takes any length.

        last_end_null: Leave the last segment's end open, as Whisper may.

        token: The bearer token that every request must carry; ``None``: none is asked for.

        max_body_bytes: Longer bodies are answered with 413; ``None``: any length.

        delay: Seconds before each answer.

        ssl_context: Speak TLS with this server-side context.

        host: Address or name to bind to and to put into the URLs.

        port: ``0`` takes a free one; `start` after `stop` takes the same one again.

    Example:
        >>> import io, urllib.request, soundfile
        >>> from hfasr.testing import FakeASRServer, ToneSpeech
        >>> flac = io.BytesIO()
        >>> soundfile.write(flac, ToneSpeech().say("red boat"), 16_000, format="FLAC")
        >>> with FakeASRServer() as server:
        ...     request = urllib.request.Request(server.url, flac.getvalue(), {"content-type": "audio/flac"})
        ...     urllib.request.urlopen(request).read()
        b'{"text":" red boat"}'

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        speaks: Dialect | Collection[Dialect] = ("hf-inference", "toolkit", "openai"),
        model_kind: Literal["whisper", "ctc"] = "whisper",
        max_duration_s: float | None = 30.0,
        last_end_null: bool = False,
        token: str | None = None,
        max_body_bytes: int | None = None,
        delay: float = 0.0,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        spoken: Collection[Dialect] = {speaks} if isinstance(speaks, str) else speaks
        model = Model(model_kind, max_duration_s, last_end_null)
        self._dialects = Dialects(frozenset(spoken), model, Listener(engine), token)
        self._max_body_bytes = max_body_bytes
        self._delay = delay
        self._scheme = "https" if ssl_context else "http"
        self._sockets = SocketServer(self._serve, self._turn_away, host=host, port=port, ssl_context=ssl_context)
        self._lock = threading.Lock()
        self._script: list[tuple[str | None, Action]] = []
        self._requests: list[RecordedRequest] = []
        self._busy = 0
        self._peak = 0

    @property
    def url(self) -> str:
        """Its root, such as ``http://127.0.0.1:41231``: an Inference Endpoint's address."""
        return f"{self._scheme}://{self._sockets.host}:{self._sockets.port}"

    @property
    def router_url(self) -> str:
        """What stands for ``https://router.huggingface.co``."""
        return self.url

    @property
    def openai_url(self) -> str:
        """What stands for ``https://api.openai.com/v1``."""
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, oldest first. A new list each time."""
        with self._lock:
            return list(self._requests)

    @property
    def connections(self) -> Connections:
        """How many connections were accepted and are open."""
        return Connections(self._sockets.accepted, self._sockets.open)

    @property
    def peak_concurrency(self) -> int:
        """The most requests that were being answered at the same time."""
        return self._peak

    @property
    def engine_errors(self) -> list[Exception]:
        """What the engine raised; the client got a 400 (HF's dialects) or 500 (OpenAI's) with its text."""
        return list(self._dialects.engine_errors)

    def script(self, *actions: Action, path: str | None = None) -> None:
        """
        Say what happens to the next requests, one action each; then service is normal again.

        Actions are used up in order by transcription requests: those that POST to a path that the
        server speaks.

        Args:
            actions: What to do, see `hfasr.testing.replies`.

            path: Only for requests to exactly this path, of any method.
        """
        with self._lock:
            self._script.extend((path, action) for action in actions)

    def start(self) -> Self:
        """Begin to listen."""
        self._sockets.start()
        return self

    def stop(self) -> None:
        """Close every socket and wait until every thread has ended. May be called twice."""
        self._sockets.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _turn_away(self, sock: socket.socket) -> bool:
        with self._lock:
            reset = bool(self._script) and self._script[0] == (None, Reset("accept"))
            if reset:
                del self._script[0]
        if reset:
            arm_reset(sock)
        return reset

    def _serve(self, sock: socket.socket) -> None:
        with sock.makefile("rb") as stream, contextlib.suppress(BadHTTPError):
            while request := read_head(stream, time.monotonic()):
                action = self._next_action(request)
                if not (isinstance(action, Reset) and action.when in ("accept", "in_request")):
                    request.body = read_body(stream, sock, request.headers, self._max_body_bytes)
                with self._counted(request) as ending:
                    alive = self._answer(sock, request, action, ending)
                if not alive:
                    return

    @contextlib.contextmanager
    def _counted(self, request: RecordedRequest) -> Iterator[Callable[[], None]]:
        """Count *request* as one that is being answered; give what ends that earlier than the context does."""
        with self._lock:
            self._requests.append(request)
            self._busy += 1
            self._peak = max(self._peak, self._busy)
        is_counted = True

        def end() -> None:
            nonlocal is_counted
            with self._lock:
                self._busy -= is_counted
                is_counted = False

        try:
            yield end
        finally:
            end()

    def _next_action(self, request: RecordedRequest) -> Action:
        anywhere = self._dialects.transcribes(request)
        with self._lock:
            for i, (path, action) in enumerate(self._script):
                if path == request.path or (path is None and anywhere):
                    del self._script[i]
                    return action
        return Normal()

    def _answer(
        self, sock: socket.socket, request: RecordedRequest, action: Action, ending: Callable[[], None]
    ) -> bool:
        def pause(seconds: float | None) -> bool:
            return wait(sock, self._sockets.stopping, seconds)

        delay = self._delay + (action.delay if isinstance(action, Reply | Normal) else 0.0)
        if delay and not pause(delay):
            return False
        reply = self._reply(request, action) if needs_reply(action) else None
        close = request.headers.get("connection", "").lower() == "close"
        if reply is not None:
            reply = self._dialects.with_request_id(request, reply)
            request.status = reply.status
            close = close or reply.headers.get("connection") == "close"
        has_body = request.method != "HEAD"
        return perform(sock, action, reply, close=close, with_body=has_body, pause=pause, ending=ending)

    def _reply(self, request: RecordedRequest, action: Action) -> Reply:
        if isinstance(action, Reply):
            return action
        scripted: Reply | None = getattr(action, "reply", None)
        if scripted is not None:
            return scripted
        if self._max_body_bytes is not None and len(request.body) > self._max_body_bytes:
            return replies.too_large()
        return self._dialects.reply(request)
