"""Any file, rate, width and number of channels comes out as the same tone."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfasr.audio import decode
from hfasr.audio.decoding import MAX_DECODED_S
from hfasr.audio.source import BytesSource, PathSource, WaveformSource
from hfasr.errors import (
    AudioDecodeError,
    AudioError,
    AudioTooLongError,
    DeadlineExceededError,
    EmptyAudioError,
    UnsupportedAudioError,
)
from hfasr.testing import ToneSpeech
from hfasr.types import Audio
from tests.audio.kit import encode, encode_av, heard, hide_av, tone

FILES = [
    ("WAV", "PCM_U8", 0.01),
    ("WAV", "PCM_16", 1e-3),
    ("WAV", "PCM_24", 1e-3),
    ("WAV", "PCM_32", 1e-3),
    ("WAV", "FLOAT", 1e-3),
    ("WAV", "DOUBLE", 1e-3),
    ("WAV", "ULAW", 0.02),
    ("WAV", "MS_ADPCM", 0.02),
    ("WAVEX", "PCM_16", 1e-3),
    ("RF64", "PCM_16", 1e-3),
    ("W64", "PCM_24", 1e-3),
    ("AIFF", "PCM_16", 1e-3),
    ("AU", "PCM_16", 1e-3),
    ("CAF", "ALAC_16", 1e-3),
    ("SVX", "PCM_16", 1e-3),
    ("VOC", "PCM_16", 1e-3),
    ("NIST", "PCM_16", 1e-3),
    ("FLAC", "PCM_S8", 0.01),
    ("FLAC", "PCM_16", 1e-3),
    ("FLAC", "PCM_24", 1e-3),
    ("OGG", "VORBIS", 0.03),
    ("OGG", "OPUS", 0.05),
    ("MP3", "MPEG_LAYER_III", 0.03),
]
BY_AV = [
    ("ipod", "aac", 44_100),
    ("mp4", "aac", 48_000),
    ("3gp", "aac", 44_100),
    ("mov", "aac", 44_100),
    ("adts", "aac", 32_000),
    ("webm", "libopus", 48_000),
    ("matroska", "libopus", 48_000),
    ("ac3", "ac3", 48_000),
    ("mpegts", "aac", 48_000),
    ("flv", "aac", 44_100),
    ("avi", "mp3", 44_100),
    ("mp2", "mp2", 44_100),
    ("wv", "wavpack", 44_100),
    ("mp4", "alac", 44_100),
]


@pytest.mark.parametrize(("container", "subtype", "tolerance"), FILES, ids=str)
def test_every_kind_of_file_keeps_its_tone(container: str, subtype: str, tolerance: float) -> None:
    """Whatever libsndfile writes is read back with its frequency and level."""
    data = encode(tone(), 16_000, format=container, subtype=subtype)
    decoded = decode(BytesSource(data, name="tone"))
    hertz, level = heard(decoded.audio.waveform, 16_000)
    assert hertz == pytest.approx(440, abs=4.1)
    assert level == pytest.approx(0.5, abs=tolerance)
    assert decoded.duration == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize(("container", "codec", "rate"), BY_AV, ids=str)
def test_what_libsndfile_cannot_open_is_decoded_by_pyav(container: str, codec: str, rate: int) -> None:
    """M4A, WebM, video and the like are read back with their frequency and level."""
    data = encode_av(tone(sampling_rate=rate), rate, container=container, codec=codec)
    decoded = decode(BytesSource(data, name="tone"))
    hertz, level = heard(decoded.audio.waveform, 16_000)
    assert hertz == pytest.approx(440, abs=5)
    assert level == pytest.approx(0.5, abs=0.06)
    assert decoded.duration == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_every_rate_and_width_says_the_same_words(rate: int, subtype: str) -> None:
    """Words said at any rate and width are heard at 16 kHz."""
    speech = ToneSpeech()
    data = encode(speech.say("red boat lamp", sampling_rate=rate), rate, subtype=subtype)
    decoded = decode(BytesSource(data, name="words"))
    assert speech.hear(decoded.audio).text == "red boat lamp"
    assert decoded.audio.sampling_rate == 16_000
    assert len(decoded.audio.waveform) == pytest.approx(decoded.duration * 16_000, abs=1)
    assert (f"resampled {rate} to 16000 Hz" in decoded.changes) == (rate != 16_000)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_mixed_to_their_mean(channels: int) -> None:
    """One to eight channels become the mean of them."""
    columns = [tone(200.0 * (n + 1)) for n in range(channels)]
    data = encode(np.stack(columns, axis=1), format="WAV", subtype="FLOAT")
    decoded = decode(BytesSource(data, name="many"))
    np.testing.assert_allclose(decoded.audio.waveform, np.mean(columns, axis=0), atol=1e-6)
    assert decoded.changes == ((f"mixed {channels} channels",) if channels > 1 else ())


def test_one_channel_can_be_picked() -> None:
    """An index takes that channel alone."""
    data = encode(np.stack([tone(300), tone(600, level=0.25)], axis=1), subtype="FLOAT")
    decoded = decode(BytesSource(data, name="two"), channels=1)
    np.testing.assert_array_equal(decoded.audio.waveform, tone(600, level=0.25))
    assert decoded.changes == ("took channel 1 of 2",)


@pytest.mark.parametrize("channel", [-1, 2])
def test_a_channel_that_is_not_there_is_refused(channel: int) -> None:
    """An index out of range says how many channels there are."""
    source = BytesSource(encode(np.stack([tone(), tone()], axis=1)), name="two.wav")
    with pytest.raises(AudioError, match=r"two.wav has 2 channels, numbered from 0; there is no channel"):
        decode(source, channels=channel)


def test_another_rate_than_16_khz_can_be_had() -> None:
    """An engine gets its own rate."""
    decoded = decode(BytesSource(encode(tone()), name="tone"), sampling_rate=8_000)
    assert decoded.audio.sampling_rate == 8_000
    assert decoded.audio.waveform.shape == (4_000,)


def test_the_result_is_nobody_elses_memory() -> None:
    """Writing to the result does not write to the caller's array."""
    samples = tone()
    kept = samples.copy()
    decoded = decode(WaveformSource(samples[:, None], sampling_rate=16_000, name="array"))
    decoded.audio.waveform[:] = 0
    np.testing.assert_array_equal(samples, kept)
    assert decoded.audio.waveform.flags.c_contiguous
    assert decoded.audio.waveform.dtype == np.float32


def test_nothing_but_nan_is_damage() -> None:
    """A file without one finite sample is refused."""
    data = encode(np.full(1_000, np.nan, np.float32), subtype="FLOAT")
    with pytest.raises(AudioDecodeError, match="not one sample"):
        decode(BytesSource(data, name="nan.wav"))


def test_levels_beyond_full_scale_are_scaled_down() -> None:
    """A float file in the range of 16-bit integers comes out within [-1, 1]."""
    data = encode(tone(level=20_000), subtype="FLOAT")
    decoded = decode(BytesSource(data, name="loud"))
    assert np.abs(decoded.audio.waveform).max() == pytest.approx(1)
    assert decoded.changes[0].startswith("scaled peak 2e+04")


@pytest.mark.parametrize("container", ["WAV", "AIFF"])
def test_no_samples_are_refused(container: str) -> None:
    """A header without samples is an empty recording."""
    with pytest.raises(EmptyAudioError, match=r"empty.bin has not one sample; check"):
        decode(BytesSource(encode(np.zeros(0, np.float32), format=container), name="empty.bin"))


@pytest.mark.parametrize("n_samples", [1, 2, 15])
def test_next_to_no_samples_are_fine(n_samples: int) -> None:
    """A few samples decode, at another rate, too."""
    data = encode(np.full(n_samples, 0.5, np.float32), 48_000)
    assert decode(BytesSource(data, name="blip")).duration == n_samples / 48_000


def test_more_than_8_channels_are_refused() -> None:
    """A microphone array is not mixed by chance."""
    with pytest.raises(UnsupportedAudioError, match="has 9 channels, and at most 8"):
        decode(BytesSource(encode(np.zeros((100, 9), np.float32)), name="array.wav"))


@pytest.mark.parametrize("rate", [1, 999])
def test_impossible_rates_are_refused(rate: int) -> None:
    """A header with a rate of 1 Hz does not make seconds of input hours of output."""
    with pytest.raises(UnsupportedAudioError, match=f"{rate} Hz"):
        decode(BytesSource(encode(np.zeros(100, np.float32), rate), name="slow.wav"))


def test_too_long_is_said_from_the_header() -> None:
    """A header that announces too much is believed before anything is decoded."""
    with pytest.raises(AudioTooLongError, match=r"long.wav is 2.0 s long, and at most 1.5 s are taken at once; split"):
        decode(BytesSource(encode(tone(duration=2)), name="long.wav"), max_duration_s=1.5)


def test_too_long_is_noticed_where_the_header_says_nothing() -> None:
    """Decoding stops soon after the limit when the header announces no length."""
    flac = bytearray(encode(tone(duration=30), format="FLAC"))
    flac[21] &= 0xF0  # STREAMINFO: the number of samples is unknown
    flac[22:26] = bytes(4)
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1

    with pytest.raises(AudioTooLongError, match=r"stream\.flac is longer than 5 s"):
        decode(BytesSource(bytes(flac), name="stream.flac"), max_duration_s=5, check=count)
    assert seen == 2  # blocks of 4.1 s


def test_a_header_that_claims_hours_allocates_nothing() -> None:
    """A forged length costs neither time nor memory."""
    flac = bytearray(encode(np.zeros(16_000, np.float32), format="FLAC"))
    n_frames = (MAX_DECODED_S - 1) * 16_000
    flac[22:26] = n_frames.to_bytes(4, "big")
    tracemalloc.start()
    try:
        with pytest.raises(AudioDecodeError):
            decode(BytesSource(bytes(flac), name="forged.flac"))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_nothing_longer_than_four_hours_is_decoded() -> None:
    """There is a limit even where none is asked for."""
    flac = bytearray(encode(np.zeros(1_600, np.float32), format="FLAC"))
    flac[22:26] = (2**32 - 1).to_bytes(4, "big")
    with pytest.raises(AudioTooLongError, match="at most 14400 s"):
        decode(BytesSource(bytes(flac), name="endless.flac"))


def test_the_check_is_called_between_blocks() -> None:
    """A deadline stops decoding."""
    calls = 0

    def expire() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise DeadlineExceededError("over")

    with pytest.raises(DeadlineExceededError):
        decode(BytesSource(encode(tone(duration=30)), name="long"), check=expire)
    assert calls == 2


def test_without_pyav_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only PyAV reads is refused with the command that helps."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container="ipod", codec="aac")
    hide_av(monkeypatch)
    with pytest.raises(
        UnsupportedAudioError, match=r'note.m4a is m4a, which only PyAV decodes: pip install "hfasr\[av]"'
    ):
        decode(BytesSource(data, name="note.m4a"))


@pytest.mark.parametrize("installed", [True, False])
def test_mp3_is_decoded_with_and_without_pyav(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """MP3 needs no extra, and gives the same samples with it."""
    data = encode(tone(sampling_rate=44_100), 44_100, format="MP3")
    if not installed:
        hide_av(monkeypatch)
    decoded = decode(BytesSource(data, name="tone.mp3"))
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert decoded.duration == len(expected) / 44_100
    assert heard(decoded.audio.waveform, 16_000)[1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.shared
def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str], shared: Path) -> None:
    """Decoding real files writes nothing to the process's own streams."""
    pytest.importorskip("av", reason="libmpg123 inside libsndfile is noisy; the extra av is not")
    for name in ("sample1.mp3", "sample1.webm", "sample1_dual.ogg", "jfk.flac"):
        decode(PathSource(shared / "audio" / name, check=lambda: None))
    assert capfd.readouterr() == ("", "")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "duration", "changes"),
    [
        ("sample1.flac", 13.69, ()),
        ("sample1.mp3", 13.69, ()),
        ("sample1_dual.ogg", 13.69, ("mixed 2 channels",)),
        ("jfk.flac", 11.0, ("mixed 2 channels", "resampled 44100 to 16000 Hz")),
        ("spk1_snt1.wav", 2.87, ()),
    ],
)
def test_real_speech_decodes(shared: Path, name: str, duration: float, changes: tuple[str, ...]) -> None:
    """Recordings from the field come out with their duration."""
    decoded = decode(PathSource(shared / "audio" / name, check=lambda: None))
    assert decoded.duration == pytest.approx(duration, abs=1e-3)
    assert decoded.changes == changes
    assert 0.05 < np.abs(decoded.audio.waveform).max() <= 1


def test_a_file_named_raw_is_decoded_by_its_content(tmp_path: Path) -> None:
    """The suffix .raw does not make libsndfile take a WAV file for headerless samples."""
    path = tmp_path / "tone.raw"
    path.write_bytes(encode(tone()))
    assert decode(PathSource(path, check=lambda: None)).duration == 0.5


def test_a_name_with_any_letters_is_decoded(tmp_path: Path) -> None:
    """Letters outside of ASCII in a path are no trouble."""
    path = tmp_path / "größe 日本.flac"
    path.write_bytes(encode(tone(), format="FLAC"))
    assert decode(PathSource(path, check=lambda: None)).duration == 0.5


def test_decoded_audio_is_audio() -> None:
    """The waveform travels as `Audio`."""
    assert isinstance(decode(BytesSource(encode(tone()), name="tone")).audio, Audio)
