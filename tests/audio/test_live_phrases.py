"""Live streams are cut at pauses: no word is lost or cut, times are exact, and nobody waits longer than he must."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr.audio.pieces import Cutting
from hfasr.testing import ToneSpeech
from tests.audio.live_kit import RATE, heard, live, noise, talk

VOCABULARY = ToneSpeech().vocabulary
RATES = [8_000, 16_000, 44_100, 48_000]
LEVELS = [0.0, 0.0025, 0.025]  # of noise; a word's RMS is 0.25, so the last is 20 dB below

spoken = st.lists(
    st.tuples(st.floats(0.8, 2.5), st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)
"""Pauses before phrases, seconds, and their words."""


@settings(max_examples=40, deadline=None)
@given(
    phrases=spoken,
    rate=st.sampled_from(RATES),
    level=st.sampled_from(LEVELS),
    sizes=st.lists(st.integers(1, 20_000), max_size=200),
    lead=st.sampled_from([0.0, 0.4]),
)
def test_every_word_in_its_phrase(
    phrases: list[tuple[float, list[str]]], rate: int, level: float, sizes: list[int], lead: float
) -> None:
    """Whatever the rate, the noise and the blocks, each phrase holds its words at their times, and comes in time."""
    placed: list[tuple[float, list[str]]] = []
    at = lead - phrases[0][0]
    for pause, words in phrases:
        at += pause
        placed.append((at, words))
        at += 0.3 * len(words) - 0.1
    stream = talk(placed, at + 1.0, rate) + noise(at + 1.0, rate, level)
    given_out = live(stream, rate, sizes=sizes)
    assert [[word for word, _ in one.words()] for one in given_out] == [words for _, words in placed]
    assert [one.phrase.piece.index for one in given_out] == list(range(len(placed)))
    blocks = np.cumsum([0, *sizes])
    for one, (start, words) in zip(given_out, placed, strict=True):
        for i, (_, heard_at) in enumerate(one.words()):
            assert heard_at == pytest.approx(start + 0.3 * i, abs=0.011)
        piece = one.phrase.piece
        assert piece.start * RATE == pytest.approx(round(piece.start * RATE), abs=1e-6)
        assert len(one.samples) == round((piece.end - piece.start) * RATE)
        end = start + 0.3 * len(words) - 0.1
        in_block = np.searchsorted(blocks, (end + 0.5) * rate)
        block_s = (sizes[in_block - 1] if 0 < in_block <= len(sizes) else rate // 10) / rate
        assert one.at_s <= end + 0.5 + block_s + 0.011
        assert end - 0.03 <= one.phrase.spoken_at <= one.at_s


@settings(max_examples=10, deadline=None)
@given(rate=st.sampled_from(RATES), sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=300))
def test_blocks_make_no_difference(rate: int, sizes: list[int]) -> None:
    """The same stream gives the same pieces, to the sample, however it is cut into blocks."""
    stream = talk([(0.3, ["sun", "moon"]), (2.0, ["river"] * 12)], 7.0, rate) + noise(7.0, rate, 0.003)
    one = live(stream, rate, longest_s=3.0)
    other = live(stream, rate, sizes=sizes, longest_s=3.0)
    assert [given.phrase.piece.start for given in one] == [given.phrase.piece.start for given in other]
    for this, that in zip(one, other, strict=True):
        np.testing.assert_array_equal(this.samples, that.samples)


@pytest.mark.parametrize("rate", RATES)
def test_blocks_of_a_whole_stream_and_of_one_sample(rate: int) -> None:
    """Minutes at once, or sample by sample: it is the same."""
    stream = talk([(0.5, ["sun", "moon"]), (2.0, ["lake"])], 3.2, rate)
    whole = live(stream, rate, sizes=[len(stream)])
    single = live(stream, rate, sizes=[1] * len(stream))
    assert heard(whole) == heard(single) == ["sun", "moon", "lake"]
    assert [one.phrase.piece.end for one in whole] == [one.phrase.piece.end for one in single]


def test_the_rest_of_the_stream_is_given_at_its_end() -> None:
    """A stream may end in the middle of a phrase."""
    (one,) = live(talk([(0.5, ["sun", "moon"])], 1.0), RATE)
    assert heard([one]) == ["sun", "moon"]
    assert one.phrase.piece.end == 1.0


@pytest.mark.parametrize("n_samples", [0, 1, 159, 161])
def test_next_to_nothing(n_samples: int) -> None:
    """An empty stream, and a shorter one than a frame, end without a phrase."""
    assert live(np.zeros(n_samples, np.float32), RATE) == []


def test_a_stream_that_is_one_sound() -> None:
    """A stream that is too short to tell its noise from its speech is taken for speech."""
    word = ToneSpeech().say("sun")[1_000:-1_000]
    (one,) = live(word, RATE)
    assert (one.phrase.piece.start, one.phrase.piece.end) == (0.0, len(word) / RATE)


def test_silence_gives_nothing() -> None:
    """Neither digital silence nor steady noise, hum or a constant offset is a phrase."""
    hum = (0.05 * np.sin(2 * np.pi * 50 * np.arange(20 * RATE) / RATE)).astype(np.float32)
    for stream in (np.zeros(20 * RATE, np.float32), noise(20, RATE, 0.05), hum, np.full(20 * RATE, 0.5, np.float32)):
        assert live(stream, RATE) == []


def test_noise_that_sets_in_is_no_phrase_for_long() -> None:
    """A fan that is switched on is known as noise after some seconds, and is not given out."""
    stream = noise(30, RATE, 0.001)
    stream[10 * RATE :] += noise(20, RATE, 0.03)
    stream += talk([(25.0, ["sun", "moon"])], 30.0)
    assert [[word for word, _ in one.words()] for one in live(stream, RATE)] == [["sun", "moon"]]


def test_a_floor_that_changes_slowly() -> None:
    """Noise that grows by 20 dB in a minute hides neither pauses nor words."""
    grows = 10 ** np.linspace(-3, -2, 60 * RATE).astype(np.float32)
    placed = [(2.0 + 3 * i, ["red", "boat"]) for i in range(18)]
    given_out = live(talk(placed, 60.0) + noise(60, RATE, 1.0) * grows, RATE)
    assert [[word for word, _ in one.words()] for one in given_out] == [words for _, words in placed]


@pytest.mark.parametrize("floor", [0.0, 0.001])
def test_a_quiet_speaker_after_a_loud_one(floor: float) -> None:
    """Speech 30 dB below what was said before is a phrase as well."""
    stream = talk([(0.5, ["red", "boat"])], 6.0) + 0.03 * talk([(2.5, ["sun", "moon"]), (4.5, ["lake"])], 6.0)
    given_out = live(stream + noise(6.0, RATE, floor), RATE)
    assert [[word for word, _ in one.words()] for one in given_out] == [["red", "boat"], ["sun", "moon"], ["lake"]]


def test_a_quiet_onset_is_kept() -> None:
    """What is said softly just before a phrase is in it, if it is too soft to begin one."""
    stream = noise(3.0, RATE, 0.01)
    stream += 0.1 * talk([(0.9, ["moon"])], 3.0) + talk([(1.2, ["sun"])], 3.0)
    (one,) = live(stream, RATE)
    assert one.phrase.piece.start <= 0.91


def test_a_loud_start() -> None:
    """A stream that begins within a word, at full level, loses nothing of it."""
    stream = talk([(0.0, ["red", "boat", "sun"]), (2.0, ["moon"])], 3.0)[800:]
    given_out = live(stream + noise(3.0, RATE, 0.01)[800:], RATE)
    assert heard(given_out) == ["red", "boat", "sun", "moon"]
    assert given_out[0].phrase.piece.start == 0.0


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_a_stream_that_begins_within_its_only_word(level: float) -> None:
    """Only the silence after it shows that the first sound was speech; it is found then."""
    stream = talk([(0.0, ["sun"])], 4.0)[400:]
    (one,) = live(stream + noise(4.0, RATE, level)[400:], RATE)
    assert heard([one]) == ["sun"]
    assert one.phrase.piece.start == 0.0
    assert one.at_s == pytest.approx(0.7, abs=0.11)


def test_rumble_hides_no_pause() -> None:
    """Noise of traffic and fans, which falls by 6 dB an octave and wavers, is no speech and holds no phrase back."""
    spectrum = np.fft.rfft(noise(30.0, RATE, 1.0))
    rumble = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)) / 30.0, 20.0))
    rumble *= 0.025 / np.sqrt(np.square(rumble).mean())
    placed = [(1.0 + 2.0 * i, ["red", "boat"]) for i in range(14)]
    given_out = live((talk(placed, 30.0) + rumble).astype(np.float32), RATE)
    assert heard(given_out) == ["red", "boat"] * 14
    assert len(given_out) >= 12  # without taking rumble away, there is one


def test_a_constant_offset() -> None:
    """Samples that do not lie around 0 are no sound, and speech upon them is heard."""
    stream = talk([(0.5, ["sun", "moon"]), (2.5, ["lake"])], 4.0) + np.float32(0.5)
    assert [[word for word, _ in one.words()] for one in live(stream, RATE)] == [["sun", "moon"], ["lake"]]


def test_a_click_is_no_phrase() -> None:
    """A single sample is not sent anywhere."""
    stream = noise(3.0, RATE, 0.001)
    stream[RATE] = 0.9
    assert live(stream, RATE) == []


def test_samples_that_are_no_numbers() -> None:
    """NaN and infinity become 0."""
    stream = talk([(0.5, ["sun", "moon"])], 2.0)
    stream[[100, 9_000]] = [np.nan, np.inf]
    (one,) = live(stream, RATE)
    assert np.isfinite(one.samples).all()
    assert heard([one]) == ["sun", "moon"]


def test_channels_in_opposite_phase() -> None:
    """A stereo microphone with swapped poles is heard."""
    speech = talk([(0.5, ["sun", "moon"])], 2.0, 48_000)
    (one,) = live(np.stack([speech, -speech], axis=1), 48_000)
    assert heard([one]) == ["sun", "moon"]


def test_levels_are_settled() -> None:
    """Speech that 16 bits would spoil is raised; what is too loud is scaled down, and what follows likewise."""
    quiet = 1e-3 * talk([(0.5, ["sun", "moon"])], 2.0)
    (one,) = live(quiet, RATE)
    assert np.abs(one.samples).max() == pytest.approx(0.5, rel=0.01)
    loud, after = live(4 * talk([(0.5, ["sun"])], 4.0) + talk([(2.5, ["moon"])], 4.0), RATE)
    assert np.abs(loud.samples).max() == pytest.approx(1.0, rel=0.01)
    assert np.abs(after.samples).max() == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("longest_s", [2.0, 5.0, 30.0])
def test_speech_without_a_pause_is_cut_between_words(rate: int, longest_s: float) -> None:
    """Nothing is longer than the longest, no word is cut, and the pieces follow without a gap."""
    words = [VOCABULARY[i % 64] for i in range(150)]
    given_out = live(talk([(0.2, words)], 47.0, rate) + noise(47.0, rate, 0.002), rate, longest_s=longest_s)
    assert heard(given_out) == words
    assert all(len(one.samples) <= longest_s * RATE for one in given_out)
    for before, after in itertools.pairwise(given_out):
        assert before.phrase.piece.end == after.phrase.piece.start
        assert before.at_s <= before.phrase.piece.start + longest_s + 0.5


@pytest.mark.parametrize("pause_s", [0.2, 0.5, 1.5])
def test_the_pause_is_the_callers(pause_s: float) -> None:
    """A shorter silence is part of a phrase, a longer one ends it, at once."""
    stream = talk([(0.5, ["sun"]), (0.7 + pause_s - 0.06, ["moon"]), (0.9 + 2 * pause_s + 0.05, ["lake"])], 6.0)
    given_out = live(stream, RATE, pause_s=pause_s, sizes=[160] * 1_000)
    assert [[word for word, _ in one.words()] for one in given_out] == [["sun", "moon"], ["lake"]]
    assert given_out[0].at_s == pytest.approx(0.9 + pause_s - 0.06 + pause_s, abs=0.03)


def test_windows_of_fixed_length() -> None:
    """With ``split="none"`` nothing is judged: all of the stream is given, in windows that overlap."""
    stream = np.concatenate([np.zeros(5 * RATE, np.float32), talk([(0.0, ["sun"] * 20)], 6.0)])
    pieces = [one.phrase.piece for one in live(stream, RATE, cutting=Cutting(4.0, "none", 0.5))]
    assert [(piece.start, piece.end) for piece in pieces] == [(0.0, 4.0), (3.0, 7.0), (6.0, 10.0), (9.0, 11.0)]
    assert [(piece.overlap_before, piece.overlap_after) for piece in pieces] == [(0, 1), (1, 1), (1, 1), (1, 0)]
    assert [piece.is_silent for piece in pieces] == [True, False, False, False]
