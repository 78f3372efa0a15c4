"""Speech cut at random and heard otherwise where chunks overlap: every word is there once, at its time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfasr import Chunking, Transcript
from hfasr.testing import FakeASRServer
from tests.colours import Session
from tests.long.kit import Speech, WorseAtEdges, bare, speech

if TYPE_CHECKING:
    from hfasr.types import Timestamps
    from tests.core.hearings import Said

pytestmark = pytest.mark.slow

Make = Callable[..., Session]

EXACT_S = 0.010
HOUR_S, SHORT_S = 3_600.0, 180.0
HEARD_SHARE = 0.6  # of a word, that a clip must hold for the server to hear it
TIMESTAMPS: list[Timestamps] = [False, True, "word"]
SEEDS = [1, 2]


def transcribe(
    session: Make, said: Any, chunking: Chunking, timestamps: Timestamps, ear: WorseAtEdges | None = None
) -> Transcript:
    """Send *said* to a server that hears by *ear*."""
    with FakeASRServer(ear) as server:
        asr = session(router_url=server.router_url, token="x", chunking=chunking)
        return asr.transcribe(said.audio() if isinstance(said, Speech) else said, return_timestamps=timestamps)


def check_words(transcript: Transcript, said: tuple[Said, ...]) -> None:
    """See that words and segments have the times of what was said."""
    assert len(transcript.words) == len(said)
    for word, one in zip(transcript.words, said, strict=True):
        assert word.start == pytest.approx(one.start, abs=EXACT_S)
        assert word.end == pytest.approx(one.end, abs=EXACT_S)
    check_segments(transcript, said)


def check_segments(transcript: Transcript, said: tuple[Said, ...]) -> None:
    """See that segments begin and end with their words."""
    at = 0
    for segment in transcript.segments:
        first, at = at, at + len(bare(segment.text))
        assert segment.start == pytest.approx(said[first].start, abs=EXACT_S)
        assert segment.end == pytest.approx(said[at - 1].end, abs=EXACT_S)
    assert at == len(said)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Speech]:
    """Return an hour of speech, and its file."""
    said = speech(0, HOUR_S, edge_s=5.0)
    return said.write(tmp_path_factory.mktemp("hour") / "hour.wav", sampling_rate=16_000), said


@pytest.mark.parametrize(
    ("colour", "chunking", "timestamps", "ear"),
    [
        ("sync", Chunking(), True, None),
        ("asyncio", Chunking(split="none"), "word", WorseAtEdges(5.0, missing=0.2, wrong=0.2)),
        ("trio", Chunking(chunk_length_s=23.7, split="none"), False, WorseAtEdges(2.0, missing=0.1, wrong=0.1)),
    ],
    indirect=["colour"],
)
def test_an_hour(
    session: Make,
    hour: tuple[Path, Speech],
    chunking: Chunking,
    timestamps: Timestamps,
    ear: WorseAtEdges | None,
) -> None:
    """Of an hour every word is there once, in order and at its time, whatever the ends of chunks were taken for."""
    path, said = hour
    transcript = transcribe(session, path, chunking, timestamps, ear)
    assert bare(transcript.text) == said.words
    assert transcript.duration == HOUR_S
    assert transcript.warnings == ()
    assert transcript.provenance is not None
    assert transcript.provenance.chunks > HOUR_S / 30
    if timestamps == "word":
        check_words(transcript, said.said)
    elif timestamps:
        check_segments(transcript, said.said)


@pytest.mark.parametrize("timestamps", TIMESTAMPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_cut_at_pauses(session: Make, timestamps: Timestamps, seed: int) -> None:
    """However long chunks are: cut at pauses, nothing is lost or changed, and times are exact."""
    rng = random.Random(seed)
    said = speech(seed, SHORT_S)
    transcript = transcribe(session, said, Chunking(chunk_length_s=rng.uniform(10, 30)), timestamps)
    assert transcript.text == " ".join(said.words)
    if timestamps == "word":
        check_words(transcript, said.said)
    elif timestamps:
        check_segments(transcript, said.said)


@pytest.mark.parametrize("seed", SEEDS)
def test_words_with_times_for_any_overlap(session: Make, seed: int) -> None:
    """Chunks of any length and overlap give each word once at its time, though each heard its half of the overlap badly."""
    rng = random.Random(seed)
    length = rng.uniform(4, 30)
    stride = length * rng.uniform(0.03, 0.33)
    said = speech(seed, SHORT_S, edge_s=stride)
    chunking = Chunking(chunk_length_s=length, split="none", stride_length_s=stride)
    transcript = transcribe(session, said, chunking, "word", WorseAtEdges(stride, missing=0.25, wrong=0.25))
    assert bare(transcript.text) == said.words
    check_words(transcript, said.said)


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_words_without_times(session: Make, timestamps: Timestamps, seed: int) -> None:
    """Without times of words, a quarter of the overlap on either side may be heard badly; segments keep their times."""
    rng = random.Random(seed)
    length = rng.uniform(20, 30)
    stride = length / 6
    said = speech(seed, SHORT_S, edge_s=stride)
    ear = WorseAtEdges(stride / 2, missing=0.15, wrong=0.15)
    transcript = transcribe(session, said, Chunking(chunk_length_s=length, split="none"), timestamps, ear)
    assert bare(transcript.text) == said.words
    assert transcript.warnings == ()
    if timestamps:
        check_segments(transcript, said.said)


@pytest.mark.parametrize("timestamps", TIMESTAMPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_shared(session: Make, timestamps: Timestamps, seed: int) -> None:
    """With ``stride_length_s=0`` a word on a cut may be lost, and no other one; none is there twice."""
    length = round(random.Random(seed).uniform(4, 10), 2)
    said = speech(seed, SHORT_S)
    transcript = transcribe(session, said, Chunking(chunk_length_s=length, split="none", stride_length_s=0), timestamps)
    kept = tuple(one for one in said.said if heard_share(one, length) > HEARD_SHARE - 0.05)
    sure = [one for one in kept if heard_share(one, length) > HEARD_SHARE + 0.05]
    words = transcript.text.split()
    assert is_among([one.word for one in sure], words)
    assert is_among(words, [one.word for one in kept])
    assert len(sure) > 0.9 * len(said.said)
    if timestamps == "word":
        starts = [word.start for word in transcript.words]
        whole = [one for one in said.said if heard_share(one, length) == 1.0]
        assert all(any(abs(start - one.start) < EXACT_S for start in starts) for one in whole)


def heard_share(one: Said, length: float) -> float:
    """Return the larger share of a word that lies in one chunk of *length* seconds."""
    cut = length * (one.end // length)
    if cut <= one.start:
        return 1.0
    return max(cut - one.start, one.end - cut) / (one.end - one.start)


def is_among(some: list[str], others: list[str]) -> bool:
    """Whether *others* hold *some*, in order."""
    rest = iter(others)
    return all(word in rest for word in some)


@pytest.mark.parametrize(
    ("colour", "sampling_rate", "channels"), [("sync", 44_100, 2), ("trio", 8_000, 1)], indirect=["colour"]
)
def test_any_file(session: Make, tmp_path: Path, sampling_rate: int, channels: int) -> None:
    """The rate of a file and its channels do not move a word, however far from the start it is."""
    said = speech(7, SHORT_S)
    path = said.write(tmp_path / "speech.flac", sampling_rate=sampling_rate, channels=channels)
    transcript = transcribe(session, path, Chunking(chunk_length_s=29.3), "word")
    assert transcript.text == " ".join(said.words)
    check_words(transcript, said.said)
