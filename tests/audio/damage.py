"""
Small files of every kind, ways to damage them, and every way to read what is left.

``python -m tests.audio.damage cut wav`` reads every beginning of a WAV file, in a process that may die.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import json
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from hfasr import ASRClient, AudioError, LiveAudio
from hfasr.audio import decode, make_upload
from hfasr.audio.live_sources import LivePhrases, phrases_of
from hfasr.audio.pieces import Cutting, Pieces
from hfasr.errors import HfasrError
from hfasr.testing import FakeBackend
from hfasr.types import Audio
from tests.audio.kit import encode, encode_av, source, tone

ACCEPTS = frozenset({"flac", "wav", "mp3", "ogg", "webm", "m4a", "aiff", "aac"})
LONGEST_S = 60.0  # no file here is half a second long, so what is longer than this has been made up
ONE_READING_S = 20.0  # a hang, on a machine that does much else

_SHORT = tone(duration=0.05)
_SOUNDFILE: dict[str, tuple[str, str | None, int]] = {
    "wav": ("WAV", "PCM_16", 16_000),
    "wav-extensible-24": ("WAVEX", "PCM_24", 16_000),
    "wav-u8": ("WAV", "PCM_U8", 16_000),
    "wav-float": ("WAV", "FLOAT", 16_000),
    "wav-double": ("WAV", "DOUBLE", 16_000),
    "wav-ima-adpcm": ("WAV", "IMA_ADPCM", 16_000),
    "wav-ms-adpcm": ("WAV", "MS_ADPCM", 16_000),
    "wav-alaw": ("WAV", "ALAW", 16_000),
    "wav-ulaw": ("WAV", "ULAW", 16_000),
    "wav-gsm": ("WAV", "GSM610", 8_000),
    "wav-g721": ("WAV", "G721_32", 8_000),
    "rf64": ("RF64", "PCM_16", 16_000),
    "w64": ("W64", "PCM_16", 16_000),
    "flac": ("FLAC", "PCM_16", 16_000),
    "vorbis": ("OGG", "VORBIS", 16_000),
    "opus": ("OGG", "OPUS", 48_000),
    "mp3": ("MP3", None, 16_000),
    "aiff": ("AIFF", "PCM_16", 16_000),
    "aiff-float": ("AIFF", "FLOAT", 16_000),
    "au": ("AU", "ULAW", 16_000),
    "caf": ("CAF", "PCM_16", 16_000),
    "caf-alac": ("CAF", "ALAC_16", 16_000),
    "voc": ("VOC", "PCM_16", 16_000),
    "8svx": ("SVX", "PCM_16", 16_000),
    "sph": ("NIST", "PCM_16", 16_000),
}
_AV: dict[str, tuple[str, str, int]] = {
    "m4a": ("ipod", "aac", 16_000),
    "mov": ("mov", "pcm_s16le", 16_000),
    "3gp": ("3gp", "aac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "aac": ("adts", "aac", 16_000),
    "flv": ("flv", "aac", 16_000),
    "ts": ("mpegts", "aac", 16_000),
    "avi": ("avi", "pcm_s16le", 16_000),
    "wavpack": ("wv", "wavpack", 16_000),
    "tta": ("tta", "tta", 16_000),
    "mp2": ("mp2", "mp2", 16_000),
}
KINDS = (*_SOUNDFILE, "mp3-id3", "mp3-xing", "mp3-vbri", "amr", *_AV)


@functools.cache
def file_of(kind: str) -> bytes:
    """Return a file of *kind*, of a twentieth of a second."""
    if kind in _SOUNDFILE:
        name, subtype, rate = _SOUNDFILE[kind]
        return encode(tone(duration=0.05, sampling_rate=rate), rate, format=name, subtype=subtype)
    if kind in _AV:
        container, codec, rate = _AV[kind]
        duration = 0.2 if kind == "mp2" else 0.05  # of two frames at least
        return encode_av(tone(duration=duration, sampling_rate=rate), rate, container=container, codec=codec)
    if kind == "amr":  # nobody here writes it; of noise, a frame of 12.2 kbit/s decodes to noise
        noise = random.Random(0)
        return b"#!AMR\n" + b"".join(b"\x3c" + noise.randbytes(31) for _ in range(5))
    if kind == "mp3-id3":
        tag = b"TIT2" + struct.pack(">IH", 12, 0) + b"\x03hello there"
        return b"ID3\x04\x00\x00\x00\x00\x00" + bytes([len(tag)]) + tag + file_of("mp3")
    return _with_vbr_header(kind)


def _with_vbr_header(kind: str) -> bytes:
    mp3 = bytearray(encode_av(tone(duration=0.2), 16_000, container="mp3", codec="libmp3lame"))
    at = mp3.index(b"Xing") if b"Xing" in mp3 else mp3.index(b"Info")
    if kind == "mp3-vbri":  # Fraunhofer's stands 32 bytes behind the frame's header, whatever the channels
        start = mp3.rindex(b"\xff\xf3", 0, at)
        mp3[at : at + 120] = bytes(120)
        mp3[start + 36 : start + 36 + 26] = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 75, len(mp3), 5, 1, 1, 2, 5)
    return bytes(mp3)


def read_whole(data: bytes) -> float | None:
    """Look at the header, make an upload and decode; return the seconds that were heard."""
    given = source(data)
    info = given.info()
    assert info.duration is None or 0 <= info.duration < 2**50
    assert info.sampling_rate is None or info.sampling_rate >= 0
    with contextlib.suppress(HfasrError):
        assert make_upload(given, format="auto", accepts=ACCEPTS, max_duration_s=LONGEST_S, check=_in_time()).data
    decoded = decode(given, max_duration_s=LONGEST_S, check=_in_time())
    _check(decoded.audio, most=LONGEST_S)
    assert 0 < decoded.duration <= LONGEST_S
    return decoded.duration


def read_pieces(data: bytes) -> float | None:
    """Read as long audio is read, piece by piece."""
    stop = 0.0
    check = _in_time()
    with Pieces(source(data), sampling_rate=16_000, channels="mix", cutting=Cutting(10.0), check=check) as pieces:
        for piece in pieces:
            assert stop == piece.start < piece.end <= piece.start + 10.0
            stop = piece.end
            _check(Audio(piece.source.frames[:, 0], 16_000), most=10.0)
            if stop > LONGEST_S:
                return None
    assert pieces.duration is not None
    return pieces.duration


def read_live(data: bytes) -> float | None:
    """Read as a stream that comes in, in blocks of 100 bytes."""
    blocks = (data[start : start + 100] for start in range(0, len(data), 100))
    phrases = phrases_of(
        LiveAudio(blocks), sampling_rate=16_000, cutting=Cutting(10.0), clock=time.monotonic, offload=None
    )
    assert isinstance(phrases, LivePhrases)
    stop = 0.0
    try:
        for phrase in phrases:
            assert stop <= phrase.piece.start < phrase.piece.end
            stop = phrase.piece.end
            _check(Audio(phrase.piece.source.frames[:, 0], 16_000), most=11.0)
            if stop > LONGEST_S:
                return None
    finally:
        phrases.close()
    return stop


def read_call(data: bytes) -> float | None:
    """Transcribe by an engine on this machine, through a client."""
    asr, engine = _client()
    engine.calls.clear()
    transcript = asr.transcribe(data, deadline=ONE_READING_S)
    for call in engine.calls:
        for clip in call.batch:
            _check(clip, most=LONGEST_S)
    assert transcript.duration is not None
    assert 0 < transcript.duration < 2**50
    return transcript.duration


READERS: tuple[Callable[[bytes], float | None], ...] = (read_whole, read_pieces, read_live, read_call)


def read_everywhere(data: bytes) -> list[str]:
    """Read *data* in every way; what comes out must be sound, or an `AudioError`. Return how each ended."""
    ends = []
    for read in READERS:
        began = time.process_time()
        try:
            seconds = read(data)
        except AudioError as error:
            ends.append(type(error).__name__)
        else:
            ends.append("too long" if seconds is None else "heard")
        assert time.process_time() - began < ONE_READING_S
    return ends


def beginnings(kind: str) -> Iterator[bytes]:
    """Give every beginning of a file of *kind*, the empty one first, the whole file last."""
    data = file_of(kind)
    for n_bytes in range(len(data) + 1):
        yield data[:n_bytes]


def damaged(kind: str, n: int = 400) -> Iterator[bytes]:
    """Give *n* files of *kind* that are damaged by bits, bytes, spans, and parts of other files; always the same ones."""
    chance = random.Random(kind)
    for _ in range(n):
        data = bytearray(file_of(kind))
        for _ in range(chance.randint(1, 4)):
            _spoil(data, chance)
        yield bytes(data)


def _spoil(data: bytearray, chance: random.Random) -> None:
    near = chance.random() < 0.5  # headers are where most can go wrong
    at = chance.randrange(min(len(data), 120) if near else len(data)) if data else 0
    length = chance.choice([1, 2, 4, 16, 100, 1_000])
    match chance.randrange(7):
        case 0 if data:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            data[at : at + length] = chance.randbytes(length)
        case 2:
            data[at : at + length] = chance.choice([b"\x00", b"\xff", b"\x7f", b"\x80"]) * length
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = chance.randbytes(length)
        case 5:
            data[at:at] = data[at : at + length] * chance.randint(1, 3)
        case _:
            other = file_of(chance.choice(KINDS))
            start = chance.randrange(len(other))
            data[at : at + length] = other[start : start + length]


def _in_time() -> Callable[[], None]:
    began = time.process_time()

    def check() -> None:
        assert time.process_time() - began < ONE_READING_S, "it does not end"

    return check


@functools.cache
def _client() -> tuple[ASRClient, FakeBackend]:
    engine = FakeBackend("heard", max_duration_s=LONGEST_S)
    return ASRClient(backend=engine), engine


def _check(audio: Audio, *, most: float) -> None:
    waveform = audio.waveform
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert len(waveform) <= (most + 1) * audio.sampling_rate
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max(initial=0) <= 1


def peak_bytes() -> int:
    """Return the most memory that this process has had, bytes; 0 on Windows, which is not asked."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(how: str, kind: str) -> None:
    """Read everything that *how* makes of *kind*; say what came of it, and before each what is read."""
    faulthandler.enable()
    ways = {"cut": beginnings, "spoil": damaged}
    for data in (file_of(kind), file_of(kind)[:-1]):
        read_everywhere(data)
    before = peak_bytes()
    counts = {"heard": 0}
    for number, data in enumerate(ways[how](kind)):
        print(number, flush=True)
        for end in read_everywhere(data):
            counts[end] = counts.get(end, 0) + 1
    print(json.dumps({"ends": counts, "grown_mb": (peak_bytes() - before) / 2**20}))


if __name__ == "__main__":
    main(*sys.argv[1:])
