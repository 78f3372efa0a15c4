from __future__ import annotations

import io
import random
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hfasr import Audio
from hfasr.testing import ToneSpeech

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
speech = ToneSpeech()


def hear(waveform: npt.NDArray[np.floating], sampling_rate: int = 16_000) -> list[str]:
    return speech.hear(Audio(np.asarray(waveform, np.float32), sampling_rate)).text.split()


def shuffled(seed: int, n: int = 1) -> list[str]:
    """Every word *n* times, in random order."""
    words = list(speech.vocabulary) * n
    random.Random(seed).shuffle(words)
    return words


def test_the_vocabulary_has_64_different_lower_case_words() -> None:
    """No word stands twice, and each is one plain English word."""
    assert len(set(speech.vocabulary)) == len(speech.vocabulary) == 64
    assert all(word.isascii() and word.isalpha() and word.islower() for word in speech.vocabulary)


@pytest.mark.parametrize("sampling_rate", RATES)
def test_what_is_said_is_heard_at_every_rate(sampling_rate: int) -> None:
    """All words in random order, repetitions included, come back at any rate from 8 to 192 kHz."""
    words = shuffled(sampling_rate, 2)
    assert hear(speech.say(words, sampling_rate=sampling_rate), sampling_rate) == words


@pytest.mark.parametrize("seed", range(20))
def test_times_are_exact_to_10_ms(seed: int) -> None:
    """Starts and ends of words at random places are within 10 ms, at a random rate."""
    rng = random.Random(seed)
    rate = rng.choice(RATES)
    said, at = [], 0.0
    for _ in range(30):
        at += rng.uniform(0.0, 1.0)
        said.append((at, rng.choice(speech.vocabulary)))
        at += 0.3
    heard = speech.hear(Audio(speech.say_at(said, duration=at + 1.0, sampling_rate=rate), rate)).words
    assert [word.word for word in heard] == [word for _, word in said]
    for word, (start, _) in zip(heard, said, strict=True):
        assert word.start == pytest.approx(start, abs=0.01)
        assert word.end == pytest.approx(start + 0.2, abs=0.01)


@pytest.mark.parametrize(
    ("container", "subtype", "sampling_rate"),
    [
        ("WAV", "PCM_U8", 16_000),
        ("WAV", "PCM_16", 44_100),
        ("WAV", "PCM_24", 48_000),
        ("WAV", "FLOAT", 16_000),
        ("WAV", "DOUBLE", 16_000),
        ("WAV", "ULAW", 8_000),
        ("WAV", "ALAW", 8_000),
        ("WAV", "IMA_ADPCM", 16_000),
        ("AIFF", "PCM_16", 22_050),
        ("FLAC", "PCM_16", 16_000),
        ("OGG", "VORBIS", 8_000),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 8_000),
        ("OGG", "OPUS", 16_000),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 8_000),
        ("MP3", "MPEG_LAYER_III", 16_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
    ],
)
def test_words_survive_codecs(container: str, subtype: str, sampling_rate: int) -> None:
    """Every word comes back from every codec that libsndfile writes, and on time."""
    words = shuffled(1)
    file = io.BytesIO()
    soundfile.write(
        file, speech.say(words, sampling_rate=sampling_rate), sampling_rate, format=container, subtype=subtype
    )
    file.seek(0)
    waveform, rate = soundfile.read(file, dtype="float32")
    heard = speech.hear(Audio(waveform, rate)).words
    assert [word.word for word in heard] == words
    assert heard[-1].start == pytest.approx(0.05 + 0.3 * 63, abs=0.01)


@pytest.mark.parametrize(
    ("container", "codec", "sampling_rate", "bit_rate"),
    [
        ("amr", "libopencore_amrnb", 8_000, 12_200),
        ("ipod", "aac", 16_000, 32_000),
        ("webm", "libopus", 48_000, 16_000),
        ("mp3", "libmp3lame", 16_000, 16_000),
    ],
)
def test_words_survive_containers_of_phones_and_browsers(
    container: str, codec: str, sampling_rate: int, bit_rate: int
) -> None:
    """Every word comes back from amr, m4a, webm and a poor mp3, as PyAV writes and `decode` reads them."""
    from hfasr.testing.heard import decode

    words = shuffled(2)
    body = encode_with_av(speech.say(words, sampling_rate=sampling_rate), container, codec, sampling_rate, bit_rate)
    assert speech.hear(decode(body)).text.split() == words


def encode_with_av(waveform: npt.NDArray[np.float32], container: str, codec: str, rate: int, bit_rate: int) -> bytes:
    av = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.round(waveform * 32_767).astype("<i2")[None], "s16", "mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(part)
        size = stream.codec_context.frame_size
        while (part := fifo.read(size)) or (part := fifo.read(size, partial=True)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("seed", range(3))
def test_words_survive_noise_20_db_below(seed: int) -> None:
    """White noise at a tenth of the words' amplitude changes no word and no time by over 10 ms."""
    words = shuffled(seed)
    clean = speech.say(words)
    sounding = clean[np.abs(clean) > 0]
    noise = np.random.default_rng(seed).normal(0.0, 0.1 * np.sqrt(np.mean(sounding**2)), len(clean))
    heard = speech.hear(Audio((clean + noise).astype(np.float32), 16_000)).words
    assert [word.word for word in heard] == words
    assert all(abs(word.start - (0.05 + 0.3 * i)) < 0.01 for i, word in enumerate(heard))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * 1e-3,
        lambda x: x * 2.0,
        lambda x: np.clip(x * 5.0, -1.0, 1.0),
        lambda x: -x,
        lambda x: x + 0.4,
        lambda x: x + 0.1 * np.sin(2 * np.pi * 50 / 16_000 * np.arange(len(x))),
        lambda x: np.concatenate([np.zeros(12_345), x]),
    ],
    ids=["quiet", "loud", "clipped", "inverted", "dc", "hum", "late"],
)
def test_words_survive_level_and_offset(change: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]) -> None:
    """Gain, clipping, polarity, a DC offset, mains hum and silence before change no word."""
    words = shuffled(4)
    assert hear(change(speech.say(words))) == words


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(0),
        np.zeros(1),
        np.ones(100),
        np.zeros(160_000),
        np.ones(160_000),
        np.random.default_rng(0).normal(0, 0.1, 16_000 * 120),
        np.random.default_rng(1).uniform(-1, 1, 16_000 * 60),
        0.5 * np.sin(2 * np.pi * 491 / 16_000 * np.arange(160_000)),
        speech.say_at([(0.0, "red")], duration=0.2)[:1_600],
    ],
    ids=["empty", "one sample", "short", "silence", "dc", "noise", "loud noise", "one tone", "half a word"],
)
def test_no_words_are_heard_where_there_are_none(waveform: npt.NDArray[np.floating]) -> None:
    """Silence, noise and other sounds give an empty transcript without segments."""
    heard = speech.hear(Audio(waveform.astype(np.float32), 16_000))
    assert heard.text == ""
    assert heard.segments == ()
    assert heard.duration == len(waveform) / 16_000


@pytest.mark.shared
def test_no_words_are_heard_in_real_speech(shared: Path) -> None:
    """A human voice is not mistaken for tones."""
    waveform, rate = soundfile.read(next((shared / "audio").rglob("jfk.flac")), dtype="float32", always_2d=True)
    assert hear(waveform.mean(axis=1), rate) == []


def test_a_word_that_is_cut_in_two_is_heard_at_most_once() -> None:
    """Wherever audio is cut, no word comes twice; and in most places within a word it comes once."""
    waveform = speech.say("red boat sun")
    for cut in range(4_800, 9_600, 160):
        left, right = hear(waveform[:cut]), hear(waveform[cut:])
        assert [*left, *right] in (["red", "boat", "sun"], ["red", "sun"])


def test_a_cut_between_two_words_loses_none() -> None:
    """The seam of two slots is silent."""
    waveform = speech.say("red boat")
    assert hear(waveform[:4_800]) == ["red"]
    assert hear(waveform[4_800:]) == ["boat"]


@pytest.mark.parametrize("factor", [0.5, 0.92, 0.97, 1.03, 1.0884, 2.0])
def test_a_wrong_rate_is_not_heard_as_right(factor: float) -> None:
    """Audio labelled with a rate that is 3 % off or more, such as 44.1 for 48 kHz, loses words or changes them."""
    words = shuffled(5)
    heard = speech.hear(Audio(speech.say(words), round(16_000 * factor)))
    assert heard.text.split() != words


def test_a_pause_of_more_than_half_a_second_begins_a_segment() -> None:
    """0.4 s of silence do not split, 0.6 s do; the segments hold their words and times."""
    heard = speech.hear(Audio(speech.say_at([(0.1, "red"), (0.7, "boat"), (1.5, "sun")], duration=2.0), 16_000))
    assert [segment.text for segment in heard.segments] == ["red boat", "sun"]
    assert [word.word for word in heard.segments[0].words] == ["red", "boat"]
    assert heard.segments[1].start == pytest.approx(1.5, abs=0.01)
    assert heard.segments[1].end == pytest.approx(1.7, abs=0.01)


def test_say_gives_float32_within_half_of_full_scale() -> None:
    """Shape, type and range are as documented, and the ends are silent."""
    waveform = speech.say(["Red", "BOAT"], sampling_rate=8_000)
    assert waveform.shape == (4_800,)
    assert waveform.dtype == np.float32
    assert 0.4 < np.abs(waveform).max() <= 0.5
    assert not waveform[:400].any()
    assert not waveform[-400:].any()


def test_say_of_nothing_is_empty() -> None:
    """No words, no samples."""
    assert speech.say("").shape == (0,)


def test_unknown_words_are_refused() -> None:
    """A word that could not be heard is not said."""
    with pytest.raises(ValueError, match="'hello' is not a word of ToneSpeech"):
        speech.say("red hello")


def test_rates_below_8_khz_are_refused() -> None:
    """At less than 8 kHz the tones do not fit."""
    with pytest.raises(ValueError, match="8000 Hz or more"):
        ToneSpeech(4_000)
    with pytest.raises(ValueError, match="8000 Hz or more"):
        speech.say("red", sampling_rate=7_999)


@pytest.mark.parametrize("start", [-0.1, 0.9])
def test_say_at_refuses_what_does_not_fit(start: float) -> None:
    """A word is never cut off."""
    with pytest.raises(ValueError, match="does not fit"):
        speech.say_at([(start, "red")], duration=1.0)


def test_hear_refuses_channels() -> None:
    """Two-dimensional audio is not guessed at."""
    with pytest.raises(ValueError, match="mono"):
        speech.hear(Audio(np.zeros((100, 2), np.float32), 16_000))


@pytest.mark.slow
def test_an_hour_is_heard_in_seconds() -> None:
    """12000 words in an hour of audio come back whole, 60 times faster than real time at the least."""
    words = shuffled(6) * 187 + shuffled(7)[:32]
    waveform = speech.say(words)
    assert len(waveform) == 3_600 * 16_000
    began = time.perf_counter()
    heard = hear(waveform)
    assert time.perf_counter() - began < 60
    assert heard == words
