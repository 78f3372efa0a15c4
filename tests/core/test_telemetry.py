"""Spans of OpenTelemetry: around each call, below the caller's; one for each attempt; never what was said."""

from __future__ import annotations

import contextlib
import gc
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest
import soundfile
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

import hfasr
from hfasr import ASRClient, AsyncASRClient, Audio, Chunking, LiveAudio, RetryPolicy
from hfasr._core import telemetry
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, ToneSpeech, replies
from tests.colours import Session
from tests.core.spans_kit import Provider
from tests.core.test_failure_table import ROWS, Row, endless
from tests.core.test_on_attempt import long_audio
from tests.core.test_transport import wait_for

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

Make = Callable[..., Session]
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
TOKEN = "sk-Token-that-nobody-may-see-0123456789"


class Spans:
    """What was recorded, and a span of the caller's around it."""

    def __init__(self, **settings: Any) -> None:
        self.kept = Provider(**settings)
        self.exporter, self.provider = self.kept.exporter, self.kept.made

    @property
    def ended(self) -> list[ReadableSpan]:
        """Those of hfasr, in the order in which they ended."""
        return [span for span in self.kept.ended() if scope(span) == "hfasr"]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.ended if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    @contextlib.contextmanager
    def callers(self) -> Iterator[int]:
        """Let a span of the caller's be the current one; give its id."""
        with self.provider.get_tracer("test").start_as_current_span("request") as span:
            yield span.get_span_context().span_id

    def tree(self) -> list[str]:
        """Return the names of those of hfasr, each after those that it is in."""
        by_id = {span.context.span_id: span for span in self.ended if span.context}

        def path(span: ReadableSpan) -> str:
            above = by_id.get(span.parent.span_id) if span.parent else None
            return span.name if above is None else f"{path(above)} / {span.name}"

        return sorted(map(path, self.ended))


def scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Spans]:
    made = Spans()
    made.kept.install(monkeypatch)
    yield made
    complaints = [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")]
    assert complaints == []  # of spans that end twice, or a context that is left elsewhere than it was entered
    ids = [span.context.span_id for span in made.ended if span.context]
    assert len(ids) == len(set(ids))


def within(asr: Session, spans: Spans, method: str, *args: Any, **options: Any) -> tuple[int, Any]:
    """Call *method* below a span of the caller's; return its id, and what came of it."""

    def call() -> Any:
        if asr.colour == "sync":
            with spans.callers() as around:
                return around, getattr(asr.client, method)(*args, **options)

        async def run() -> Any:
            with spans.callers() as around:
                return around, await getattr(asr.client, method)(*args, **options)

        return run()

    return asr.run(call)  # type: ignore[no-any-return]  # as above


def test_call(session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, spans: Spans) -> None:
    """A call is a span below the caller's, and each attempt one below that, with what is known of it."""
    asr_server.script(replies.rate_limited(retry_after=7), replies.forbidden())
    asr = session(
        "openai/whisper-large-v3", router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend("hi")
    )
    around, transcript = within(asr, spans, "transcribe", wav)
    assert spans.tree() == [
        "transcribe",
        "transcribe / attempt fake",
        "transcribe / attempt hf-inference",
        "transcribe / attempt hf-inference",
    ]
    call = spans.one("transcribe")
    assert parent(call) == around
    assert call.kind is SpanKind.INTERNAL
    assert call.status.status_code is StatusCode.UNSET
    assert said(call) == {
        "gen_ai.operation.name": "transcribe",
        "gen_ai.request.model": "openai/whisper-large-v3",
        "gen_ai.provider.name": "fake",
        "gen_ai.response.model": "openai/whisper-large-v3",
        "hfasr.audio.duration": pytest.approx(transcript.duration),
        "hfasr.chunks": 1,
        "hfasr.attempts": 3,
        "hfasr.fallback": True,
        "hfasr.warnings": 0,
    }
    first, second = spans.named("attempt hf-inference")
    host, port = asr_server.url.removeprefix("http://").split(":")
    assert said(first) == {
        "gen_ai.operation.name": "transcribe",
        "gen_ai.request.model": "openai/whisper-large-v3",
        "server.address": host,
        "server.port": int(port),
        "http.response.status_code": 429,
        "error.type": "RateLimitError",
        "hfasr.route": "hf-inference",
        "hfasr.request_id": transcript.provenance.attempts[0].request_id,
        "hfasr.waited": 0.0,
        "hfasr.loading": 0.0,
    }
    assert first.kind is SpanKind.CLIENT
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "RateLimitError")
    assert said(second)["hfasr.waited"] == 7.0
    assert said(second)["error.type"] == "PermissionDeniedError"
    engine = spans.one("attempt fake")
    assert engine.kind is SpanKind.INTERNAL
    assert engine.status.status_code is StatusCode.UNSET
    assert "server.address" not in said(engine)


def test_times(session: Make, wav: bytes, asr_server: FakeASRServer, spans: Spans) -> None:
    """An attempt's span lasts as long as it did, within that of its call."""
    asr_server.script(replies.Reply(200, json={"text": "hi"}, delay=0.2))
    transcript = session(router_url=asr_server.router_url).transcribe(wav)
    call, attempt = spans.one("transcribe"), spans.one("attempt hf-inference")
    assert call.start_time
    assert call.end_time
    assert attempt.start_time
    assert attempt.end_time
    assert call.start_time - 5e6 <= attempt.start_time < attempt.end_time <= call.end_time
    assert transcript.provenance is not None
    (told,) = transcript.provenance.attempts
    assert (attempt.end_time - attempt.start_time) / 1e9 == pytest.approx(told.duration, abs=1e-5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_failed_calls(
    row: Row, session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, spans: Spans
) -> None:
    """A failed call's span, and those of its attempts, name the error's class, and hold no message of it."""
    endless(asr_server, row)
    asr = session(router_url=asr_server.router_url, clock=fake_clock)
    with pytest.raises(hfasr.HfasrError):
        within(asr, spans, "transcribe", wav)
    assert len(spans.named("attempt hf-inference")) == row.n_requests
    for span in spans.ended:
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, row.error)
        assert said(span)["error.type"] == row.error
        assert said(span).get("http.response.status_code") == row.status
        assert span.events == ()


def test_skipped_route(
    session: Make, asr_server: FakeASRServer, fake_clock: FakeClock, wav: bytes, spans: Spans
) -> None:
    """A route that was left out is a span without length, and no error."""
    asr_server.script(replies.server_error(500))
    retry = RetryPolicy(max_attempts=1, breaker_threshold=1)
    asr = session(router_url=asr_server.router_url, clock=fake_clock, fallback=FakeBackend("hi"), retry=retry)
    asr.transcribe(wav)
    asr.transcribe(wav)
    skipped = spans.named("attempt hf-inference")[-1]
    assert said(skipped)["error.type"] == "skipped"
    assert skipped.status.status_code is StatusCode.UNSET
    assert skipped.start_time == skipped.end_time


@pytest.mark.parametrize("n_workers", [1, 4])
def test_batch(session: Make, asr_server: FakeASRServer, wav: bytes, spans: Spans, n_workers: int) -> None:
    """Each item is a span of its own below the caller's, whichever thread or task works on it."""
    asr = session(router_url=asr_server.router_url)

    def take() -> Any:
        if asr.colour == "sync":
            with spans.callers() as around:
                assert all(item.ok for item in asr.client.transcribe_many([wav] * 5, max_concurrency=n_workers))
                return around

        async def every() -> int:
            with spans.callers() as around:
                async for item in asr.client.transcribe_many([wav] * 5, max_concurrency=n_workers):
                    assert item.ok
                return around

        return every()

    around = asr.run(take)
    assert spans.tree() == ["transcribe"] * 5 + ["transcribe / attempt hf-inference"] * 5
    assert {parent(span) for span in spans.named("transcribe")} == {around}


def test_resumed_and_cached(session: Make, asr_server: FakeASRServer, wav: bytes, tmp_path: Path, spans: Spans) -> None:
    """What the cache knew is a span that says so, without an attempt; what the journal knew by its name is none."""
    asr = session(router_url=asr_server.router_url)
    file = tmp_path / "x.wav"
    file.write_bytes(wav)
    for _ in range(2):
        list(asr.transcribe_many([wav], cache=tmp_path / "cache"))
        list(asr.transcribe_many([file], journal=tmp_path / "journal"))
    first, second, third = spans.named("transcribe")
    assert ["hfasr.recalled" in said(span) for span in (first, second, third)] == [False, False, True]
    assert len(spans.named("attempt hf-inference")) == 2


def test_chunks_and_channels(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """Attempts lie in the chunk that they are for, chunks in their channel, channels in the call."""
    asr_server.script(replies.server_error(500))
    mono = long_audio().waveform
    asr = session(
        router_url=asr_server.router_url,
        channels="split",
        chunking=Chunking(chunk_length_s=5),
        retry=RetryPolicy(wait_initial=0.01),
    )
    around, transcript = within(asr, spans, "transcribe", Audio(np.stack([mono, mono[::-1].copy()]), 16_000))
    chunks = spans.named("chunk")
    attempt = "transcribe / channel / chunk / attempt hf-inference"
    assert spans.tree() == sorted(
        ["transcribe"]
        + ["transcribe / channel"] * 2
        + ["transcribe / channel / chunk"] * len(chunks)
        + [attempt] * (len(chunks) + 1)
    )
    assert parent(spans.one("transcribe")) == around
    assert {said(span)["hfasr.channel"] for span in spans.named("channel")} == {0, 1}
    assert said(spans.one("transcribe"))["hfasr.chunks"] == transcript.provenance.chunks == len(chunks)
    assert all(said(span)["hfasr.chunk.start"] < said(span)["hfasr.chunk.end"] <= 9.0 for span in chunks)
    for span in spans.named("attempt hf-inference"):
        (above,) = [one for one in chunks if one.context and one.context.span_id == parent(span)]
        assert said(above)["hfasr.chunk"] == said(span)["hfasr.chunk"]


def test_gap(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """A chunk that failed and left a gap is an error; the call is none."""
    asr_server.script(replies.forbidden())
    asr = session(router_url=asr_server.router_url, chunking=Chunking(chunk_length_s=3, max_concurrency=1))
    asr.transcribe(long_audio(), on_chunk_error="gap")
    errors = [said(span).get("error.type") for span in spans.named("chunk")]
    assert errors[0] == "PermissionDeniedError"
    assert set(errors[1:]) == {None}
    assert spans.one("transcribe").status.status_code is StatusCode.UNSET


def chunked(session: Make, server: FakeASRServer, *, at_once: int = 2) -> Session:
    return session(router_url=server.router_url, chunking=Chunking(chunk_length_s=3, max_concurrency=at_once))


def test_stream(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """A stream is one span, which ends with it."""
    stream = chunked(session, asr_server).transcribe_stream(long_audio())
    next(stream)
    assert spans.named("transcribe") == []
    list(stream)
    stream.close()
    call = spans.one("transcribe")
    assert said(call)["hfasr.stream"] is True
    assert call.status.status_code is StatusCode.UNSET
    n_chunks = len(spans.named("chunk"))
    assert n_chunks >= 3
    assert spans.tree().count("transcribe / chunk / attempt hf-inference") == n_chunks


def test_live_stream(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """So is one of live audio; its phrases are its chunks."""
    blocks = np.split(long_audio().waveform, 90)
    stream = session(router_url=asr_server.router_url).transcribe_stream(LiveAudio(blocks, sampling_rate=16_000))
    assert " ".join(segment.text for segment in stream) == "red boat green river lake"
    assert spans.tree()[0] == "transcribe"
    assert spans.tree().count("transcribe / chunk / attempt hf-inference") == len(spans.named("chunk")) >= 2


def test_stream_that_is_left(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """A stream that is closed half-way ends its span, after those of what was cut off."""
    asr_server.script(replies.Normal(), *[replies.Hang(5)] * 5)
    stream = chunked(session, asr_server, at_once=1).transcribe_stream(
        long_audio()
    )  # so the first chunk gets an answer
    next(stream)
    wait_for(lambda: len(asr_server.requests) >= 2)
    stream.close()
    assert spans.ended[-1] is spans.one("transcribe")
    assert spans.one("transcribe").status.status_code is StatusCode.UNSET
    cut = [span for span in spans.ended if said(span).get("error.type") == "cancelled"]
    assert {span.name for span in cut} == {"chunk", "attempt hf-inference"}
    assert {span.status.status_code for span in cut} == {StatusCode.UNSET}


def test_stream_that_fails(session: Make, asr_server: FakeASRServer, spans: Spans, tmp_path: Path) -> None:
    """A stream's error is its span's, whether it comes while opening or on the way."""
    asr = chunked(session, asr_server)
    with pytest.raises(hfasr.AudioNotFoundError):
        next(asr.transcribe_stream(tmp_path / "nothing.wav"))
    asr_server.script(replies.forbidden())
    with pytest.raises(hfasr.PermissionDeniedError):
        list(asr.transcribe_stream(long_audio()))
    errors = [span.status.description for span in spans.named("transcribe")]
    assert errors == ["AudioNotFoundError", "PermissionDeniedError"]


def test_stream_that_is_forgotten(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """A stream that nobody closes ends its span when it goes."""
    stream = chunked(session, asr_server).transcribe_stream(long_audio())
    next(stream)
    del stream
    gc.collect()
    wait_for(lambda: len(spans.named("transcribe")) == 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_call(backend: str, asr_server: FakeASRServer, wav: bytes, spans: Spans) -> None:
    """A call that is cancelled ends its spans, which say so and are no errors."""
    asr_server.script(replies.Hang(5))

    async def main() -> None:
        async with AsyncASRClient(router_url=asr_server.router_url) as asr, anyio.create_task_group() as tasks:
            tasks.start_soon(asr.transcribe, wav)
            await anyio.to_thread.run_sync(wait_for, lambda: len(asr_server.requests) == 1)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert spans.tree() == ["transcribe", "transcribe / attempt hf-inference"]
    assert [said(span)["error.type"] for span in spans.ended] == ["cancelled"] * 2
    assert {span.status.status_code for span in spans.ended} == {StatusCode.UNSET}


def test_interrupted_call(wav: bytes, spans: Spans) -> None:
    """So does one that Ctrl-C ends, and the caller's span is the current one again."""

    def interrupt(audio: Audio) -> str:
        raise KeyboardInterrupt

    with spans.callers() as around, ASRClient(backend=FakeBackend(interrupt)) as asr:
        with pytest.raises(KeyboardInterrupt):
            asr.transcribe(wav)
        assert trace.get_current_span().get_span_context().span_id == around
    assert [said(span)["error.type"] for span in spans.ended] == ["cancelled"] * 2


def test_batch_that_is_closed(session: Make, asr_server: FakeASRServer, wav: bytes, spans: Spans) -> None:
    """The items of a batch that is left end their spans."""
    asr_server.script(replies.Normal(), *[replies.Hang(5)] * 2)
    batch = session(router_url=asr_server.router_url).transcribe_many([wav] * 9, max_concurrency=2, ordered=False)
    assert next(batch).ok
    wait_for(lambda: len(asr_server.requests) == 3)
    batch.close()
    errors = [said(span).get("error.type") for span in spans.named("transcribe")]
    assert sorted(errors, key=str) == [None, "cancelled", "cancelled"]


def test_inner_spans(session: Make, wav: bytes, spans: Spans) -> None:
    """Spans that an engine makes lie in the call's; its thread sees that."""

    def engine(audio: Audio) -> str:
        with spans.provider.get_tracer("engine").start_as_current_span("inner"):
            return "hi"

    asr = session(backend=FakeBackend(engine))
    asr.transcribe(wav)
    list(asr.transcribe_many([wav]))
    calls = {span.context.span_id for span in spans.named("transcribe") if span.context}
    inner = [span for span in spans.exporter.get_finished_spans() if span.name == "inner"]
    assert {parent(span) for span in inner} == calls
    assert len(calls) == 2


def test_waiting_until_ready(session: Make, asr_server: FakeASRServer, spans: Spans) -> None:
    """Waiting for a server is a span, with the requests in it."""
    session(base_url=asr_server.url, dialect="hf").call("wait_until_ready", timeout=5)
    assert spans.tree() == ["wait_until_ready", f"wait_until_ready / attempt {asr_server.url}"]


def test_sampled_out(session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the sampler wants none, none is made, below that neither."""
    spans = Spans(sampler=ALWAYS_OFF)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: spans.provider)
    asr_server.script(replies.server_error(500))
    session(router_url=asr_server.router_url, retry=RetryPolicy(wait_initial=0)).transcribe(wav)
    assert spans.exporter.get_finished_spans() == ()


@pytest.mark.parametrize("provider", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
def test_no_provider(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch, provider: Any) -> None:
    """Where nobody has said where spans go, none is begun."""
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    assert telemetry.start("transcribe", dict, None) is None
    assert session(backend=FakeBackend("hi")).transcribe(wav).text == "hi"


def test_no_trace_context_is_sent(session: Make, asr_server: FakeASRServer, wav: bytes, spans: Spans) -> None:
    """The server, which is somebody else's, learns nothing of the caller's traces."""
    asr = session(router_url=asr_server.router_url)
    within(asr, spans, "transcribe", wav)
    (request,) = asr_server.requests
    assert not {"traceparent", "tracestate", "baggage"} & request.headers.keys()
    call = spans.one("transcribe")
    assert call.context
    assert f"{call.context.trace_id:032x}" not in str(request.headers)


def test_no_content(session: Make, spans: Spans, tmp_path: Path) -> None:
    """No span holds what was said, the prompt, the token, what a file is called or where it lies."""
    file = tmp_path / "patient-smith.wav"
    soundfile.write(file, ToneSpeech().say("red boat green"), 16_000)
    folder = tmp_path / "customer-models" / "acme"
    echo = f"bad: {TOKEN} boat the-secret-prompt {file}"
    with FakeASRServer(token=TOKEN) as server:
        server.script(
            replies.Reply(500, json={"error": echo}), replies.Reply(400, json={"error": echo}, headers={"x-note": echo})
        )
        server.script(replies.Reply(404), path="/patient-smith.wav")
        asr = session(
            base_url=server.openai_url,
            token=TOKEN,
            retry=RetryPolicy(wait_initial=0),
            fallback=FakeBackend("boat red"),
            allow_private_urls=True,
        )
        assert asr.transcribe(file, prompt="the-secret-prompt").text == "boat red"
        assert asr.transcribe(file, prompt="the-secret-prompt").text.strip() == "red boat green"
        for bad in (f"{server.url}/patient-smith.wav?key={TOKEN}", tmp_path / "patient-smith.txt"):
            with pytest.raises(hfasr.AudioError):
                asr.transcribe(bad)
        engine = FakeBackend("boat")
        engine.model = str(folder)  # type: ignore[attr-defined]  # what engines may have
        session(str(folder), backend=engine).transcribe(file)
    shown = "".join(span.to_json() for span in spans.ended)
    assert len(spans.named("transcribe")) == 5
    for secret in (TOKEN, "boat", "the-secret-prompt", "patient", "customer-models", str(tmp_path)):
        assert secret not in shown


def test_every_attribute_is_documented(asr_server: FakeASRServer, wav: bytes, spans: Spans, tmp_path: Path) -> None:
    """docs/operations.md lists each attribute that a span has, and no other."""
    asr_server.script(replies.server_error(500))
    mono = long_audio().waveform
    with ASRClient(router_url=asr_server.router_url, channels="split", retry=RetryPolicy(wait_initial=0)) as asr:
        short = asr.with_options(chunking=Chunking(chunk_length_s=5))
        short.transcribe(Audio(np.stack([mono, mono[::-1].copy()]), 16_000))
        whole = asr.with_options(channels="mix")
        for _ in range(2):
            list(whole.transcribe_many([wav], cache=tmp_path / "cache"))
        with whole.transcribe_stream(wav) as stream:
            list(stream)
    used = {name for span in spans.ended for name in said(span)}
    rows = re.findall(r"^\| `([a-z_.]+\.[a-z_.]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(used) == sorted(rows)


CALL = """
import sys
{before}
from hfasr import ASRClient, Audio
from hfasr.testing import FakeBackend, ToneSpeech
with ASRClient(backend=FakeBackend("hi")) as asr:
    audio = Audio(ToneSpeech().say("red"), 16_000)
    assert asr.transcribe(audio).text == "hi"
    assert [item.transcript.text for item in asr.transcribe_many([audio])] == ["hi"]
    with asr.transcribe_stream(audio) as stream:
        assert [segment.text for segment in stream] == ["hi"]
print(*(name for name in sys.modules if name.startswith("opentelemetry")))
"""

WITHOUT_IT = """
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize("before", ["", WITHOUT_IT])
def test_never_imported_first(before: str) -> None:
    """Without OpenTelemetry all goes on, and where it is installed, nothing of it is imported."""
    code = CALL.format(before=textwrap.dedent(before))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_import_in_another_thread(wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is being imported just now, and has nothing in it yet, is taken for none."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", type(sys)("opentelemetry.trace"))
    assert telemetry.start("transcribe", dict, None) is None


def test_many_threads(asr_server: FakeASRServer, wav: bytes, spans: Spans) -> None:
    """Calls in threads of the caller's have each the span of their own thread above them."""
    around: list[int] = []

    def work() -> None:
        with spans.callers() as one:
            around.append(one)
            asr.transcribe(wav)

    with ASRClient(router_url=asr_server.router_url) as asr:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(parent(span) or 0 for span in spans.named("transcribe")) == sorted(around)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_loops_in_a_batchs_threads(backend: str, wav: bytes) -> None:
    """The threads of a batch that was begun under an event loop have its context, and may run loops of their own."""

    async def inner() -> str:
        await anyio.lowlevel.checkpoint()
        return "hi"

    async def main() -> None:
        with ASRClient(backend=FakeBackend(lambda audio: anyio.run(inner, backend=backend))) as asr:
            assert [item.transcript and item.transcript.text for item in asr.transcribe_many([wav] * 3)] == ["hi"] * 3

    anyio.run(main, backend=backend)
