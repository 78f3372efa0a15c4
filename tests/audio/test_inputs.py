"""Every kind of input gives the same audio, in every colour, and is left as it was."""

from __future__ import annotations

import array
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest

from hfasr.audio import decode, sniff
from hfasr.audio.files import AsyncChunks
from hfasr.errors import (
    AudioError,
    AudioNotFoundError,
    AudioTooLongError,
    DeadlineExceededError,
    EmptyAudioError,
    UnsupportedAudioError,
)
from hfasr.testing import ToneSpeech
from hfasr.types import Audio
from tests.audio.kit import Colour, Pages, encode, tone

SPEECH = ToneSpeech()
WORDS = SPEECH.say("red boat")
WAV = encode(WORDS)
LARGE = encode(tone(duration=20))  # 640 kB


def chunks() -> Iterator[bytes | bytearray | memoryview]:
    yield WAV[:10]
    yield bytearray(WAV[10:500])
    yield memoryview(WAV)[500:]


async def async_chunks() -> AsyncIterator[bytes]:
    for chunk in chunks():
        yield bytes(chunk)


def decoder() -> Any:
    """Return what torchcodec's decoder looks like."""
    samples = SimpleNamespace(data=WORDS[None], sample_rate=16_000)
    return SimpleNamespace(get_all_samples=lambda: samples)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with two words."""
    path = tmp_path / "words.wav"
    path.write_bytes(WAV)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path,
        str,
        lambda path: WAV,
        lambda path: bytearray(WAV),
        lambda path: memoryview(WAV),
        lambda path: io.BytesIO(WAV),
        lambda path: chunks(),
        lambda path: [WAV[:99], WAV[99:]],
        lambda path: Audio(WORDS, 16_000),
        lambda path: {"array": WORDS, "sampling_rate": 16_000},
        lambda path: {"array": WORDS.tolist(), "sampling_rate": 16_000, "path": "gone.wav"},
        lambda path: {"bytes": WAV, "path": None},
        lambda path: {"bytes": None, "path": str(path)},
        lambda path: {"path": path},
        lambda path: decoder(),
    ],
    ids=[
        "path",
        "str",
        "bytes",
        "bytearray",
        "memoryview",
        "file",
        "generator",
        "list",
        "Audio",
        "array dict",
        "list dict",
        "bytes dict",
        "path dict",
        "short dict",
        "AudioDecoder",
    ],
)
def test_every_input_says_the_same_words(reader: Colour, path: Path, make: Any) -> None:
    """However the audio is passed, it is heard."""
    source = reader.load(make(path))
    assert SPEECH.hear(decode(source).audio).text == "red boat"
    assert source.size in {len(WAV), WORDS.nbytes}
    assert len(source.sha256() or "") == 64


def test_equal_bytes_have_equal_hashes(sync: Colour, path: Path) -> None:
    """A file has one hash, however it is passed."""
    given = [path, WAV, bytearray(WAV), io.BytesIO(WAV), chunks()]
    assert len({sync.load(audio).sha256() for audio in given}) == 1


def test_bytes_are_not_copied(sync: Colour) -> None:
    """The very object that was given is sent."""
    assert sync.load(WAV).read() is WAV


def test_a_source_can_be_opened_again(sync: Colour, path: Path) -> None:
    """Each opening begins at the start."""
    for audio in (path, WAV):
        source = sync.load(audio)
        for _ in range(2):
            with source.open() as file:
                assert file.read() == source.read() == WAV


def test_a_file_is_read_from_its_position_and_put_back(reader: Colour) -> None:
    """What was read before is not audio; what was not read is still there."""
    file = io.BytesIO(b"header" + WAV)
    file.seek(6)
    assert reader.load(file).read() == WAV
    assert file.tell() == 6


def test_a_file_that_cannot_seek_is_read(sync: Colour) -> None:
    """Pipes and sockets only have `read`."""

    class Pipe:
        name = 3  # what os.fdopen gives

        def __init__(self) -> None:
            self.chunks = iter([WAV[:5], WAV[5:], b""])

        def read(self, _n_bytes: int) -> bytes:
            return next(self.chunks)

    source = sync.load(Pipe())
    assert source.read() == WAV
    assert source.name == "the file"


def test_files_have_their_name(sync: Colour, path: Path) -> None:
    """Messages name the file, not its folders."""
    with path.open("rb") as file:
        assert sync.load(file).name == sync.load(path).name == sync.load(str(path)).name == "words.wav"
    upload = SimpleNamespace(read=io.BytesIO(WAV).read, filename="C:\\Users\\me\\talk.wav")
    assert sync.load(upload).name == "talk.wav"


def test_starlette_uploads_are_read_in_both_colours(reader: Colour) -> None:
    """The plain file inside an UploadFile is read, from its position, and put back."""
    starlette = pytest.importorskip("starlette.datastructures")
    file = io.BytesIO(WAV)
    source = reader.load(starlette.UploadFile(file, filename="talk.wav"))
    assert source.read() == WAV
    assert source.name == "talk.wav"
    assert file.tell() == 0


def test_async_files_are_awaited(reader: Colour, path: Path) -> None:
    """An async file is read on the async client and put back; the sync client says what to do."""

    async def read() -> tuple[bytes, int]:
        from hfasr.audio import load

        file = anyio.AsyncFile(path.open("rb"))
        try:
            source = await load(file, reader.io)
            return source.read(), await file.tell()
        finally:
            file.wrapped.close()

    if reader.is_async:
        assert reader.run(read) == (WAV, 0)
    else:
        with pytest.raises(TypeError, match="AsyncASRClient"):
            reader.run(read)


def test_async_iterables_are_collected(reader: Colour) -> None:
    """Async chunks are read on the async client; the sync client says what to do."""
    if reader.is_async:
        assert reader.load(async_chunks()).read() == WAV
    else:
        with pytest.raises(TypeError, match="AsyncASRClient"):
            reader.load(async_chunks())


def test_async_chunks_must_be_bytes() -> None:
    """Text among async chunks is refused like elsewhere."""

    async def text() -> AsyncIterator[str]:
        yield "RIFF"

    with pytest.raises(TypeError, match='open\\(path, "rb"\\)'):
        Colour("asyncio", Pages()).load(text())


@pytest.mark.parametrize(
    ("audio", "remedy"),
    [
        (np.zeros(100, np.float32), r"hfasr.Audio\(waveform, sampling_rate\)"),
        (memoryview, "is no audio"),
        (None, "pass a path, a URL, bytes"),
        (42, "int is no audio"),
        (4.2, "float is no audio"),
        ([1, 2, 3], r"hfasr.Audio\(waveform, sampling_rate\)"),
        ([0.1, 0.2], r"hfasr.Audio\(waveform, sampling_rate\)"),
        (["RIFF"], r'open\(path, "rb"\)'),
        (array.array("h", [1, 2]), r"hfasr.Audio\(waveform, sampling_rate\)"),
        (io.StringIO("RIFF"), r'open\(path, "rb"\)'),
        ({}, "an audio dictionary holds"),
        ({"array": [0.0]}, "needs .sampling_rate."),
        ({"bytes": "RIFF"}, "must be bytes, not str"),
        ({"bytes": None, "path": None}, "an audio dictionary holds"),
        ((np.zeros(100), 16_000), r"hfasr.Audio\(waveform, sampling_rate\)"),
        (Audio("a.wav", 16_000), "array or tensor"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_wrong_types_are_type_errors_with_a_remedy(sync: Colour, audio: Any, remedy: str) -> None:
    """What is no audio input at all is the caller's mistake, and the message mends it."""
    with pytest.raises(TypeError, match=remedy):
        sync.load(audio)


@pytest.mark.parametrize("audio", [b"", bytearray(), io.BytesIO(), []])
def test_nothing_is_empty(sync: Colour, audio: Any) -> None:
    """No bytes are no audio, in whatever they are passed."""
    with pytest.raises(EmptyAudioError):
        sync.load(audio)


def test_inputs_are_never_changed(sync: Colour) -> None:
    """Arrays, bytearrays and dictionaries are as they were after decoding."""
    loud = np.stack([tone(level=3.0), -tone(level=3.0)], axis=1) + np.float32(0.2)
    row = {"array": loud, "sampling_rate": 44_100}
    data = bytearray(WAV)
    kept = loud.copy(), dict(row), bytes(data)
    for audio in (Audio(loud, 44_100), row, data):
        decode(sync.load(audio)).audio.waveform[:] = 0
    np.testing.assert_array_equal(loud, kept[0])
    assert row.keys() == kept[1].keys()
    assert row["array"] is loud
    assert bytes(data) == kept[2]


def test_a_closed_file_is_named(sync: Colour) -> None:
    """A file that was closed is not damaged."""
    file = io.BytesIO(WAV)
    file.close()
    with pytest.raises(AudioError, match="is closed; open it again"):
        sync.load(file)


def test_a_file_that_fails_is_named(sync: Colour) -> None:
    """An error of the operating system becomes one of ours, with its cause."""

    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, _n_bytes: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(AudioNotFoundError, match="cannot be read") as caught:
        sync.load(Broken())
    assert isinstance(caught.value.__cause__, OSError)


def test_a_file_that_has_no_data_yet_is_named(sync: Colour) -> None:
    """A non-blocking pipe gives None, which is not its end."""
    with pytest.raises(TypeError, match="does not block"):
        sync.load(SimpleNamespace(read=lambda _n_bytes: None))


@pytest.mark.parametrize("kind", ["file", "chunks"])
def test_endless_input_ends(sync: Colour, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A cap holds for what is read into memory, and a file is still put back."""
    monkeypatch.setattr("hfasr.audio.spool.MAX_SPOOLED_BYTES", 1_000)
    file = io.BytesIO(WAV)
    with pytest.raises(AudioTooLongError, match="more than 1000 bytes"):
        sync.load(file if kind == "file" else chunks())
    assert file.tell() == 0


@pytest.mark.parametrize("kind", ["file", "chunks"])
def test_the_check_is_called_between_blocks(sync: Colour, kind: str) -> None:
    """A deadline stops the reading and comes out as it is, although it is an OSError, too."""

    def expire() -> None:
        raise DeadlineExceededError("over")

    sync.check = expire
    with pytest.raises(DeadlineExceededError):
        sync.load(io.BytesIO(WAV) if kind == "file" else chunks())


def test_what_is_not_audio_is_refused_by_name(sync: Colour, tmp_path: Path) -> None:
    """The message names the file without its folders."""
    page = tmp_path / "login.flac"
    page.write_text("<html>", encoding="utf-8")
    with pytest.raises(UnsupportedAudioError, match=r"^login\.flac is an HTML page") as caught:
        sync.load(page)
    assert str(tmp_path) not in str(caught.value)


def test_async_files_keep_to_the_rules(path: Path) -> None:
    """An async file that fails, is endless, or cannot seek is treated like an ordinary one."""

    class AsyncFile:
        def __init__(self, *blocks: Any) -> None:
            self.blocks = list(blocks)

        async def read(self, _n_bytes: int) -> bytes:
            block: bytes | Exception = self.blocks.pop(0)
            if isinstance(block, Exception):
                raise block
            return block

    client = Colour("asyncio", Pages())
    assert client.load(AsyncFile(WAV[:9], WAV[9:], b"")).read() == WAV
    with pytest.raises(AudioNotFoundError, match="cannot be read"):
        client.load(AsyncFile(WAV, OSError("gone")))
    with pytest.raises(DeadlineExceededError):
        client.load(AsyncFile(WAV, DeadlineExceededError("over")))
    with pytest.raises(TypeError, match='open\\(path, "rb"\\)'):
        client.load(AsyncFile("RIFF"))


def test_async_generators_are_closed(path: Path) -> None:
    """What a wrapped generator holds is given back when its wrapper is closed."""
    closed = False

    async def chunks_of_a_connection() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield WAV
            yield b""
        finally:
            closed = True

    async def read_one() -> bytes:
        chunks = AsyncChunks(chunks_of_a_connection())
        first = await anext(chunks)
        await chunks.aclose()
        return first

    assert anyio.run(read_one) == WAV
    assert closed


@pytest.mark.parametrize(("data", "elsewhere"), [(WAV, False), (LARGE, True)], ids=["small", "large"])
@pytest.mark.parametrize(
    "make",
    [
        lambda data: data,
        bytearray,
        lambda data: memoryview(data).cast("h"),
        io.BytesIO,
        lambda data: {"bytes": data, "path": None},
    ],
    ids=["bytes", "bytearray", "memoryview", "file", "dict"],
)
@pytest.mark.parametrize("colour", ["asyncio", "trio"])
def test_much_is_recognised_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, pages: Pages, colour: str, make: Any, data: bytes, elsewhere: bool
) -> None:
    """Only little is recognised on the event loop."""
    threads: list[int] = []

    def identify(read_at: Any, name: str) -> Any:
        threads.append(threading.get_ident())
        return sniff.identify(read_at, name)

    monkeypatch.setattr("hfasr.audio.source.identify", identify)
    assert Colour(colour, pages).load(make(data)).read() == data
    assert (threads != [threading.get_ident()]) is elsewhere
