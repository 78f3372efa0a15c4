"""A call over one hosted route whose server, audio and clock are stand-ins."""

from __future__ import annotations

from typing import Any

from hfasr import AudioDecodeError, HfasrError, RetryPolicy
from hfasr._core.config import Config
from hfasr._core.context import CallContext
from hfasr._core.hosted import Answer, HostedCall
from hfasr._core.io import BlockingIO, run_sync
from hfasr._core.routes import HostedRoute
from hfasr._core.shared import Shared
from hfasr._hosted.dialect import Ask
from hfasr.audio import Upload
from hfasr.testing import FakeClock
from hfasr.wire import Request, Response

URL = "https://h.example"
SIZES = {"first": 100, "flac": 80, "opus": 20}
OK = Response(200, {}, b'{"text": "hi"}')
BROKEN = Response(500, {}, b"{}")
NO_BODY = Response(400, {}, b'{"error": "File name too long"}')
NO_TIMES = Response(400, {}, b'{"error": "CTC can either predict character level timestamps"}')
MALFORMED = Response(400, {}, b'{"error": "malformed soundfile"}')
TOO_LARGE = Response(413)


class Net:
    """In the place of the HTTP side: answers with *answers*, each after *seconds*, and keeps what it was asked."""

    def __init__(self, clock: FakeClock, *answers: Response | BaseException, seconds: float = 0.0) -> None:
        self._clock = clock
        self._answers = list(answers)
        self._seconds = seconds
        self.asked: list[Request] = []
        self.options: list[dict[str, Any]] = []

    def send(self, request: Request, **options: Any) -> Response:
        self.asked.append(request)
        self.options.append(options)
        self._clock.advance(self._seconds)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Sound:
    """In the place of prepared audio: notes what is asked of it; *fails* has the steps that cannot be encoded."""

    def __init__(self, sizes: dict[str, int] | None = None, fails: str = "", shorter: float | None = None) -> None:
        self.source = object()
        self.duration: float | None = 7.5
        self.asked: list[tuple[str, frozenset[str], float | None]] = []
        self.refused: list[HfasrError] = []
        self._sizes = sizes or SIZES
        self._fails = fails
        self._shorter = shorter

    async def upload(self, step: str, accepts: frozenset[str], limit: float | None) -> Upload:
        self.asked.append((step, accepts, limit))
        if step == self._fails:
            raise AudioDecodeError("cannot be decoded")
        return Upload(b"x" * self._sizes[step], f"audio/{step}", "a", step, step == "first", 7.5)

    def shorter(self, error: HfasrError) -> float | None:
        self.refused.append(error)
        return self._shorter


class Case:
    """A call over one route to a server that gives *answers*."""

    def __init__(
        self,
        *answers: Response | BaseException,
        ask: Ask | None = None,
        sound: Sound | None = None,
        window: float | None = None,
        route: HostedRoute | None = None,
        shared: Shared | None = None,
        seconds: float = 0.0,
        **retry: Any,
    ) -> None:
        self.clock = FakeClock()
        self.net = Net(self.clock, *answers, seconds=seconds)
        self.shared = shared or Shared()
        self.ask = ask or Ask()
        self.sound = sound or Sound()
        self.route = route or HostedRoute("ours", "p", URL, "a/b", "hf", False, "0123456789abcdefghij")
        net: Any = self.net
        audio: Any = self.sound
        self.call = CallContext(BlockingIO(net, self.clock), Config(retry=RetryPolicy(**retry)), self.shared, None)
        self.hosted = HostedCall(self.call, self.route, self.ask, audio, window)

    @property
    def server(self) -> Any:
        return self.route.server("hf")

    def run(self) -> Answer:
        return run_sync(self.hosted.run())

    @property
    def types(self) -> list[str]:
        """What kind of audio each request had."""
        return [sent.headers["content-type"] for sent in self.net.asked]

    @property
    def errors(self) -> list[str | None]:
        return [attempt.error for attempt in self.call.attempts]
