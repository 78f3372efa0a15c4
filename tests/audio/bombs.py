"""
Files that claim too much, or hold it: small ones that inflate, loop, nest or have no end.

``python -m tests.audio.bombs asyncio FOLDER`` reads each of them in a process of its own, and says what that took.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hfasr import RetryPolicy
from hfasr.errors import HfasrError
from hfasr.testing import FakeASRServer, FakeBackend, Reply
from tests.audio.kit import encode, encode_av, tone
from tests.colours import Session

DEADLINE_S = 5.0
HOUR_S = 3_600
VOICE = tone(duration=1.0)


# FLAC, by hand: RFC 9639 8.2 (STREAMINFO), 9.1 (frame header), 9.2.1 (constant subframe).


def crc(data: bytes, polynomial: int, n_bits: int) -> int:
    """Return FLAC's check of *data*."""
    value, top = 0, 1 << (n_bits - 1)
    for byte in data:
        value ^= byte << (n_bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & ((1 << n_bits) - 1)
    return value


def coded(number: int) -> bytes:
    """Write a frame's number as UTF-8 would, up to 2^16."""
    return chr(number).encode("utf-8", "surrogatepass")


def streaminfo(*, rate: int, channels: int, total: int) -> bytes:
    """Return the beginning of a 16-bit FLAC stream of blocks of 65,535 frames."""
    packed = rate << 44 | (channels - 1) << 41 | 15 << 36 | total
    return (
        b"fLaC\x80\x00\x00\x22" + struct.pack(">HH", 65_535, 65_535) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    )


def silent_flac(n_blocks: int, *, rate: int, channels: int, told: bool = True) -> bytes:
    """Return FLAC of *n_blocks* times 65,535 silent frames, in some 12 bytes each."""
    parts = [streaminfo(rate=rate, channels=channels, total=n_blocks * 65_535 if told else 0)]
    subframes = bytes([0, 0, 0]) * channels
    for number in range(n_blocks):
        head = b"\xff\xf8" + bytes([0x70, (channels - 1) << 4 | 8]) + coded(number) + struct.pack(">H", 65_534)
        frame = head + bytes([crc(head, 0x07, 8)]) + subframes
        parts.append(frame + crc(frame, 0x8005, 16).to_bytes(2, "big"))
    return b"".join(parts)


# RIFF and its relatives.


def wav(
    *,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    data: bytes = bytes(1_000),
    claimed: int | None = None,
    tag: int = 1,
) -> bytes:
    """Return a WAV file whose header says whatever it is told to."""
    width = min(channels * bits // 8, 0xFFFF) or 2
    fmt = struct.pack("<HHIIHH", tag, channels, rate, min(rate * width, 0xFFFF_FFFF), width, bits)
    size = len(data) if claimed is None else claimed
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + data


def au(*, channels: int = 1, rate: int = 16_000, start: int = 24, size: int = 0xFFFF_FFFF) -> bytes:
    """Return an AU file of noise."""
    return b".snd" + struct.pack(">IIIII", start, size, 3, rate, channels) + bytes(range(250)) * 4


def caf(*, channels: int = 1, rate: float = 16_000.0, size: int = -1) -> bytes:
    """Return a CAF file of noise."""
    width = channels * 2 & 0xFFFF_FFFF
    desc = struct.pack(">d4sIIIII", rate, b"lpcm", 0, width, 1, channels, 16)
    return (
        b"caff\x00\x01\x00\x00desc" + struct.pack(">q", 32) + desc
        + b"data" + struct.pack(">qI", size, 0) + bytes(range(250)) * 4
    )  # fmt: skip


def aiff(*, channels: int = 1, frames: int = 500, exponent: int = 0x400C) -> bytes:
    """Return an AIFF file of noise."""
    comm = struct.pack(">hIh", channels if channels < 2**15 else -1, frames, 16) + struct.pack(
        ">HQ", exponent, 0xFA00 << 48
    )
    body = (
        b"COMM"
        + struct.pack(">I", len(comm))
        + comm
        + b"SSND"
        + struct.pack(">III", 1_008, 0, 0)
        + bytes(range(250)) * 4
    )
    return b"FORM" + struct.pack(">I", len(body) + 4) + b"AIFF" + body


# Boxes.


def box(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """Return a box of MP4."""
    return struct.pack(">I", (len(body) + 8 if size is None else size) & 0xFFFF_FFFF) + name + body


def m4a() -> bytes:
    """Return a sound file in MP4."""
    return encode_av(tone(duration=1.0, sampling_rate=16_000), 16_000, container="ipod", codec="aac")


def m4a_with_table(name: bytes, body: bytes) -> bytes:
    """Return an MP4 whose table *name* begins with *body*."""
    data = bytearray(m4a())
    at = data.index(name) + 8  # behind version and flags
    data[at : at + len(body)] = body
    return bytes(data)


def nested(depth: int) -> bytes:
    """Return an MP4 whose index is boxes in boxes."""
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return box(b"ftyp", b"M4A \x00\x00\x00\x00") + body


def video_8k() -> bytes:
    """Return a Matroska file with a second of sound beside pictures of 7680 by 4320, of which two take 100 MB."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        pictures: Any = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 7_680, 4_320, "yuv420p"
        sound: Any = output.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(2):
            output.mux(pictures.encode(av.VideoFrame(7_680, 4_320, "yuv420p")))
        frame = av.AudioFrame.from_ndarray(VOICE[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
        output.mux(pictures.encode(None))
    return file.getvalue()


def webm() -> bytes:
    """Return a sound file in WebM."""
    return encode_av(tone(duration=1.0, sampling_rate=48_000), 48_000, container="webm", codec="libopus")


def ogg_of_headers(n_pages: int) -> bytes:
    """Return Ogg Vorbis whose second header, continued from page to page, never ends."""
    vorbis = encode(VOICE, format="OGG", subtype="VORBIS")
    first = vorbis[: vorbis.index(b"OggS", 1)]
    pages = [first]
    for number in range(1, n_pages + 1):
        body = (b"\x03vorbis\x00\x00\x00\x00\xff\xff\xff\xff" if number == 1 else b"").ljust(65_025, b"x")
        head = b"OggS\x00" + bytes([number > 1]) + bytes(8) + first[14:18] + struct.pack("<I", number) + bytes(4)
        page = bytearray(head + b"\xff" + b"\xff" * 255 + body)
        page[22:26] = crc(bytes(page), 0x04C11DB7, 32).to_bytes(4, "little") if n_pages <= 4 else _ogg_crc(page)
        pages.append(bytes(page))
    return b"".join(pages)


_OGG_TABLE = [crc(bytes([0, 0, 0, byte]), 0x04C11DB7, 32) for byte in range(256)]


def _ogg_crc(page: bytearray) -> bytes:
    value = 0
    for byte in page:
        value = (value << 8 ^ _OGG_TABLE[value >> 24 ^ byte]) & 0xFFFF_FFFF
    return value.to_bytes(4, "little")


def id3(size: int) -> bytes:
    """Return an ID3 tag's header that claims *size* bytes."""
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def zipped() -> bytes:
    """Return a WAV file in a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", encode(VOICE))
    return file.getvalue()


HEARD = "heard"
DECODE, UNSUPPORTED, EMPTY, LONG = "AudioDecodeError", "UnsupportedAudioError", "EmptyAudioError", "AudioTooLongError"
LATE = "DeadlineExceededError"

BYTES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "wav of 1 kB that claims ten hours": (lambda: wav(data=_noise(), claimed=10 * HOUR_S * 32_000), {HEARD}),
    "wav of 1 kB that claims 4 GiB": (lambda: wav(data=_noise(), claimed=0xFFFF_FFFF), {HEARD}),
    "wav that claims nothing": (lambda: wav(data=_noise(), claimed=0), {HEARD}),
    "wav with a format of 4 GiB": (lambda: b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff" + bytes(500), {DECODE, EMPTY}),
    "wav of empty chunks": (lambda: b"RIFF\0\0\0\0WAVE" + b"LIST\0\0\0\0" * 200_000, {DECODE, EMPTY}),
    "wav of 65535 channels": (lambda: wav(channels=65_535), {UNSUPPORTED, DECODE}),
    "wav of 1024 channels": (lambda: wav(channels=1_024, data=bytes(4_096)), {UNSUPPORTED, DECODE}),
    "wav of no channel": (lambda: wav(channels=0), {UNSUPPORTED, DECODE}),
    "wav of 0 Hz": (lambda: wav(rate=0), {UNSUPPORTED, DECODE}),
    "wav of 1 Hz": (lambda: wav(rate=1), {UNSUPPORTED, DECODE}),
    "wav of 4 GHz": (lambda: wav(rate=0xFFFF_FFFF), {UNSUPPORTED, DECODE}),
    "wav of samples of 65535 bits": (lambda: wav(bits=65_535), {UNSUPPORTED, DECODE}),
    "wav of ADPCM with blocks of no length": (lambda: wav(tag=17, bits=4, channels=8), {UNSUPPORTED, DECODE, EMPTY}),
    "au of 4 billion channels": (lambda: au(channels=0xFFFF_FFFF), {UNSUPPORTED, DECODE}),
    "au of 65535 channels": (lambda: au(channels=65_535), {UNSUPPORTED, DECODE}),
    "au of 0 Hz": (lambda: au(rate=0), {UNSUPPORTED, DECODE}),
    "au of 4 GHz": (lambda: au(rate=0xFFFF_FFFF), {UNSUPPORTED, DECODE}),
    "au that begins at 4 GiB": (lambda: au(start=0xFFFF_FFFF), {UNSUPPORTED, DECODE, EMPTY}),
    "caf of 4 billion channels": (lambda: caf(channels=0xFFFF_FFFF), {UNSUPPORTED, DECODE}),
    "caf of infinitely many Hz": (lambda: caf(rate=float("inf")), {UNSUPPORTED, DECODE}),
    "caf of NaN Hz": (lambda: caf(rate=float("nan")), {UNSUPPORTED, DECODE}),
    "caf of 2**62 bytes": (lambda: caf(size=2**62), {HEARD, DECODE, EMPTY}),
    "aiff of 65535 channels": (lambda: aiff(channels=65_535), {UNSUPPORTED, DECODE}),
    "aiff of 4 billion frames": (lambda: aiff(frames=0xFFFF_FFFF), {HEARD, DECODE}),
    "aiff of 2**16000 Hz": (lambda: aiff(exponent=0x7FFE), {UNSUPPORTED, DECODE}),
    "flac of 1 kB that claims 49 days": (
        lambda: streaminfo(rate=16_000, channels=1, total=2**36 - 1) + encode(VOICE, format="FLAC")[-1_000:],
        {DECODE, LONG},
    ),
    "flac of ten silent hours in 100 kB": (
        lambda: silent_flac(8_790, rate=16_000, channels=1), {HEARD, "nothing", LONG, LATE},
    ),
    "flac of ten silent hours in 100 kB, untold": (
        lambda: silent_flac(8_790, rate=16_000, channels=1, told=False), {HEARD, "nothing", LONG, LATE},
    ),
    "flac of 8 channels at 655 kHz": (
        lambda: silent_flac(600, rate=655_350, channels=8), {HEARD, "nothing", LATE},
    ),
    "ogg whose headers do not end": (lambda: ogg_of_headers(40), {DECODE, EMPTY}),
    "mp3 behind a tag of 256 MB": (lambda: id3(2**28 - 1) + encode(VOICE, format="MP3"), {HEARD, UNSUPPORTED, DECODE}),
    "tags without end": (lambda: (id3(0) * 100_000) + encode(VOICE, format="MP3"), {HEARD, UNSUPPORTED, DECODE}),
    "mp4 nested 5000 deep": (lambda: nested(5_000), {DECODE, UNSUPPORTED, EMPTY}),
    "mp4 of empty boxes": (lambda: box(b"ftyp", b"M4A \0\0\0\0") + box(b"free", b"") * 300_000, {DECODE, UNSUPPORTED}),
    "mp4 with a box of size 0": (lambda: box(b"ftyp", b"M4A \0\0\0\0") + box(b"mdat", bytes(9_000), 0), {DECODE, UNSUPPORTED}),
    "mp4 with a box of 2**63 bytes": (
        lambda: box(b"ftyp", b"M4A \0\0\0\0") + box(b"mdat", struct.pack(">Q", 2**63) + bytes(99), 1), {DECODE, UNSUPPORTED},
    ),
    "mp4 of 4 billion sizes": (lambda: m4a_with_table(b"stsz", struct.pack(">II", 0, 0xFFFF_FFFF)), {HEARD, DECODE, EMPTY}),
    "mp4 of 4 billion equal sizes": (lambda: m4a_with_table(b"stsz", struct.pack(">II", 7, 0xFFFF_FFFF)), {HEARD, DECODE, EMPTY}),
    "mp4 of 4 billion times": (lambda: m4a_with_table(b"stts", struct.pack(">III", 1, 0xFFFF_FFFF, 1)), {HEARD, DECODE, EMPTY}),
    "mp4 of 4 billion places": (lambda: m4a_with_table(b"stco", struct.pack(">I", 0xFFFF_FFFF)), {HEARD, DECODE, EMPTY}),
    "mp4 of 4 billion runs": (lambda: m4a_with_table(b"stsc", struct.pack(">IIII", 1, 1, 0xFFFF_FFFF, 1)), {HEARD, DECODE, EMPTY}),
    "mkv with pictures of 8K": (video_8k, {HEARD}),
    "webm of unknown size": (
        lambda: webm().replace(b"\x18\x53\x80\x67" + webm()[webm().index(b"\x18\x53\x80\x67") + 4 :][:8], b"\x18\x53\x80\x67\x01" + b"\xff" * 7, 1),
        {HEARD},
    ),
    "webm of unknown sizes, nested": (
        lambda: webm()[:64] + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 5_000, {DECODE, EMPTY, UNSUPPORTED},
    ),
    "tta of 4 billion samples": (
        lambda: b"TTA1" + struct.pack("<HHHII", 1, 1, 16, 16_000, 0xFFFF_FFFF) + bytes(1_000), {DECODE, EMPTY, UNSUPPORTED, LONG},
    ),
    "wavpack of a block of 4 GiB": (
        lambda: b"wvpk" + struct.pack("<IHBBIIIII", 0xFFFF_FFF0, 0x407, 0, 0, 0xFFFF_FFFE, 0, 0xFFFF_FFFE, 0x1800001, 0) + bytes(900),
        {DECODE, EMPTY, UNSUPPORTED, LONG},
    ),
    "ape of 4 billion frames": (
        lambda: b"MAC \x96\x0f\0\0" + struct.pack("<IIIIIII", 52, 24, 0xFFFF_FFF0, 44, 0, 0xFFFF_FFFF, 0) + bytes(16)
        + struct.pack("<HHIIIHHI", 5_000, 0, 0xFFFF_FFF0, 0xFFFF_FFF0, 0xFFFF_FFF0, 16, 2, 44_100) + bytes(500),
        {DECODE, EMPTY, UNSUPPORTED, LONG},
    ),
    "sph with a header of 10**15 bytes": (lambda: b"NIST_1A\n1000000000000000\n" + bytes(900), {DECODE, EMPTY, UNSUPPORTED}),
    "zip named .wav": (zipped, {UNSUPPORTED}),
    "four million letters": (lambda: b"x" * 4_000_000, {UNSUPPORTED}),
    "four million bytes that begin frames": (lambda: b"\xff\xfb" * 2_000_000, {UNSUPPORTED, DECODE}),
    "two million zeros": (lambda: bytes(2_000_000), {UNSUPPORTED}),
}  # fmt: skip


def _noise() -> bytes:
    return (np.random.default_rng(0).normal(0, 3_000, 480).astype("<i2")).tobytes()


def paths(folder: Path) -> Iterator[tuple[str, Path, set[str]]]:
    """Make what is no plain file, and give its name, its path and how reading it may end."""
    gone = "AudioNotFoundError"
    (folder / "one.wav").symlink_to(folder / "two.wav")
    (folder / "two.wav").symlink_to(folder / "one.wav")
    if sys.platform == "win32":
        raise OSError("Windows has no such pipes")
    os.mkfifo(folder / "pipe.wav")
    yield "links in a circle", folder / "one.wav", {gone}
    yield "a pipe that nobody writes", folder / "pipe.wav", {gone}
    yield "a device without end", Path("/dev/zero"), {gone}
    yield "a folder", folder, {gone}
    yield "a path of a million letters", folder / ("x" * 1_000_000), {gone}
    for name, head, ends in (
        ("nothing.wav", b"", {UNSUPPORTED}),
        ("silence.wav", wav(data=b"", claimed=0xFFFF_FFFF), {HEARD, "nothing", LONG, LATE}),
        ("tag.mp3", id3(2**28 - 1), {UNSUPPORTED, DECODE, LATE}),
        ("box.m4a", box(b"ftyp", b"M4A \0\0\0\0") + box(b"mdat", struct.pack(">Q", 10**10), 1), {DECODE}),
        ("stream.flac", streaminfo(rate=16_000, channels=1, total=0), {DECODE, EMPTY, LATE}),
        ("first.ogg", ogg_of_headers(0), {DECODE, EMPTY, LATE}),
    ):
        path = folder / name
        with path.open("wb") as file:
            file.write(head)
            file.truncate(10 * 10**9)
        yield f"10 GB without content: {name}", path, ends


def memory(field: str) -> int:
    """Return a line of the process's state, bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def forget_the_peak() -> int:
    """Let the peak be what is used now, and return that."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


def told(work: Callable[[], str]) -> dict[str, Any]:
    """Do *work*; say how it ended, in which time, and with how much more memory."""
    before, began = forget_the_peak(), time.monotonic()
    try:
        end = work()
    except HfasrError as error:
        end = type(error).__name__
    except Exception as error:  # noqa: BLE001  # told
        end = repr(error)
    return {"end": end, "seconds": time.monotonic() - began, "mb": (memory("VmHWM") - before) / 2**20}


def main(colour: str, folder: str) -> None:
    """Read everything whole, as a stream, and through a server; one line of JSON each."""
    audios: list[tuple[str, Any, set[str]]] = []
    for name, (make, ends) in BYTES.items():
        path = Path(folder, f"{len(audios)}.bin")
        path.write_bytes(make())
        audios.append((name, path, ends))
    audios += paths(Path(folder))
    server = FakeASRServer(max_duration_s=None).start()
    policy = RetryPolicy(max_attempts=1, breaker_threshold=None)
    engine = Session(colour, backend=FakeBackend(HEARD), deadline=DEADLINE_S, retry=policy)
    hosted = Session(colour, base_url=server.url, dialect="hf", model="m/m", deadline=DEADLINE_S, retry=policy)

    def whole(audio: Any) -> str:
        return engine.transcribe(audio).text or "nothing"

    def streamed(audio: Any) -> str:
        stream = engine.transcribe_stream(audio)
        with contextlib.closing(stream):
            return HEARD if [segment.text for segment in stream] else "nothing"

    def sent(audio: Any) -> str:
        server._script.clear()
        server.script(*[Reply(200, json={"text": HEARD})] * 300)
        return hosted.transcribe(audio).text or "nothing"

    ways = {"whole": whole, "stream": streamed, "sent": sent}
    for audio in (
        encode(VOICE),
        encode(VOICE, format="FLAC"),
        encode(VOICE, format="OGG", subtype="VORBIS"),
        m4a(),
        webm(),
    ):
        for work in ways.values():
            work(audio)  # everything is imported, and pools are open
    for name, audio, ends in audios:
        for way, work in ways.items():
            line = told(lambda work=work, audio=audio: work(audio))  # type: ignore[misc]  # bound at once
            print(json.dumps({"name": name, "way": way, "may": sorted(ends), **line}), flush=True)
    for closing in (engine, hosted):
        closing.close()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
