"""Long audio in pieces: nothing lost, sample by sample, whatever is wrong with it."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hfasr.audio import Source, decode
from hfasr.audio.pieces import Cutting, Piece, Pieces
from hfasr.audio.source import PathSource, WaveformSource
from hfasr.errors import AudioDecodeError, AudioError, DeadlineExceededError, EmptyAudioError
from hfasr.testing import ToneSpeech
from hfasr.types import Audio, Split
from tests.audio.kit import Floats, encode, source, tone

WORDS = [f"{one} {two}" for one in ("red", "boat", "lamp") for two in ("sun", "tree", "night", "egg", "gold")] * 4
TEXT = " ".join(WORDS)  # 120 words, 36 s


def pieces_of(given: Source, longest_s: float = 5.0, split: Split = "silence", **options: Any) -> Pieces:
    """Cut *given* into pieces of 16 kHz."""
    options = {"sampling_rate": 16_000, "channels": "mix", **options}
    stride_s = options.pop("stride_s", 0.0)
    return Pieces(given, cutting=Cutting(longest_s, split, stride_s), **options)


def array(samples: Floats, rate: int = 16_000) -> WaveformSource:
    """Return *samples* as a source, mono or of shape ``(n, channels)``."""
    return WaveformSource(samples.reshape(len(samples), -1), sampling_rate=rate, name="array")


def glued(pieces: list[Piece]) -> Floats:
    """Return the samples of *pieces* one after the other."""
    return np.concatenate([piece.source.frames[:, 0] for piece in pieces])


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_the_pieces_are_the_whole(rate: int, format: str) -> None:  # noqa: A002  # soundfile's name
    """What comes out in pieces is, sample by sample, what comes out at once; and each start is a sample's time."""
    data = encode(ToneSpeech().say(TEXT, sampling_rate=rate), rate, format=format)
    whole = decode(source(data))
    with pieces_of(source(data)) as pieces:
        given = list(pieces)
    np.testing.assert_array_equal(glued(given), whole.audio.waveform)
    at = 0
    for index, piece in enumerate(given):
        n_samples = len(piece.source.frames)
        assert (piece.index, piece.start, piece.end) == (index, at / 16_000, (at + n_samples) / 16_000)
        assert (piece.overlap_before, piece.overlap_after, piece.is_silent) == (0, 0, False)
        at += n_samples
    assert len(given) > 7
    assert (pieces.duration, pieces.changes) == (whole.duration, whole.changes)


def test_the_words_of_all_pieces_are_the_text() -> None:
    """No word is cut in two, and each is where it was."""
    speech = ToneSpeech()
    data = encode(speech.say(TEXT, sampling_rate=44_100), 44_100, format="FLAC")
    words = []
    for piece in pieces_of(source(data), longest_s=7):
        heard = speech.hear(Audio(piece.source.frames[:, 0], 16_000))
        words += [(word.word, piece.start + word.start) for word in heard.words]
    assert [word for word, _ in words] == TEXT.split()
    assert [start for _, start in words] == pytest.approx([0.05 + 0.3 * i for i in range(120)], abs=0.01)


@pytest.mark.parametrize("stride_s", [0.0, 0.5, 1.2])
def test_fixed_windows_overlap_by_both_strides(stride_s: float) -> None:
    """Each window holds the very samples of its time, and says what it shares with its neighbours."""
    samples = tone(duration=23.4)
    samples[::1_600] = 0.9  # clicks
    given = list(pieces_of(array(samples), split="none", stride_s=stride_s))
    for piece in given:
        first, stop = round(piece.start * 16_000), round(piece.end * 16_000)
        np.testing.assert_array_equal(piece.source.frames[:, 0], samples[first:stop])
    for before, after in itertools.pairwise(given):
        assert before.end - before.start == pytest.approx(5)
        assert before.overlap_after == after.overlap_before == pytest.approx(2 * stride_s)
        assert before.end - after.start == pytest.approx(2 * stride_s)
    assert (given[0].start, given[0].overlap_before) == (0, 0)
    assert (given[-1].end, given[-1].overlap_after) == (23.4, 0)


@pytest.mark.parametrize("split", ["silence", "none"])
def test_what_fits_is_one_piece(split: Split) -> None:
    """Short audio is not cut, and comes out as `decode` would give it."""
    [piece] = pieces = list(pieces_of(array(tone(duration=5)), split=split))
    assert (len(pieces), piece.start, piece.end, piece.overlap_before, piece.overlap_after) == (1, 0, 5, 0, 0)


def _memory_of(path: Path, longest_s: float) -> int:
    tracemalloc.start()
    try:
        with pieces_of(PathSource(path, check=lambda: None), longest_s, sampling_rate=8_000) as pieces:
            for _ in pieces:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_audio(tmp_path: Path) -> None:
    """An hour takes no more than ten minutes: the caller's piece, the one being made, what is held, a few blocks."""
    minute = ToneSpeech().say(["sun", "moon"] * 100, sampling_rate=8_000)
    for minutes in (1, 10, 60):
        with soundfile.SoundFile(tmp_path / f"{minutes}.wav", "w", 8_000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
    _memory_of(tmp_path / "1.wav", 30)  # what is imported and made once
    short, long = (_memory_of(tmp_path / f"{minutes}.wav", 30) for minutes in (10, 60))
    assert long < 1.1 * short
    assert long < 3 * (32 * 8_000 + 2 * 65_536) * 4 + 4 * 65_536 * 4


@pytest.mark.parametrize("split", ["silence", "none"])
@pytest.mark.parametrize("how", ["cut off", "damaged"])
def test_what_was_read_before_damage_is_given_out(how: str, split: Split) -> None:
    """Damage is raised when it is reached, after all that could be read, the last partial piece included."""
    samples = ToneSpeech().say(TEXT)
    data = encode(samples, format="FLAC")
    at = len(data) * 2 // 3
    broken = data[:at] if how == "cut off" else data[:at] + bytes(2_000) + data[at + 2_000 :]
    pieces = pieces_of(source(broken, "broken.flac"), split=split)
    given: list[Piece] = []
    with pytest.raises(AudioDecodeError, match=r"broken\.flac is (damaged or )?cut off"):
        given.extend(pieces)  # which keeps what came before an error
    assert given[-1].end >= 65_536 * 5 / 16_000  # 36 s are nine blocks
    np.testing.assert_allclose(glued(given), samples[: round(given[-1].end * 16_000)], atol=1e-4)
    assert list(pieces) == []
    assert pieces.duration is None


def test_no_samples_are_an_error() -> None:
    """An empty recording is one in pieces, too."""
    with pytest.raises(EmptyAudioError, match="has not one sample"):
        list(pieces_of(source(encode(np.zeros(0, np.float32)))))


def test_nothing_but_nan_is_damage() -> None:
    """That no sample is a number is known at the end."""
    with pytest.raises(AudioDecodeError, match="not one sample"):
        list(pieces_of(source(encode(np.full(160_000, np.nan, np.float32), subtype="FLOAT"))))


def test_what_the_header_shows_is_raised_at_once() -> None:
    """A channel that is not there needs no decoding to be refused, and no file stays open."""
    with pytest.raises(AudioError, match="there is no channel 1"):
        pieces_of(source(encode(tone())), channels=1)


def test_the_check_stops_it_at_once() -> None:
    """A deadline ends the work between two blocks, and what is held is not given out."""
    left = 3

    def expire() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise DeadlineExceededError("over")

    pieces = pieces_of(array(tone(duration=60)), longest_s=3, check=expire)
    given: list[Piece] = []
    with pytest.raises(DeadlineExceededError):
        given.extend(pieces)
    assert given[-1].end < 2 * 65_536 / 16_000


def test_closing_ends_it(tmp_path: Path) -> None:
    """A closed iterator gives nothing more, holds no file, and may be closed again or unused."""
    path = tmp_path / "tone.wav"
    path.write_bytes(encode(tone(duration=30)))
    pieces = pieces_of(PathSource(path, check=lambda: None))
    next(pieces)
    for _ in range(2):
        pieces.close()
    assert list(pieces) == []
    pieces_of(PathSource(path, check=lambda: None)).close()
    path.unlink()  # which Windows refuses for a file that is open


def test_a_pause_is_not_raised_after_speech() -> None:
    """A piece of noise in a recording of normal level stays as quiet as it was."""
    noise = 1e-3 * np.random.default_rng(0).uniform(-1, 1, 160_000).astype(np.float32)
    samples = np.concatenate([tone(duration=5), noise])
    pieces = pieces_of(array(samples))
    given = list(pieces)
    np.testing.assert_array_equal(glued(given), samples)
    assert pieces.changes == ()


def test_quiet_speech_is_raised_by_what_is_known_so_far() -> None:
    """A quiet recording is raised; where it gets louder, later pieces are raised less."""
    samples = np.concatenate(
        [tone(level=0.0005, duration=5), tone(level=0.001, duration=5), tone(level=0.0005, duration=5)]
    )
    pieces = pieces_of(array(samples), split="none")
    peaks = [float(np.abs(piece.source.frames).max()) for piece in pieces]
    assert peaks == pytest.approx([0.5, 0.5, 0.25], rel=1e-3)
    assert pieces.changes == ("raised in 3 of 3 pieces",)


def test_what_is_done_to_all_pieces_alike_is_said_once() -> None:
    """A level that is the same throughout is corrected as `decode` says it."""
    pieces = pieces_of(array(tone(level=2.0, duration=20)), split="none")
    assert np.abs(glued(list(pieces))).max() <= 1
    assert pieces.changes == ("scaled peak 2 to 1.0",)


def test_decoding_a_piece_leaves_its_level_alone() -> None:
    """`decode` of a piece gives the samples that are in it, quiet or not, as memory of its own."""
    samples = np.concatenate([tone(duration=5), tone(level=0.001, duration=5) + np.float32(0.0005)])
    quiet = list(pieces_of(array(samples), split="none"))[1]
    decoded = decode(quiet.source)
    np.testing.assert_array_equal(decoded.audio.waveform, quiet.source.frames[:, 0])
    assert decoded.changes == ()
    assert not np.shares_memory(decoded.audio.waveform, quiet.source.frames)


@pytest.mark.parametrize("level", [0.0, 2.0**-24])
def test_digital_silence_is_told(level: float) -> None:
    """A piece that never leaves one step of 24 bits is silent; its neighbours with sound are not."""
    samples = np.concatenate([tone(duration=5), tone(duration=5, level=level), tone(duration=5, level=0.001)])
    given = list(pieces_of(array(samples), split="none"))
    assert [piece.is_silent for piece in given] == [False, True, False]
    assert [decode(piece.source).is_silent for piece in given] == [False, True, False]


def test_the_pieces_are_nobody_elses_memory() -> None:
    """Writing to a piece changes neither the caller's array nor the next piece."""
    samples = tone(duration=12)
    kept = samples.copy()
    for piece in pieces_of(array(samples), split="none", stride_s=1.0):
        first = round(piece.start * 16_000)
        np.testing.assert_array_equal(piece.source.frames[:, 0], kept[first : first + 80_000])
        piece.source.frames[:] = 0
    np.testing.assert_array_equal(samples, kept)


def test_a_second_speaker_with_swapped_poles_is_kept() -> None:
    """Every word of two speakers is heard, though one of them is in opposite phase on the two channels."""
    speech = ToneSpeech()
    pause = np.zeros(8_000, np.float32)
    turns = ["red boat lamp egg " * 9, "sun tree night gold " * 3] * 3
    signs = [1.0, -0.8] * 3
    left = np.concatenate([samples for turn in turns for samples in (speech.say(turn), pause)])
    right = np.concatenate(
        [s * sign for turn, sign in zip(turns, signs, strict=True) for s in (speech.say(turn), pause)]
    )
    pieces = pieces_of(array(np.stack([left, right], axis=1).astype(np.float32)))
    heard = " ".join(speech.hear(Audio(piece.source.frames[:, 0], 16_000)).text for piece in pieces)
    assert heard.split() == "".join(turns).split()
    assert pieces.changes[0] == "mixed 2 channels"
    assert pieces.changes[1].startswith("took channel 0 of 2 for 1")
