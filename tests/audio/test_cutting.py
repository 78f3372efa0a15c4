"""Where cuts fall, told apart from the reading of files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr.audio.cutting import AtFixedTimes, AtQuietPoints, Cuts, Cutting, Held, Span, quietest
from hfasr.testing import ToneSpeech
from hfasr.testing.tones import SLOT_S, VOCABULARY
from tests.audio.kit import Floats, tone


def cut(cuts: Cuts, samples: Floats, block: int) -> list[Span]:
    """Feed *samples* in blocks, as decoding does, and return the spans."""
    held = Held()
    spans: list[Span] = []
    for start in range(0, len(samples), block):
        held.append(samples[start : start + block])
        spans += cuts.spans(held, ended=False)
        held.drop(cuts.needed)
    return [*spans, *cuts.spans(held, ended=True)]


def noise(n_samples: int, seed: int = 0) -> Floats:
    """Return white noise."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n_samples).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest_s": 0}, "longest_s must be seconds, above 0"),
        ({"longest_s": float("inf")}, "longest_s must be seconds"),
        ({"longest_s": float("nan")}, "longest_s must be seconds"),
        ({"longest_s": 30, "split": "words"}, "split must be one of silence, vad, none"),
        ({"longest_s": 30, "stride_s": 2}, 'stride_s goes with split="none"'),
        ({"longest_s": 30, "split": "none", "stride_s": 15}, "under half of 30"),
        ({"longest_s": 30, "split": "none", "stride_s": -1}, "must be 0 or more"),
    ],
)
def test_impossible_cuttings_are_refused(options: dict[str, Any], message: str) -> None:
    """What cannot be done is said when it is asked for."""
    with pytest.raises(ValueError, match=message):
        Cutting(**options)


@pytest.mark.parametrize(
    ("longest_s", "rate", "n"),
    [(30, 16_000, 480_000), (4.35, 100, 435), (0.99999, 100, 99), (0.29 * 100, 16_000, 463_999)],
)
def test_the_longest_piece_is_rounded_down(longest_s: float, rate: int, n: int) -> None:
    """A piece is never longer than a route takes, and floats do not cost a sample."""
    assert Cutting(longest_s).n_longest(rate) == n
    assert n / rate <= longest_s


@given(n=st.integers(0, 900), longest=st.integers(1, 200), data=st.data())
def test_fixed_windows_are_those_of_transformers(n: int, longest: int, data: st.DataObject) -> None:
    """Windows follow each other as in transformers' pipeline: a step less than a window, the last one up to the end."""
    stride = data.draw(st.integers(0, (longest - 1) // 2))
    block = data.draw(st.integers(1, 300))
    expected = []
    for start in range(0, n, longest - 2 * stride):
        expected.append((start, min(start + longest, n)))
        if start + longest >= n:
            break
    assert cut(AtFixedTimes(longest, 2 * stride), noise(n), block) == expected


@given(
    seconds=st.floats(0.001, 40), longest_s=st.floats(0.05, 12), block=st.integers(50, 20_000), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=50)
def test_quiet_cuts_lose_nothing(seconds: float, longest_s: float, block: int, seed: int) -> None:
    """Pieces follow each other without a gap, none is too long, and none is tiny that need not be."""
    rate = 1_000
    samples = noise(max(1, round(seconds * rate)), seed)
    longest = Cutting(longest_s).n_longest(rate)
    spans = cut(AtQuietPoints(longest, rate), samples, block)
    assert [first for first, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == len(samples)
    lengths = [stop - first for first, stop in spans]
    assert max(lengths) <= longest
    assert len(spans) == 1 or min(lengths) >= min(rate, longest // 3)
    assert len(spans) == 1 or len(samples) > longest
    assert all(length >= longest - longest // 3 - 1 for length in lengths[:-2])


@given(longest_s=st.floats(0.5, 5), blocks=st.tuples(st.integers(10, 5_000), st.integers(10, 5_000)))
@settings(deadline=None, max_examples=30)
def test_cuts_do_not_depend_on_blocks(longest_s: float, blocks: tuple[int, int]) -> None:
    """How a file is read does not change where it is cut."""
    samples = noise(20_000)
    longest = Cutting(longest_s).n_longest(1_000)
    first, second = (cut(AtQuietPoints(longest, 1_000), samples, block) for block in blocks)
    assert first == second


@given(
    words=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=80),
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    longest_s=st.floats(1.5, 9),
)
@settings(deadline=None, max_examples=40)
def test_every_cut_is_between_words(words: list[str], rate: int, longest_s: float) -> None:
    """Where there are gaps between words no cut is in a word, at any rate."""
    samples = ToneSpeech().say(words, sampling_rate=rate)
    spans = cut(AtQuietPoints(Cutting(longest_s).n_longest(rate), rate), samples, 65_536)
    for _, stop in spans[:-1]:
        assert abs(stop / rate / SLOT_S - round(stop / rate / SLOT_S)) * SLOT_S <= 0.05


@pytest.mark.parametrize("level", [0.0, 0.001, 0.02])
def test_the_longest_pause_is_taken(level: float) -> None:
    """A real pause wins over the gaps between words, and is cut in its middle, with noise in it or without."""
    rate = 16_000
    speech = ToneSpeech()
    words = [(0.3 * i + 0.05 + (0.7 if i >= 80 else 0.0), "sun") for i in range(100)]
    samples = speech.say_at(words, duration=32, sampling_rate=rate) + level * noise(32 * rate)
    spans = cut(AtQuietPoints(30 * rate, rate), samples.astype(np.float32), 65_536)
    assert spans[0][1] / rate == pytest.approx(24 - 0.05 + 0.8 / 2, abs=0.06)


@pytest.mark.parametrize(
    "samples", [np.zeros(64_000, np.float32), tone(400, duration=4), np.full(64_000, 0.3, np.float32)]
)
def test_where_all_is_alike_the_latest_point_is_taken(samples: Floats) -> None:
    """Silence, a tone and a constant are cut into pieces as long as may be."""
    assert cut(AtQuietPoints(24_000, 16_000), samples, 1_000) == [(0, 24_000), (24_000, 48_000), (48_000, 64_000)]


def test_a_constant_offset_does_not_hide_a_pause() -> None:
    """Energy is taken without DC."""
    samples = 0.5 + 0.01 * noise(16_000)
    samples[9_000:11_000] = 0.5
    assert quietest(samples.astype(np.float32), 16_000, 0, 16_000) == pytest.approx(10_000, abs=160)


def test_wild_floats_are_cut_too() -> None:
    """Values whose squares overflow raise no warning, and what is quiet between them is found."""
    samples = 3e38 * np.sign(noise(16_000))
    samples[9_000:11_000] = 0
    assert quietest(samples.astype(np.float32), 16_000, 0, 16_000) == pytest.approx(10_000, abs=160)


@pytest.mark.parametrize("n_samples", [0, 1, 159])
def test_less_than_a_frame_is_cut_at_its_end(n_samples: int) -> None:
    """Where no energy can be taken the latest point is as good as any."""
    assert quietest(noise(n_samples), 16_000, 0, n_samples) == n_samples


def test_no_more_than_a_piece_is_held() -> None:
    """A window, a second to look ahead, and a block are all that is kept."""
    held, cuts = Held(), AtQuietPoints(30_000, 1_000)
    for _ in range(200):
        held.append(noise(4_096))
        list(cuts.spans(held, ended=False))
        held.drop(cuts.needed)
        assert held.stop - held.start <= 30_000 + 1_000 + 2 * 4_096


@given(
    steps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=30),
    n_expected=st.integers(0, 80),
)
def test_what_is_held_is_what_came_in(steps: list[tuple[int, int, int, bool]], n_expected: int) -> None:
    """Samples are found by their number however they come, are taken and dropped; what was taken stays as it was."""
    held = Held(n_expected)
    everything = np.arange(2_000, dtype=np.float32)
    taken: list[tuple[int, Floats]] = []
    for n_new, length, n_dropped, is_taken in steps:
        held.append(everything[held.stop : held.stop + n_new])
        first = held.start
        stop = min(held.stop, first + length)
        needed = min(held.stop, first + n_dropped)
        np.testing.assert_array_equal(held.copy(first, stop), everything[first:stop])
        if is_taken:
            taken.append((first, held.take(first, stop, needed)))
        else:
            held.drop(needed)
        assert held.start == needed
        for at, samples in taken:
            np.testing.assert_array_equal(samples, everything[at : at + len(samples)])
        np.testing.assert_array_equal(held.copy(held.start, held.stop), everything[held.start : held.stop])
    for i, (_, samples) in enumerate(taken):
        samples[:] = -i - 1
    for i, (_, samples) in enumerate(taken):
        assert (samples == -i - 1).all()
    np.testing.assert_array_equal(held.copy(held.start, held.stop), everything[held.start : held.stop])
