from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from hfasr.audio import decode
from hfasr.audio.source import PathSource
from hfasr.errors import AudioDecodeError, AudioTooLongError, UnsupportedAudioError
from tests.audio.kit import encode, encode_av, heard, source, tone

av = pytest.importorskip("av", reason="needs the extra av")


def m4a(duration: float = 3) -> bytes:
    """Return a tone as M4A."""
    return encode_av(tone(duration=duration, sampling_rate=44_100), 44_100, container="ipod", codec="aac")


def test_damaged_packets_are_left_out() -> None:
    """A scratch costs some hundredths of a second, and the changes say so."""
    data = bytearray(encode_av(tone(duration=3, sampling_rate=48_000), 48_000, container="mp3", codec="libmp3lame"))
    middle = len(data) // 2
    data[middle : middle + 300] = b"\x55" * 300
    decoded = decode(source(bytes(data)))
    assert decoded.duration == pytest.approx(3, abs=0.3)
    assert heard(decoded.audio.waveform, 16_000)[0] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("before", [1, 2])
def test_channels_that_change_on_the_way_are_an_error(before: int) -> None:
    """A file of mono and stereo, one after the other, is refused: nobody knows what its channels are."""
    parts = {n: encode(np.stack([tone(duration=2)] * n, axis=1), format="MP3") for n in (1, 2)}
    with pytest.raises(AudioDecodeError, match="changes its rate or channels on the way"):
        decode(source(parts[before] + parts[3 - before]))


def test_another_kind_of_samples_on_the_way_is_no_obstacle() -> None:
    """What a decoder gives as whole numbers and then as floats is one sound."""
    from hfasr.audio.pyav import AVReader

    given = tone(duration=2)
    reader = AVReader(source(encode_av(given, 16_000, container="matroska", codec="pcm_s16le")))
    frames = []
    for kind, samples in (("s16", (given[:20_000] * 2**15).astype(np.int16)), ("flt", given[20_000:])):
        for start in range(0, len(samples), 1_000):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1_000], format=kind, layout="mono")
            frame.sample_rate = 16_000
            frames.append(frame)
    with reader:
        reader._first, *rest = frames
        reader._frames = iter(rest)
        heard_ = np.concatenate(list(reader))
    np.testing.assert_allclose(heard_[:, 0], given, atol=1e-4)


def test_nothing_but_damage_is_an_error() -> None:
    """Where most packets are bad there is nothing to transcribe."""
    data = bytearray(m4a())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") if data.index(b"moov") > start else len(data)
    data[start : end - 4] = np.random.default_rng(0).bytes(end - 4 - start)
    with pytest.raises(AudioDecodeError, match="damaged or cut off"):
        decode(source(bytes(data)))


def test_a_video_without_sound_is_refused() -> None:
    """Pictures alone hold no speech."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=24, width=32, height=32)
        stream.pix_fmt = "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    with pytest.raises(UnsupportedAudioError, match="has no sound in it"):
        decode(source(file.getvalue()))


def test_the_sound_of_a_video_is_taken() -> None:
    """Pictures are no obstacle."""
    file = io.BytesIO()
    samples = tone(sampling_rate=48_000)
    with av.open(file, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=24, width=32, height=32)
        video.pix_fmt = "yuv420p"
        audio = output.add_stream("libopus", rate=48_000, layout="mono")
        output.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for piece in av.AudioResampler(format=audio.format.name, layout="mono", rate=48_000).resample(frame):
            output.mux(audio.encode(piece))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    decoded = decode(source(file.getvalue()))
    assert heard(decoded.audio.waveform, 16_000)[0] == pytest.approx(440, abs=5)


def test_too_long_is_noticed() -> None:
    """The container's duration is looked at first."""
    with pytest.raises(AudioTooLongError, match=r"3\.0 s long"):
        decode(source(m4a()), max_duration_s=2)


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
@pytest.mark.parametrize("codec", ["aac", "wavpack"])
def test_channels_keep_their_order(layout: str, codec: str) -> None:
    """Planar and packed frames are read alike: one channel can be picked."""
    n_channels = {"stereo": 2, "5.1": 6}[layout]
    samples = np.stack([tone(300.0 + 200 * n, sampling_rate=48_000) for n in range(n_channels)])
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream(codec, rate=48_000, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=48_000)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    decoded = decode(source(file.getvalue()), channels=1)
    assert heard(decoded.audio.waveform, 16_000)[0] == pytest.approx(500, abs=5)


def test_packed_samples_are_split_into_channels() -> None:
    """Interleaved frames, as of PCM in a video, become columns."""
    samples = np.stack([tone(300), tone(700)])
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as output:
        stream = output.add_stream("pcm_s16le", rate=16_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 16_000
        for piece in av.AudioResampler(format="s16", layout="stereo", rate=16_000).resample(frame):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    decoded = decode(source(file.getvalue()), channels=1)
    np.testing.assert_allclose(decoded.audio.waveform, tone(700), atol=1e-4)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_64_bit_integers_are_heard(n_channels: int) -> None:
    """PyAV makes no arrays of them, but they are audio like any other."""
    samples = np.stack([tone(300), tone(700)][-n_channels:], axis=1)
    data = (samples.astype(np.float64) * 2.0**63).astype("<i8").tobytes()
    frame_bytes = 8 * n_channels
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, n_channels, 16_000, 16_000 * frame_bytes, frame_bytes, 64)
    wav = (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + layout + struct.pack("<4sI", b"data", len(data)) + data
    )
    decoded = decode(source(wav), channels=n_channels - 1)
    np.testing.assert_allclose(decoded.audio.waveform, tone(700), atol=1e-6)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_wild_seek_is_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str], on_disk: bool) -> None:
    """A chunk that claims to be larger than any file is damage, of which nothing is printed."""
    data = bytearray(encode(tone(duration=1), format="CAF"))
    data[56:60] = b"\x7f\xff\xff\xff"
    path = tmp_path / "wild.caf"
    path.write_bytes(data)
    given = PathSource(path, check=lambda: None) if on_disk else source(bytes(data))
    with pytest.raises(AudioDecodeError, match="damaged or cut off"):
        decode(given)
    assert capfd.readouterr().err == ""


def test_a_stream_that_appears_on_the_way_is_no_obstacle() -> None:
    """One wrong bit can make a packet of MPEG-TS a stream of its own, over which PyAV stumbles at the end."""
    data = bytearray(encode_av(tone(duration=2, sampling_rate=48_000), 48_000, container="mpegts", codec="mp2"))
    starts = range(len(data) // 376 * 188, len(data), 188)  # packets of the second half
    at = next(at for at in starts if (data[at + 1], data[at + 2]) == (0x41, 0x00))  # a start in stream 0x100
    data[at + 2] ^= 0x08
    decoded = decode(source(bytes(data)))
    assert decoded.duration == pytest.approx(2, abs=0.1)
    assert heard(decoded.audio.waveform, 16_000)[0] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), LookupError("no such stream")])
def test_whatever_reading_raises_is_typed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A disk that fails under PyAV, for one, comes out as an error of ours."""
    given = source(m4a())

    class Broken(io.BytesIO):
        def read(self, _n_bytes: int | None = -1, /) -> bytes:
            raise error

    monkeypatch.setattr("hfasr.audio.source.BytesSource.open", lambda _source: Broken())
    with pytest.raises(AudioDecodeError) as caught:
        decode(given)
    assert caught.value.__cause__ is error
