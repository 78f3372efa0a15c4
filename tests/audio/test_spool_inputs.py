"""Every kind of input that is too large for memory is heard from the disk, in every colour, and leaves nothing there."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import fsspec  # type: ignore[import-untyped]  # has no types of its own
import numpy as np
import pytest

from hfasr.audio import AudioInfo, Source, decode
from hfasr.audio.readers import open_reader
from hfasr.audio.source import PathSource
from hfasr.audio.spool import SpooledSource
from hfasr.errors import AudioDecodeError, AudioError, AudioNotFoundError, AudioTooLongError, DeadlineExceededError
from hfasr.testing import ToneSpeech
from tests.audio.kit import Floats, encode, encode_av, source, tone
from tests.audio.spool_kit import Answers, answer, load_by_core, nothing_left_open, temporary_files

SPEECH = ToneSpeech()
WORDS = SPEECH.say("red boat")
WAV = encode(WORDS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="open files are read from Linux's /proc")


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch, disk: Path) -> None:
    """Send nearly everything to the disk."""
    monkeypatch.setattr("hfasr.audio.spool.IN_MEMORY_BYTES", 1_000)
    monkeypatch.setattr("hfasr.audio.spool._PIECE_BYTES", 700)
    monkeypatch.setattr("hfasr.audio.files._READ_BYTES", 999)
    monkeypatch.setattr("hfasr.audio.remote._READ_BYTES", 999)


def chunks(data: bytes = WAV) -> Iterator[bytes]:
    for start in range(0, len(data), 512):
        yield data[start : start + 512]


async def async_chunks(data: bytes = WAV) -> AsyncIterator[bytes]:
    for chunk in chunks(data):
        await anyio.lowlevel.checkpoint()
        yield chunk


class AsyncFile:
    """What aiofiles and the like give."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, n_bytes: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self._file.read(n_bytes)


def upload() -> Any:
    """Return Starlette's UploadFile."""
    starlette = pytest.importorskip("starlette.datastructures")
    return starlette.UploadFile(io.BytesIO(WAV), filename="talk.wav")


def stored() -> str:
    """Return the URL of an object in fsspec's store in memory."""
    url = "memory://spooled/tone.wav"
    with fsspec.open(url, "wb") as file:
        file.write(WAV)
    return url


BOTH: list[Callable[[], Any]] = [chunks, lambda: [WAV], lambda: io.BytesIO(WAV), upload, stored]
ONLY_ASYNC: list[Callable[[], Any]] = [async_chunks, lambda: AsyncFile(WAV)]


def hear(given: Source) -> tuple[str, str | None, type[Source]]:
    """Return the words, the digest, and where the audio lay."""
    return SPEECH.hear(decode(given).audio).text, given.sha256(), type(given)


@on_linux
@pytest.mark.parametrize("make", [*BOTH, *ONLY_ASYNC])
def test_every_input_is_heard_from_the_disk(colour: str, make: Callable[[], Any]) -> None:
    """However it comes, it is the same audio, and its file is gone with it."""
    if colour == "sync" and make in ONLY_ASYNC:
        with nothing_left_open(), pytest.raises(TypeError, match="AsyncASRClient"):
            load_by_core(colour, make())
        return
    with nothing_left_open():
        heard = load_by_core(colour, make(), then=hear)
        assert heard == ("red boat", hashlib.sha256(WAV).hexdigest(), SpooledSource)


@on_linux
def test_urls_are_heard_from_the_disk(colour: str) -> None:
    """So is what comes from a server."""
    with nothing_left_open(), Answers(answer(WAV)) as server:
        heard = load_by_core(colour, server.url, then=hear)
        assert heard == ("red boat", hashlib.sha256(WAV).hexdigest(), SpooledSource)


@on_linux
@pytest.mark.parametrize("make", [*BOTH, *ONLY_ASYNC])
@pytest.mark.parametrize("error", [AudioTooLongError, DeadlineExceededError])
def test_inputs_without_end(
    colour: str, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], error: type[Exception]
) -> None:
    """At the cap, or at the deadline, an input is left in the middle, and nothing stays open."""
    if colour == "sync" and make in ONLY_ASYNC:
        pytest.skip("not for this colour")
    given = make()
    too_long = error is AudioTooLongError
    if too_long:
        monkeypatch.setattr("hfasr.audio.spool.MAX_SPOOLED_BYTES", 9_000)
    with nothing_left_open():
        with pytest.raises(error, match="more than 9000 bytes" if too_long else "deadline") as caught:
            load_by_core(colour, given, deadline=None if too_long else 1e-9)
        del caught


@on_linux
@pytest.mark.parametrize("make", [*BOTH, *ONLY_ASYNC])
def test_no_room_on_the_disk(colour: str, monkeypatch: pytest.MonkeyPatch, disk: Path, make: Callable[[], Any]) -> None:
    """Where nothing can be written, that is an error of the audio, with the remedy."""
    if colour == "sync" and make in ONLY_ASYNC:
        pytest.skip("not for this colour")
    given = make()
    monkeypatch.setattr("tempfile.tempdir", str(disk / "gone"))
    with pytest.raises(AudioError, match="point TMPDIR to a folder"):
        load_by_core(colour, given)


def test_chunks_that_fail_are_the_callers(colour: str) -> None:
    """An error of the caller's own generator comes out as it is, and closes the file."""

    def failing() -> Iterator[bytes]:
        yield from chunks()
        raise RuntimeError("the recorder is gone")

    async def failing_later() -> AsyncIterator[bytes]:
        for chunk in failing():
            yield chunk

    with nothing_left_open():
        try:
            load_by_core(colour, failing() if colour == "sync" else failing_later())
        except RuntimeError as error:
            message = str(error)
        assert message == "the recorder is gone"


SOUND = tone(duration=4)
FILES: dict[str, Callable[[], bytes]] = {
    "wav": lambda: encode(SOUND),
    "wav of 24 bits": lambda: encode(SOUND, subtype="PCM_24"),
    "flac": lambda: encode(SOUND, format="FLAC"),
    "ogg": lambda: encode(SOUND, format="OGG"),
    "mp3": lambda: encode(SOUND, format="MP3"),
    "aiff": lambda: encode(SOUND, format="AIFF"),
    "caf": lambda: encode(SOUND, format="CAF"),
    "w64": lambda: encode(SOUND, format="W64"),
    "m4a": lambda: encode_av(SOUND, 16_000, container="ipod", codec="aac"),
    "webm": lambda: encode_av(tone(duration=4, sampling_rate=48_000), 48_000, container="webm", codec="libopus"),
}


def samples_of(given: Source) -> tuple[Floats, list[str], AudioInfo]:
    """Return everything that is read, the notes on it, and what the header says."""
    with open_reader(given) as reader:
        samples = np.concatenate([block.copy() for block in reader])
    return samples, reader.notes, given.info()


@on_linux
@pytest.mark.parametrize("kind", FILES)
def test_every_container_is_decoded_from_the_disk(kind: str) -> None:
    """On the disk and in memory a file is the same samples, and what was worked around is the same."""
    data = FILES[kind]()
    expected, notes, header = samples_of(source(data))
    with nothing_left_open():
        samples, changes, info = load_by_core("sync", chunks(data), then=samples_of)
        np.testing.assert_array_equal(samples, expected)
        assert (changes, info) == (notes, header)


@on_linux
@pytest.mark.parametrize("kind", ["flac", "ogg", "caf", "m4a", "wav of 24 bits"])
@pytest.mark.parametrize("hidden", [False, True])
def test_damage_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, kind: str, hidden: bool) -> None:
    """A file that was cut off or overwritten is damaged as in memory, and closed."""
    if hidden:
        monkeypatch.setattr("hfasr.audio.readers._av_reader", lambda: None)
    data = bytearray(FILES[kind]())
    data = data[: len(data) // 2] if kind != "wav of 24 bits" else data.replace(b"fmt ", b"fnt ")
    outcomes: list[int | str] = []
    with nothing_left_open():
        for given in (bytes(data), chunks(bytes(data))):
            try:
                outcomes.append(len(load_by_core("sync", given, then=samples_of)[0]))
            except AudioError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("where", ["memory", "disk", "path", "raw path"])
def test_a_length_is_filled_in_without_a_copy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, subtype: str, endian: str, where: str
) -> None:
    """A WAV file from a pipe has the length of its bytes, wherever they lie, and is never read as a whole."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, SOUND, 16_000, format="WAV", subtype=subtype, endian=endian)
    data = bytearray(file.getvalue())
    at = data.index(b"data") + 4
    data[at : at + 4] = bytes(4)
    given: Source = source(bytes(data))
    if where == "disk":
        given = load_by_core("sync", chunks(bytes(data)))
    elif where != "memory":
        path = tmp_path / ("pipe.raw" if where == "raw path" else "pipe.wav")
        path.write_bytes(data)
        given = PathSource(path, check=lambda: None)
    monkeypatch.setattr(type(given), "read", lambda _given: pytest.fail("the whole file was read"))
    decoded = decode(given)
    assert decoded.duration == 4
    np.testing.assert_allclose(decoded.audio.waveform, SOUND, atol=0.02)
    assert decoded.changes == ("took the WAV file's length from its size, as its header does not say",)


def test_a_disk_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is not taken for the end of the file."""
    given = load_by_core("sync", chunks(FILES["wav of 24 bits"]()))

    class Failing(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            if self.tell() > 60_000:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    monkeypatch.setattr(SpooledSource, "open", lambda given: Failing(SpooledSource.read(given)))
    monkeypatch.setattr(SpooledSource, "read", lambda _given: FILES["wav of 24 bits"]())
    with pytest.raises((AudioNotFoundError, AudioDecodeError), match="cannot be read any further; check the disk"):
        decode(given)


def test_nothing_is_on_the_disk_for_a_small_input(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary clip costs no file, and on an event loop no thread that it did not cost before."""
    monkeypatch.setattr("hfasr.audio.spool.IN_MEMORY_BYTES", 2**22)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: pytest.fail("a file was made"))
    assert load_by_core(colour, SimpleNamespace(read=io.BytesIO(WAV).read)).read() == WAV
    with Answers(answer(WAV)) as server:
        assert load_by_core(colour, server.url).read() == WAV
    assert temporary_files() == []
