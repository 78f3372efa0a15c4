"""What docs/comparison.md and docs/howto/from_inference_client.md say of other clients is what these do."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import inspect
import io
import pickle
import re
import socket
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

pytest.importorskip("assemblyai", reason="assemblyai is not installed")
pytest.importorskip("openai", reason="openai is not installed")

import assemblyai
import assemblyai.streaming.v3
import huggingface_hub
import openai
from openai.resources.audio.transcriptions import Transcriptions
from openai.types.audio import TranscriptionDiarized, TranscriptionVerbose

import hfasr
from hfasr import ASRClient, Audio, RetryPolicy
from hfasr.testing import Drip, FakeASRServer, FakeBackend, FakeClock, Hang, Reply, Reset, ToneSpeech, replies
from tests.peers import KEY, PEERS, Peer, peer

if TYPE_CHECKING:
    from hfasr.testing.replies import Action

pytestmark = [
    pytest.mark.usefixtures("hub_client_alone"),
    pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning"),  # Deepgram's use of that package
]

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "comparison.md").read_text(encoding="utf-8")
MIGRATION = (DOCS / "howto" / "from_inference_client.md").read_text(encoding="utf-8")
RATE = 16_000
HTML = Reply(200, body="<html>maintenance</html>", headers={"content-type": "text/html"})


MODULES = {"deepgram-sdk": "deepgram"}


def versions() -> dict[str, str]:
    """Return of which version of each package the page speaks."""
    text = " ".join(PAGE.split("\n## ", maxsplit=1)[0].split())
    found = re.findall(r"([\w-]+)(?: \(`\w+`\))? (\d+\.\d+)", text)
    return {name: version for name, version in found if name in PEERS}


@pytest.fixture(autouse=True)
def _as_read(request: pytest.FixtureRequest) -> None:
    """Skip where another version is installed than that of which the page speaks."""
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name in versions():
        installed = importlib.metadata.version(name) if importlib.util.find_spec(MODULES.get(name, name)) else "none"
        if not f"{installed}.".startswith(f"{versions()[name]}."):
            pytest.skip(f"the page speaks of {name} {versions()[name]}, and {installed} is installed")


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that other clients make, which take no time."""
    made: list[float] = []
    pytest.importorskip("deepgram", reason="deepgram-sdk is not installed")
    for module in ("openai._base_client", "deepgram.core.http_client", "assemblyai.prerecorded.v2.transcript"):
        monkeypatch.setattr(f"{module}.time", _Time(made))
    return made


class _Time:
    def __init__(self, made: list[float]) -> None:
        self.sleep = made.append
        self.time = time.time
        self.monotonic = time.monotonic


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "x.wav"
    soundfile.write(path, ToneSpeech().say("red boat"), RATE)
    return path


def table(page: str) -> dict[str, list[str]]:
    """Return the cells of every table of a page, by the first of its row."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    rules = [place for place, row in enumerate(rows) if set(row[0]) == {"-"}]
    rows = [row for place, row in enumerate(rows) if place not in rules and place + 1 not in rules]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def cell(row: str, name: str) -> str:
    return table(PAGE)[row][list(PEERS).index(name)]


TESTED: set[str] = set()
"""Rows that have a test."""


def each(*rows: str) -> pytest.MarkDecorator:
    """Run a test for each client, and for each of these rows."""
    TESTED.update(rows)
    return pytest.mark.parametrize(("row", "name"), [(row, name) for row in rows for name in PEERS])


def outcome(client: Peer, audio: Any, timeout: float = 30.0) -> str:
    """Return what came of a call, in the page's words."""
    try:
        return "transcribed" if client.transcribe(audio, timeout) == "red boat" else "wrong"
    except Exception as error:  # noqa: BLE001  # each has its own
        n = len(client.uploads)
        return f"`{type(error).__name__}`" + (f" after {n} requests" if n > 1 else "")


LOADING = replies.loading(estimated_time=2)
FAILURES: dict[str, list[Action]] = {
    "503, a model is loading, once": [LOADING],
    "the same twenty times": [LOADING] * 20,
    "a connection that is reset, once": [Reset()],
    "a page of HTML with status 200": [HTML] * 20,
}


@each(*FAILURES)
def test_failures(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A failure of the server leads to what the page says."""
    with peer(name, fake_clock) as client:
        client.after(*FAILURES[row])
        assert outcome(client, wav) == cell(row, name)


@each("429, `Retry-After: 90`", "429, `Retry-After: 1000`")
def test_retry_after(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A client waits for as long as the page says, or raises."""
    (seconds,) = re.findall(r": (\d+)", row)
    with peer(name, fake_clock) as client:
        client.after(replies.rate_limited(retry_after=int(seconds)))
        came = outcome(client, wav)
    (waited,) = (fake_clock.sleeps + sleeps) or [0]
    assert (f"waits {waited:.0f} s" if came == "transcribed" else came) == cell(row, name)


@each("no answer")
def test_no_answer(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A server that never answers ends in the error that the page names."""
    with peer(name, fake_clock) as client:
        client.after(*[Hang()] * 5)
        assert outcome(client, wav, timeout=0.3).split(" after")[0] == cell(row, name)


@each("an answer that drips for longer than the limit")
def test_dripping(row: str, name: str, wav: Path, fake_clock: FakeClock) -> None:
    """Only a limit on the whole call ends an answer that comes slowly, without a pause that is too long."""
    limit, body = 1.0, Reply(json={"text": "red boat", "upload_url": "https://example.invalid", "results": {}})
    with peer(name, fake_clock) as client:
        client.after(Drip(interval=0.1, n_bytes=4, reply=body))  # 2 s and more
        began = time.monotonic()
        try:
            if name == "hfasr":
                with ASRClient(router_url=client.server.router_url, token=KEY, timeout=limit, deadline=limit) as asr:
                    asr.transcribe(wav)
            else:
                client.transcribe(wav, timeout=limit)
        except hfasr.DeadlineExceededError:
            came = "stopped"
        except Exception:  # noqa: BLE001  # what was sent is no answer of Deepgram's
            came = "not stopped"
        else:
            came = "not stopped"
        assert came == "stopped" or time.monotonic() - began > limit
    assert came == cell(row, name)


def failure(client: Peer, wav: Path, reply: Reply) -> Exception:
    client.after(*[reply] * 5)
    with pytest.raises(Exception) as caught:
        client.transcribe(wav)
    return caught.value


@each("a message for a body of 100 kB has")
def test_messages(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A message is as long as the page says, whatever the server writes."""
    with peer(name, fake_clock) as client:
        length = len(str(failure(client, wav, Reply(401, json={"error": "no entry " * 11_111}))))
    assert cell(row, name) == ("100 kB" if length >= 99_999 else "under 500 characters" if length < 500 else "more")


@each("a key that the server echoes is in the message")
def test_echoed_keys(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A server that repeats the key in its answer gets it into the message, or not."""
    with peer(name, fake_clock) as client:
        error = failure(client, wav, Reply(401, json={"error": f"the key {KEY} is not known"}))
    assert ("yes" if KEY in str(error) else "no") == cell(row, name)


@each("the error of a 401 survives pickling")
def test_pickling(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """An error comes back from a pickle as it was, or does not."""
    with peer(name, fake_clock) as client:
        error = failure(client, wav, replies.unauthorized())
    try:
        same = str(pickle.loads(pickle.dumps(error))) == str(error)
    except TypeError:
        same = False
    assert ("yes" if same else "no") == cell(row, name)


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, ToneSpeech().say("red boat"), RATE, format="FLAC")
    return file.getvalue()


INPUTS: dict[str, Callable[[Path], Any]] = {
    "a path as text": str,
    "an open file": lambda path: path.open("rb"),
    "bytes of a FLAC file": lambda _: flac(),
    "an array of samples": lambda path: Audio(soundfile.read(path, dtype="float32")[0], RATE),
}


@each(*INPUTS)
def test_inputs(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """What the page says is taken is sent, as audio; the rest is refused, here or by the server."""
    given = INPUTS[row](wav)
    array = isinstance(given, Audio) and name != "hfasr"
    with peer(name, fake_clock) as client:
        came = outcome(client, given.waveform if array else given)
        heard = came == "transcribed" and any(b"RIFF" in body or b"fLaC" in body for body in client.uploads)
    if hasattr(given, "close"):
        given.close()
    assert ("yes" if heard else "no") == cell(row, name)


@each("a URL into your own network")
def test_private_urls(row: str, name: str, wav: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """A URL that a stranger chose is refused, fetched, or no matter of the client's."""
    with FakeASRServer() as inside, peer(name, fake_clock) as client:
        audio = Reply(body=wav.read_bytes(), headers={"content-type": "audio/wav"})
        inside.script(audio, path="/secret.wav")
        came = outcome(client, f"{inside.url}/secret.wav")
        fetched = bool(inside.requests)
    said = "not fetched here" if name in {"deepgram-sdk", "assemblyai"} else "not taken"
    if came == "`AudioURLError`":
        said = "refused"
    assert ("fetched" if fetched else said) == cell(row, name)


@each("44.1 kHz stereo WAV goes out as")
def test_what_goes_out(row: str, name: str, tmp_path: Path, fake_clock: FakeClock) -> None:
    """A large file is made small, or sent as it is."""
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([ToneSpeech(sampling_rate=44_100).say("red boat")] * 2, axis=1), 44_100)
    with peer(name, fake_clock) as client:
        assert client.transcribe(path) == "red boat"
        (body,) = client.uploads
    if path.read_bytes() in body:
        assert cell(row, name) == "it is"
    else:
        sent = soundfile.info(io.BytesIO(body))
        assert cell(row, name) == f"{sent.samplerate // 1000} kHz mono {sent.format}"
        assert sent.channels == 1


@each("a minute for a server that takes 30 s")
def test_a_minute(row: str, name: str, tmp_path: Path, fake_clock: FakeClock, sleeps: list[float]) -> None:
    """Audio that is longer than the server takes is cut here, or fails."""
    path = tmp_path / "x.wav"
    soundfile.write(path, ToneSpeech().say_at([(1.0, "red"), (50.0, "boat")], duration=60.0), RATE)
    with peer(name, fake_clock) as client:
        if PEERS[name].path is not None:
            came = "left to its servers"  # no limit of theirs is known that could be played here
        else:
            if name == "openai":
                client.after(Reply(400, json={"error": {"message": "audio is longer than 30 s"}}))
            came = "cut and joined" if outcome(client, path) == "transcribed" else "fails"
            assert name != "hfasr" or len(client.uploads) > 1
    assert came == cell(row, name)


def test_another_server_answers(wav: Path) -> None:
    """With every request to one server failing, another engine answers, and the result lists every attempt."""
    with FakeASRServer() as server:
        server.script(*[replies.server_error()] * 2)
        retry = RetryPolicy(max_attempts=2, wait_initial=0.0)
        with ASRClient(router_url=server.router_url, token=KEY, fallback=FakeBackend(None), retry=retry) as asr:
            transcript = asr.transcribe(wav)
    assert transcript.text == "red boat"
    assert transcript.provenance is not None
    assert [attempt.route for attempt in transcript.provenance.attempts] == ["hf-inference", "hf-inference", "fake"]


@each("packages that it needs")
def test_requirements(row: str, name: str) -> None:
    """So many packages are required, on this platform and without extras."""
    listed = importlib.metadata.requires(name) or ()
    if name == "hfasr":  # an editable install may have been made before the list was changed
        listed = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    needs = [Requirement(text) for text in listed]
    kept = {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})}
    assert str(len(kept)) == cell(row, name)


def names(function: Callable[..., Any]) -> set[str]:
    """Return what a function can be asked for."""
    return set(inspect.signature(function).parameters)


OURS = names(ASRClient) | names(ASRClient.transcribe) | names(ASRClient.transcribe_many)
HUB = names(huggingface_hub.InferenceClient) | names(huggingface_hub.InferenceClient.automatic_speech_recognition)
OPENAI = names(openai.OpenAI) | names(Transcriptions.create)
ASSEMBLYAI = names(assemblyai.TranscriptionConfig)
RESULTS = {*OURS, *hfasr.__all__, *dir(hfasr.Transcript), *hfasr.Segment.__dataclass_fields__}


def some(owner: type, *words: str) -> bool:
    """Whether a class has something with one of these words in its name."""
    return any(word in name for name in dir(owner) for word in words)


@functools.cache
def offers() -> dict[str, list[bool]]:
    """Return, by row, whether there is something in the code of each client, in the table's order."""
    import deepgram
    from deepgram.listen.v1.client import V1Client
    from deepgram.listen.v1.media.client import MediaClient
    from deepgram.types import ListenV1Response

    theirs = names(deepgram.DeepgramClient) | names(MediaClient.transcribe_file)
    return {
        "another server or engine answers when all fails": [
            "fallback" in OURS, "fallback" in HUB, "fallback" in OPENAI, "fallback" in theirs, "fallback" in ASSEMBLYAI
        ],
        "sync and async": [
            hasattr(hfasr, "AsyncASRClient"),
            hasattr(huggingface_hub, "AsyncInferenceClient"),
            hasattr(openai, "AsyncOpenAI"),
            hasattr(deepgram, "AsyncDeepgramClient"),
            hasattr(assemblyai, "AsyncTranscriber"),
        ],
        "many files, so many at once": [
            hasattr(ASRClient, "transcribe_many"),
            some(huggingface_hub.InferenceClient, "many", "batch"),
            some(Transcriptions, "many", "batch", "group"),
            some(MediaClient, "many", "batch", "group"),
            hasattr(assemblyai.Transcriber, "transcribe_group"),
        ],
        "goes on after a kill": [
            "journal" in OURS, "journal" in HUB, "journal" in OPENAI, "journal" in theirs,
            bool({"journal", "resume", "cache"} & names(assemblyai.Transcriber.transcribe_group)),
        ],
        "models on this machine": [
            "backend" in OURS, "backend" in HUB, "backend" in OPENAI, "backend" in theirs, "backend" in ASSEMBLYAI
        ],
        "subtitles": [
            "to_srt" in RESULTS, "response_format" in HUB, "response_format" in OPENAI,
            bool(theirs & {"srt", "subtitles", "format", "response_format"}),
            hasattr(assemblyai.Transcript, "export_subtitles_srt"),
        ],
        "live audio": [
            hasattr(hfasr, "LiveAudio"),
            some(huggingface_hub.InferenceClient, "realtime", "live"),
            hasattr(openai.OpenAI, "realtime"),
            hasattr(V1Client, "connect"),
            hasattr(assemblyai.streaming.v3, "StreamingClient"),
        ],
        "who speaks (diarization)": [
            "speaker" in RESULTS, "diarize" in HUB, "segments" in TranscriptionDiarized.model_fields,
            "diarize" in theirs, "speaker_labels" in ASSEMBLYAI,
        ],
        "summaries, topics, sentiment": [
            "summarize" in OURS, "summarize" in HUB, "summarize" in OPENAI, {"summarize", "topics", "sentiment"} <= theirs,
            {"summarization", "iab_categories", "sentiment_analysis"} <= ASSEMBLYAI,
        ],
        "removes names and numbers": [
            "redact" in OURS, "redact" in HUB, "redact" in OPENAI, "redact" in theirs, "redact_pii" in ASSEMBLYAI
        ],
        "lists every attempt of a call": [
            "attempts" in hfasr.Provenance.__dataclass_fields__,
            "attempts" in huggingface_hub.AutomaticSpeechRecognitionOutput.__dataclass_fields__,
            "attempts" in TranscriptionVerbose.model_fields,
            "attempts" in ListenV1Response.model_fields,
            hasattr(assemblyai.Transcript, "attempts"),
        ],
    }  # fmt: skip


OFFERED = [
    "another server or engine answers when all fails",
    "sync and async",
    "many files, so many at once",
    "goes on after a kill",
    "models on this machine",
    "subtitles",
    "live audio",
    "who speaks (diarization)",
    "summaries, topics, sentiment",
    "removes names and numbers",
    "lists every attempt of a call",
]


@each(*OFFERED)
def test_offers(row: str, name: str) -> None:
    """What the page grants a client is in its code, and what it denies is not."""
    assert (cell(row, name) != "no") == offers()[row][list(PEERS).index(name)]


def test_every_row_is_tested() -> None:
    """The page says nothing in a table that no test has seen, and of which versions it speaks."""
    assert {"hfasr", *versions()} == set(PEERS)
    assert set(table(PAGE)) == TESTED


# docs/howto/from_inference_client.md, "Errors": one test for each row.

NO_RETRIES = RetryPolicy(max_attempts=1, loading_timeout=0)

STATUSES: dict[str, Action] = {
    "503, loading": LOADING,
    "429": replies.rate_limited(),
    "500": replies.server_error(),
    "400": replies.malformed_audio(),
    "401": replies.unauthorized(),
    "402": replies.payment_required(),
    "403": replies.forbidden(),
    "404": replies.does_not_exist(),
    "410": replies.gone(),
    "413": replies.too_large(),
    "no answer in time": Hang(),
    "connection reset": Reset(),
    "a page of HTML with status 200": HTML,
}


def errors() -> dict[str, list[str]]:
    return table(MIGRATION.split("## Errors")[1])


def both(url: str, audio: Any) -> list[str]:
    """Return what each of the two clients raises, in the page's words."""
    came = []
    client = huggingface_hub.InferenceClient(model=url, token=KEY, timeout=1)
    with ASRClient(base_url=url, dialect="hf", token=KEY, timeout=1, retry=NO_RETRIES) as asr:
        for call in (client.automatic_speech_recognition, asr.transcribe):
            try:
                call(audio)
            except Exception as error:  # noqa: BLE001  # each has its own
                came.append(f"`{type(error).__name__}`")
            else:
                came.append("transcribed")
    return came


def test_every_error_is_tested() -> None:
    """The table has no row without a test."""
    assert set(errors()) == {*STATUSES, "connection refused", "no such file", "an open file"}


@pytest.mark.parametrize("row", STATUSES)
def test_errors_side_by_side(row: str, wav: Path) -> None:
    """What a failure of the server raises is what the table has for each of the two clients."""
    with FakeASRServer() as server:
        server.script(*[STATUSES[row]] * 8)
        assert both(server.url, str(wav)) == errors()[row]


def test_errors_without_a_server(wav: Path, tmp_path: Path) -> None:
    """So it is where nobody listens, and with what is no file, or an open one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert both(f"http://127.0.0.1:{port}", str(wav)) == errors()["connection refused"]
    with FakeASRServer() as server:
        assert both(server.url, str(tmp_path / "absent.wav")) == errors()["no such file"]
        with wav.open("rb") as file:
            assert both(server.url, file) == errors()["an open file"]
