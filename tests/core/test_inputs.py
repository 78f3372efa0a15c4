"""Every kind of audio input, through a real request: the words heard are those that were said."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import hfasr
from hfasr import Audio
from hfasr.testing import FakeASRServer, FakeBackend, Reply, ToneSpeech
from tests.colours import Session
from tests.conftest import clip

Make = Callable[..., Session]
WORDS = "red boat green"
RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000]


def said(sampling_rate: int = 16_000) -> npt.NDArray[np.float32]:
    """Return the words as samples."""
    return ToneSpeech().say(WORDS, sampling_rate=sampling_rate)


def container(samples: npt.NDArray[np.float32], rate: int, form: str, subtype: str | None = None) -> bytes:
    """Return *samples* as a file that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def encoded_by_pyav(form: str, codec: str, rate: int) -> bytes:
    """Return the words in a container that libsndfile cannot open."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        samples = (said(rate) * 32_767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


@pytest.fixture
def asr(session: Make, asr_server: FakeASRServer) -> Session:
    """A client of the fake router, which may fetch from loopback."""
    return session(router_url=asr_server.router_url, allow_private_urls=True)


def check(asr: Session, audio: Any) -> hfasr.Transcript:
    """See that the words arrive."""
    transcript = asr.transcribe(audio)
    assert transcript.text == WORDS
    assert transcript.provenance is not None
    assert len(str(transcript.provenance.audio_sha256)) == 64
    assert transcript.duration == pytest.approx(0.9, abs=0.15)
    return transcript


@pytest.mark.parametrize("kind", ["str", "Path"])
def test_paths(asr: Session, wav: bytes, tmp_path: Path, kind: str) -> None:
    """A path, as a string or a Path, with any name."""
    path = tmp_path / "clip with ünïcode & no suffix"
    path.write_bytes(wav)
    check(asr, str(path) if kind == "str" else path)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like(asr: Session, wav: bytes, kind: type) -> None:
    """Bytes, bytearray and memoryview."""
    check(asr, kind(wav))


def test_binary_files(asr: Session, wav: bytes, tmp_path: Path) -> None:
    """Open files, from where they stand; the position stays, and nothing is closed."""
    path = tmp_path / "x"
    path.write_bytes(b"junk" + wav)
    with path.open("rb") as file:
        file.seek(4)
        check(asr, file)
        assert file.tell() == 4
        check(asr, file)
    memory = io.BytesIO(wav)
    check(asr, memory)
    assert not memory.closed


def test_upload_file(asr: Session, wav: bytes) -> None:
    """Starlette's UploadFile, whose read is async."""
    from starlette.datastructures import UploadFile

    check(asr, UploadFile(io.BytesIO(wav), filename="x.wav"))


def test_iterables_of_chunks(asr: Session, colour: str, wav: bytes) -> None:
    """Iterables of byte chunks; async ones on the async client, with a clear error on the sync one."""

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(wav), 1_000):
            yield wav[start : start + 1_000]

    async def later() -> AsyncIterator[bytes]:
        for chunk in chunks():
            await anyio.lowlevel.checkpoint()
            yield chunk

    check(asr, chunks())
    check(asr, list(chunks()))
    if colour == "sync":
        with pytest.raises(TypeError, match="AsyncASRClient"):
            asr.transcribe(later())
    else:
        check(asr, later())


def test_urls(asr: Session, asr_server: FakeASRServer, wav: bytes) -> None:
    """An http URL is fetched without any token, through redirects, whatever its type claims."""
    asr_server.script(Reply(302, headers={"location": "/b.bin?signature=s3cret"}), path="/a.wav")
    asr_server.script(Reply(200, body=wav, headers={"content-type": "application/octet-stream"}), path="/b.bin")
    check(asr, f"{asr_server.url}/a.wav")
    assert [r.path for r in asr_server.requests][:2] == ["/a.wav", "/b.bin"]
    assert all("authorization" not in r.headers for r in asr_server.requests)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://2130706433:{port}/x",
        "http://0x7f.1:{port}/x",
        "http://0177.0.0.1:{port}/x",
        "http://127.1:{port}/x",
        "http://[::1]:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://[64:ff9b::7f00:1]:{port}/x",
        "http://0.0.0.0:{port}/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "http://①②⑦.0.0.1:{port}/x",
        "file:///etc/hostname",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "simplecache::http://127.0.0.1:{port}/x",
    ],
)
def test_private_urls_are_refused(session: Make, asr_server: FakeASRServer, url: str) -> None:
    """Every spelling of a private address is refused before a connection is made."""
    asr = session(router_url=asr_server.router_url)
    with pytest.raises((hfasr.AudioURLError, hfasr.UnsupportedAudioError), match=r"allow_private_urls|http"):
        asr.transcribe(url.format(port=asr_server.url.rpartition(":")[2]))
    assert asr_server.connections.accepted == 0


def test_name_that_means_a_private_address(
    session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public name whose address is private, or becomes so between look-ups, is refused."""
    import socket

    real = socket.getaddrinfo
    asked: list[object] = []

    def rebinding(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host in {"rebind.example", b"rebind.example"}:
            asked.append(host)
            return real("127.0.0.1", port, *args, **kwargs)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = asr_server.url.rpartition(":")[2]
    with pytest.raises(hfasr.AudioURLError, match="allow_private_urls"):
        session(router_url=asr_server.router_url).transcribe(f"http://rebind.example:{port}/x")
    assert asked
    assert asr_server.connections.accepted == 0


def test_redirect_into_a_private_network(
    session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public URL that redirects to a private one is refused at the hop."""
    from hfasr._core import lookup
    from hfasr.audio import urls

    check_url = vars(urls)["check_url"]

    def as_if_public(url: str, **options: Any) -> Any:
        return None if url.startswith(asr_server.url) else check_url(url, **options)

    monkeypatch.setattr(lookup, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(urls, "check_url", as_if_public)
    asr_server.script(Reply(302, headers={"location": "http://127.0.0.2:1/secret"}), path="/x")
    with pytest.raises(hfasr.AudioURLError, match="allow_private_urls"):
        session(router_url=asr_server.router_url).transcribe(f"{asr_server.url}/x")
    assert [r.path for r in asr_server.requests] == ["/x"]


def test_url_behind_a_proxy(session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy the address cannot be checked: refused, unless private URLs are allowed."""
    monkeypatch.setenv("http_proxy", asr_server.url)
    with pytest.raises(hfasr.AudioURLError, match="proxy"):
        session(backend=FakeBackend("x")).transcribe("http://audio.example/x.wav")
    assert asr_server.connections.accepted == 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(404, body="gone"), "404"),
        (Reply(500), "500"),
        (Reply(200, body="<!doctype html><p>log in", headers={"content-type": "text/html"}), "HTML"),
        (Reply(200, json={"error": "no"}), "JSON"),
        (Reply(200, body=b""), "empty|no bytes"),
        (Reply(302, headers={"location": "file:///etc/passwd"}), "http"),
    ],
)
def test_urls_that_are_no_audio(asr: Session, asr_server: FakeASRServer, reply: Reply, message: str) -> None:
    """A page, an error or nothing behind a URL is named, and nothing is sent on."""
    asr_server.script(reply, path="/x.wav")
    with pytest.raises(hfasr.AudioError, match=message) as caught:
        asr.transcribe(f"{asr_server.url}/x.wav?key=s3cret")
    assert "s3cret" not in str(caught.value)
    assert len(asr_server.requests) == 1


def test_fsspec_urls(asr: Session, session: Make, asr_server: FakeASRServer, wav: bytes, tmp_path: Path) -> None:
    """Other URLs are read through fsspec; what lies on this machine only where that is allowed."""
    import fsspec  # type: ignore[import-untyped]  # it ships none

    with fsspec.open("memory://clip.wav", "wb") as file:
        file.write(wav)
    check(asr, "memory://clip.wav")
    path = tmp_path / "clip.wav"
    path.write_bytes(wav)
    check(asr, path.as_uri())
    strict = session(router_url=asr_server.router_url, allow_private_urls=True, allow_paths=False)
    for forbidden in (path.as_uri(), str(path), path, "memory://clip.wav", "s3://bucket/x.wav"):
        with pytest.raises(hfasr.AudioError, match="allow_paths"):
            strict.transcribe(forbidden)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int16, np.int32, np.uint8], ids=lambda d: np.dtype(d).name
)
@pytest.mark.parametrize("shape", ["mono", "channels first", "channels last"])
def test_arrays(asr: Session, dtype: Any, shape: str) -> None:
    """Arrays of every dtype and plain shape; never changed."""
    samples = said(16_000) * 0.9
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        samples = samples * (info.max // 2) + (128 if dtype is np.uint8 else 0)
    array = np.asarray(samples, dtype=dtype)
    if shape != "mono":
        array = np.stack([array, array], axis=0 if shape == "channels first" else 1)
    before = array.copy()
    check(asr, Audio(array, 16_000))
    assert np.array_equal(array, before)


def test_datasets_dictionaries(asr: Session, wav: bytes, tmp_path: Path) -> None:
    """The dictionaries of the datasets library, decoded or not; never changed."""
    path = tmp_path / "x.wav"
    path.write_bytes(wav)
    for value in (
        {"array": said(), "sampling_rate": 16_000, "path": "nowhere.wav"},
        {"bytes": wav, "path": None},
        {"bytes": None, "path": str(path)},
    ):
        before = dict(value)
        check(asr, value)
        assert value.keys() == before.keys()
        assert all(value[key] is before[key] for key in value)


def test_torchcodec_decoder(asr: Session) -> None:
    """Torchcodec's AudioDecoder, known by its shape."""

    class Samples:
        data = np.stack([said(44_100)] * 2)
        sample_rate = 44_100

    class AudioDecoder:
        def get_all_samples(self) -> Samples:
            return Samples()

    check(asr, AudioDecoder())


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (np.zeros(16_000, np.float32), TypeError, "sampling_rate"),
        (123, TypeError, "int"),
        (None, TypeError, "None"),
        ({"foo": 1}, TypeError, "array"),
        ([1, 2, 3], TypeError, "bytes"),
        (io.StringIO("text"), TypeError, "rb"),
        (b"", hfasr.EmptyAudioError, "empty|no bytes"),
        ("", hfasr.AudioNotFoundError, None),
        ("no-such-file.wav", hfasr.AudioNotFoundError, "no-such-file"),
        ("tests", hfasr.AudioNotFoundError, None),
        (b"<!doctype html><html>", hfasr.UnsupportedAudioError, "HTML"),
        (b'{"error": "x"}', hfasr.UnsupportedAudioError, "JSON"),
        (b"just some words\n", hfasr.UnsupportedAudioError, "text"),
        (bytes(1_024), hfasr.UnsupportedAudioError, None),
        (Audio(np.zeros((30, 30, 30), np.float32), 16_000), hfasr.AudioError, "dimension|shape|3-D"),
        (Audio(np.zeros((4, 4), np.float32), 16_000), hfasr.AudioError, "channel"),
        (Audio(np.zeros(0, np.float32), 16_000), hfasr.EmptyAudioError, "sample"),
        (Audio(np.zeros(9, np.complex64), 16_000), hfasr.AudioError, "complex"),
        (Audio(np.full(99, np.nan, np.float32), 16_000), hfasr.AudioError, "finite"),
        (Audio(np.zeros(9, np.float32), 0), hfasr.AudioError, "sampling_rate|rate"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_refused(
    asr: Session, asr_server: FakeASRServer, audio: Any, error: type[Exception], message: str | None
) -> None:
    """What is not audio is named and refused before anything is sent."""
    with pytest.raises(error, match=message) as caught:
        asr.transcribe(audio)
    assert "\n" not in str(caught.value)
    assert asr_server.requests == []


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_rate_and_width(asr_server: FakeASRServer, rate: int, subtype: str) -> None:
    """WAV of every rate and width arrives as the words that were said."""
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        assert asr.transcribe(container(said(rate), rate, "WAV", subtype)).text == WORDS


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_channel_count(asr_server: FakeASRServer, rate: int, n_channels: int) -> None:
    """The words in one channel alone, and in all with every other one inverted, are heard."""
    alone = np.zeros((len(said(rate)), n_channels), np.float32)
    alone[:, -1] = said(rate)
    everywhere = np.stack([said(rate) * (-1) ** i for i in range(n_channels)], axis=1).astype(np.float32)
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        for samples in (alone, everywhere):
            assert asr.transcribe(container(samples, rate, "WAV", "PCM_16")).text == WORDS


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"),
        ("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("AU", "PCM_16"), ("AU", "ULAW"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_every_container(asr_server: FakeASRServer, form: str, subtype: str, rate: int) -> None:
    """Every container of libsndfile arrives as the words that were said."""
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        assert asr.transcribe(container(said(rate), rate, form, subtype)).text == WORDS
    assert asr_server.requests[-1].headers["content-type"] in {"audio/flac", "audio/ogg", "audio/mpeg"}


@pytest.mark.parametrize(
    ("form", "codec", "rate", "content_type"),
    [
        ("ipod", "aac", 44_100, "audio/m4a"),
        ("mp4", "aac", 16_000, "audio/m4a"),
        ("webm", "libopus", 48_000, "audio/webm"),
        ("matroska", "libopus", 48_000, None),
        ("adts", "aac", 44_100, "audio/x-audio"),
        ("mp3", "libmp3lame", 44_100, "audio/mpeg"),
    ],
)
@pytest.mark.parametrize("with_av", [True, False])
def test_what_libsndfile_cannot_open(
    asr_server: FakeASRServer,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    codec: str,
    rate: int,
    content_type: str | None,
    with_av: bool,
) -> None:
    """Containers of PyAV go out as they are, with PyAV or without, and are heard; engines need PyAV."""
    data = encoded_by_pyav(form, codec, rate)
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        if with_av:
            assert asr.with_options(upload="flac").transcribe(data).text == WORDS
            assert (
                asr.with_options(router_url="http://127.0.0.1:9", fallback=FakeBackend(None), deadline=5)
                .transcribe(data)
                .text
                == WORDS
            )
            transcript = asr.transcribe(data)
        else:
            with without_av(monkeypatch):
                client = asr.with_options(upload="original")
                sent_at = len(asr_server.requests)
                with contextlib.suppress(hfasr.BadRequestError):
                    client.transcribe(data)
                assert asr_server.requests[sent_at].body == data
            return
        assert transcript.text == WORDS
        if content_type:
            assert asr_server.requests[-1].headers["content-type"] == content_type


@contextlib.contextmanager
def without_av(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretend that PyAV is not installed."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        yield


@pytest.mark.parametrize("gain_db", [-80, -60, 0, 12])
def test_every_level(asr_server: FakeASRServer, gain_db: float) -> None:
    """Very quiet and clipping input is heard; what was done stands in the provenance."""
    samples = said(44_100) * np.float32(10 ** (gain_db / 20)) + np.float32(0.0)
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        transcript = asr.transcribe(Audio(samples, 44_100))
    assert transcript.text == WORDS
    assert transcript.provenance is not None
    changes = " ".join(transcript.provenance.audio_changes)
    assert ("raised" in changes) == (gain_db < -20)
    assert "resampled 44100 to 16000 Hz" in changes


def test_bad_samples_are_mended(asr_server: FakeASRServer) -> None:
    """NaN, infinity and DC do not reach the server."""
    samples = said(16_000) + np.float32(0.2)
    samples[100], samples[200] = math.nan, math.inf
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        transcript = asr.transcribe(Audio(samples, 16_000))
    assert transcript.text == WORDS
    assert transcript.provenance is not None
    assert "set 2 non-finite samples to 0" in transcript.provenance.audio_changes


@pytest.mark.parametrize("n_samples", [1, 2, 160, 16_000])
def test_short_and_silent_clips(session: Make, asr_server: FakeASRServer, n_samples: int) -> None:
    """One sample, 10 ms and a second of silence are sent and answered with no words."""
    transcript = session(router_url=asr_server.router_url).transcribe(
        Audio(np.zeros(n_samples, np.float32), 16_000), return_timestamps=True
    )
    assert transcript.text == ""
    assert transcript.warnings == ()


def test_one_channel(asr_server: FakeASRServer) -> None:
    """channels=n takes that channel alone; one that is not there is refused."""
    first, second = ToneSpeech().say("red boat"), ToneSpeech().say("green leaf")
    stereo = Audio(np.stack([first, second[: len(first)]]), 16_000)
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        assert asr.with_options(channels=0).transcribe(stereo).text == "red boat"
        assert asr.with_options(channels=1).transcribe(stereo).text == "green leaf"
        with pytest.raises(hfasr.AudioError, match="2"):
            asr.with_options(channels=2).transcribe(stereo)


def test_cheapest_body(asr_server: FakeASRServer, wav: bytes) -> None:
    """Lossy originals and 16 kHz mono FLAC go out untouched; everything else as 16 kHz mono FLAC."""
    with hfasr.ASRClient(router_url=asr_server.router_url) as asr:
        for form in ("MP3", "FLAC"):
            original = clip(WORDS, format=form)
            transcript = asr.transcribe(original)
            assert asr_server.requests[-1].body == original
            assert transcript.provenance is not None
            assert transcript.provenance.upload_format == f"{form.lower()} (original)"
        for data in (
            clip(WORDS, format="FLAC", sampling_rate=48_000),
            clip(WORDS, format="FLAC", subtype="PCM_24"),
            wav,
        ):
            asr.transcribe(data)
            sent = soundfile.info(io.BytesIO(asr_server.requests[-1].body))
            assert (sent.format, sent.samplerate, sent.channels, sent.subtype) == ("FLAC", 16_000, 1, "PCM_16")
        asr.with_options(upload="original").transcribe(wav)
        assert asr_server.requests[-1].body == wav
        for form, kind in (("wav", "WAV"), ("opus", "OGG")):
            asr.with_options(upload=form).transcribe(wav)
            assert soundfile.info(io.BytesIO(asr_server.requests[-1].body)).format == kind
