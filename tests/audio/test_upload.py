from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hfasr.audio import decode, make_upload, passes_through
from hfasr.audio.source import PathSource, WaveformSource
from hfasr.errors import AudioDecodeError, AudioError, AudioTooLongError, DeadlineExceededError, UnsupportedAudioError
from hfasr.testing import ToneSpeech
from tests.audio.kit import SAFE_CONTENT_TYPES, encode, encode_av, hide_av, source, tone

if TYPE_CHECKING:
    from hfasr.audio import UploadFormat

ACCEPTS = frozenset({"flac", "wav", "mp3", "ogg", "webm", "m4a", "amr"})


def upload(data: bytes, **options: Any) -> Any:
    """Make an upload, and hold `passes_through` to what came of it."""
    given = source(data)
    options = {"format": "auto", "accepts": ACCEPTS, **options}
    made = make_upload(given, **options)
    assert passes_through(given, **options) is made.original
    assert made.content_type in SAFE_CONTENT_TYPES
    if made.original:
        assert made.data is data
    return made


@pytest.mark.parametrize(
    ("container", "subtype", "content_type", "name"),
    [
        ("MP3", None, "audio/mpeg", "mp3"),
        ("OGG", "VORBIS", "audio/ogg", "ogg"),
        ("OGG", "OPUS", "audio/ogg", "ogg"),
    ],
)
def test_lossy_audio_goes_out_as_it_is(container: str, subtype: str | None, content_type: str, name: str) -> None:
    """The original bytes are the smallest; decoding them would only make them larger."""
    made = upload(encode(tone(), format=container, subtype=subtype))
    assert (made.content_type, made.format, made.filename) == (content_type, f"{name} (original)", f"audio.{name}")
    assert made.duration == pytest.approx(0.5, abs=0.1)
    assert made.changes == ()


@pytest.mark.parametrize(("container", "codec"), [("ipod", "aac"), ("webm", "libopus")])
def test_what_libsndfile_cannot_open_goes_out_too(container: str, codec: str) -> None:
    """M4A and WebM need not be decoded to be sent."""
    made = upload(encode_av(tone(sampling_rate=48_000), 48_000, container=container, codec=codec))
    assert made.original
    assert made.content_type == {"ipod": "audio/m4a", "webm": "audio/webm"}[container]


def test_16_khz_mono_flac_goes_out_as_it_is() -> None:
    """What would come out is there already."""
    assert upload(encode(tone(), format="FLAC")).format == "flac (original)"


@pytest.mark.parametrize(
    ("rate", "channels", "container", "subtype"),
    [(16_000, 1, "WAV", None), (48_000, 1, "FLAC", None), (16_000, 2, "FLAC", None), (16_000, 1, "FLAC", "PCM_24")],
)
def test_the_rest_becomes_small_flac(rate: int, channels: int, container: str, subtype: str | None) -> None:
    """Uncompressed, stereo, fast or deep audio becomes 16 kHz mono FLAC of 16 bits."""
    samples = np.stack([ToneSpeech().say("red boat", sampling_rate=rate)] * channels, axis=1)
    data = encode(samples, rate, format=container, subtype=subtype)
    made = upload(data)
    assert (made.content_type, made.format, made.filename) == ("audio/flac", "flac", "audio.flac")
    assert len(made.data) < len(data)
    info = source(made.data).info()
    assert (info.sampling_rate, info.channels, info.bits) == (16_000, 1, 16)
    assert ToneSpeech().hear(decode(source(made.data)).audio).text == "red boat"


def test_lossy_audio_that_the_server_does_not_know_is_decoded() -> None:
    """The dialect's list decides."""
    data = encode(tone(), format="OGG")
    assert upload(data, accepts=frozenset({"flac", "mp3"})).format == "flac"


def test_video_is_decoded_rather_than_sent() -> None:
    """Nobody needs the pictures."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container="flv", codec="aac")
    assert upload(data, accepts=ACCEPTS | {"flv"}).format == "flac"


@pytest.mark.parametrize("format", ["flac", "wav", "opus"])
def test_a_format_can_be_asked_for(format: UploadFormat) -> None:  # noqa: A002  # the option's name
    """It is made anew even where the original would do."""
    made = upload(encode(ToneSpeech().say("red boat"), format="MP3"), format=format)
    assert made.format == format
    assert made.content_type == {"flac": "audio/flac", "wav": "audio/wav", "opus": "audio/ogg"}[format]
    assert ToneSpeech().hear(decode(source(made.data)).audio).text == "red boat"


def test_the_original_can_be_asked_for() -> None:
    """It goes out whatever the server knows, with a label that servers take."""
    made = upload(encode(tone(), format="AIFF"), format="original", accepts=frozenset())
    assert (made.content_type, made.format, made.filename) == ("audio/x-audio", "aiff (original)", "audio.aiff")


def test_samples_have_no_original() -> None:
    """An array is encoded as FLAC, whether the original is asked for or not."""
    array = WaveformSource(tone()[:, None], sampling_rate=16_000, name="array")
    for format_ in ("auto", "original"):
        assert not passes_through(array, format=format_, accepts=ACCEPTS)
        assert make_upload(array, format=format_, accepts=ACCEPTS).format == "flac"


def test_one_channel_is_always_cut_out() -> None:
    """A server cannot be asked for a channel, so it is decoded and sent alone."""
    speech = ToneSpeech()
    data = encode(np.stack([speech.say("red boat"), speech.say("sun tree")], axis=1), format="OGG")
    made = upload(data, channels=1)
    assert made.changes == ("took channel 1 of 2",)
    assert speech.hear(decode(source(made.data)).audio).text == "sun tree"


def test_without_pyav_what_the_server_knows_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody here can decode goes out as it is, unless the server does not know it either."""
    data = encode_av(tone(sampling_rate=44_100), 44_100, container="flv", codec="aac")
    hide_av(monkeypatch)
    made = make_upload(source(data), format="auto", accepts=ACCEPTS | {"flv"})
    assert (made.original, made.duration) == (True, None)
    with pytest.raises(UnsupportedAudioError, match=r"hfasr\[av\]"):
        make_upload(source(data), format="auto", accepts=ACCEPTS)
    with pytest.raises(UnsupportedAudioError, match=r"hfasr\[av\]"):
        make_upload(source(data), format="auto", accepts=ACCEPTS | {"flv"}, channels=0)


def test_damage_is_not_sent() -> None:
    """What must be decoded and cannot be is an error, not an upload."""
    with pytest.raises(AudioDecodeError):
        upload(encode(tone(sampling_rate=48_000), 48_000, format="FLAC")[:-200])


@pytest.mark.parametrize("container", ["MP3", "OGG", "FLAC", "WAV"])
def test_too_long_is_said_before_sending(container: str) -> None:
    """The limit holds for the original as for what is decoded."""
    data = encode(tone(duration=3), format=container)
    with pytest.raises(AudioTooLongError, match="at most 2 s are taken at once"):
        make_upload(source(data, "long"), format="auto", accepts=ACCEPTS, max_duration_s=2)
    assert upload(data, max_duration_s=4).duration == pytest.approx(3, abs=0.1)


def test_the_check_reaches_the_decoder() -> None:
    """A deadline stops the making of an upload."""

    def expire() -> None:
        raise DeadlineExceededError("over")

    with pytest.raises(DeadlineExceededError):
        make_upload(source(encode(tone())), format="auto", accepts=ACCEPTS, check=expire)


def test_an_upload_does_not_show_its_bytes() -> None:
    """Audio stays out of logs."""
    assert "data" not in repr(upload(encode(tone())))


def test_a_missing_channel_is_an_error() -> None:
    """As in decoding."""
    with pytest.raises(AudioError, match="no channel 5"):
        upload(encode(tone()), channels=5)


@pytest.mark.shared
def test_a_large_recording_becomes_small(shared: Any) -> None:
    """1.15 MB of 44.1 kHz 24-bit stereo become under 0.2 MB."""
    made = make_upload(PathSource(shared / "audio" / "jfk.flac", check=lambda: None), format="auto", accepts=ACCEPTS)
    assert len(made.data) < 200_000
    assert made.duration == 11.0
    assert made.changes == ("mixed 2 channels", "resampled 44100 to 16000 Hz")


def endless(duration: float) -> bytes:
    """Return WebM whose header does not tell how long it is, as browsers record it."""
    data = bytearray(encode_av(noise(duration), 48_000, container="webm", codec="libopus"))
    at = data.find(b"\x44\x89\x88")  # Duration, 8 bytes
    assert at > 0
    data[at : at + 11] = b"\xec\x89" + bytes(9)  # Void
    return bytes(data)


def noise(duration: float) -> Any:
    """Return white noise, which takes all the bits that a codec may use."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(48_000 * duration)).astype(np.float32)


def test_what_does_not_tell_its_duration_is_measured_where_it_may_be_too_long() -> None:
    """By its size it could be over the limit, so it is decoded: refused if it is, else sent in the next form."""
    data = endless(4)
    assert source(data).info().duration is None
    assert len(data) > 5 * 4_000
    with pytest.raises(AudioTooLongError, match="at most 3 s"):
        upload(data, max_duration_s=3)
    made = upload(data, max_duration_s=5)
    assert (made.format, made.duration) == ("flac", pytest.approx(4, abs=0.1))
    assert upload(data, max_duration_s=60).original
    assert upload(data).original


def test_the_original_that_was_asked_for_is_measured_and_sent() -> None:
    """``"original"`` sends the file as it is once it is known not to be too long."""
    data = endless(4)
    with pytest.raises(AudioTooLongError, match="at most 3 s"):
        upload(data, format="original", max_duration_s=3)
    made = upload(data, format="original", max_duration_s=5)
    assert (made.original, made.duration) == (True, pytest.approx(4, abs=0.1))


def test_what_nobody_here_can_measure_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV the server is left to judge."""
    data = endless(4)
    hide_av(monkeypatch)
    for format_ in ("auto", "original"):
        made = make_upload(source(data), format=format_, accepts=ACCEPTS, max_duration_s=3)
        assert (made.original, made.duration) == (True, None)
