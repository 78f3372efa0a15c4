from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from hfasr import ASRClient
from hfasr.audio import make_upload
from hfasr.audio.ballast import without_ballast
from hfasr.testing import FakeASRServer, ToneSpeech
from tests.audio.kit import encode, source, tone

PICTURE = (6, bytes(20_000))
PADDING = (1, bytes(8_192))
SEEK_TABLE = (3, bytes(18 * 10))


def with_blocks(flac: bytes, *blocks: tuple[int, bytes]) -> bytes:
    """Put metadata blocks, of a kind and with content, behind the first one of *flac*."""
    made = b"".join(bytes([kind]) + len(content).to_bytes(3, "big") + content for kind, content in blocks)
    is_last = flac[4] & 0x80
    assert not is_last  # libsndfile has its name behind
    return flac[:42] + made + flac[42:]


def with_id3(data: bytes, size: int = 20_000) -> bytes:
    """Put an ID3 tag of *size* bytes before *data*, as one with a picture."""
    packed = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + packed + bytes(size) + data


FLAC = encode(tone(duration=2), format="FLAC")
MP3 = encode(tone(duration=2), format="MP3")


def read(data: bytes) -> np.ndarray:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return np.asarray(samples)


@pytest.mark.parametrize("blocks", [(PICTURE,), (PADDING,), (SEEK_TABLE, PADDING, PICTURE, PADDING)])
def test_a_flac_file_is_left_with_its_sound(blocks: tuple[tuple[int, bytes], ...]) -> None:
    """Pictures, padding and tables are left out, and every sample stays what it was."""
    lean = without_ballast(with_blocks(FLAC, *blocks), "flac")
    assert len(lean) <= len(FLAC)
    np.testing.assert_array_equal(read(lean), read(FLAC))
    assert source(lean).info() == source(FLAC).info()
    assert without_ballast(with_id3(with_blocks(FLAC, *blocks)), "flac") == lean


def test_an_mp3_file_is_left_with_its_sound() -> None:
    """A tag before the first frame is left out, however many there are."""
    assert without_ballast(with_id3(MP3), "mp3") == MP3
    assert without_ballast(with_id3(with_id3(MP3, 300), 900), "mp3") == MP3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (FLAC, "flac"),
        (MP3, "mp3"),
        (with_blocks(FLAC, (1, bytes(500))), "flac"),
        (with_id3(MP3, 500), "mp3"),
        (with_id3(MP3), "ogg"),
        (encode(tone(), format="OGG"), "ogg"),
    ],
)
def test_what_has_little_ballast_is_not_copied(data: bytes, kind: str) -> None:
    """The very object goes out: to take out some hundred bytes costs more than to send them."""
    assert without_ballast(data, kind) is data


@pytest.mark.parametrize(
    "damaged",
    [
        with_blocks(FLAC, PICTURE)[:10_000],
        with_blocks(FLAC, PICTURE)[:42],
        b"fLaC",
        b"fLaC\x00\x00\x00\x22",
        b"fLaC" + bytes(4_000),
        FLAC[:42] + bytes(4 * 2_000) + b"\x81" + bytes(3) + FLAC[FLAC.index(b"\xff\xf8", 42) :],  # 2,000 empty blocks
        with_id3(b""),
        with_id3(b"fLaC"),
        b"",
    ],
)
@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_damage_goes_out_as_it_is(damaged: bytes, kind: str) -> None:
    """What does not look like a header and sound behind it is left to whoever decodes it."""
    assert without_ballast(damaged, kind) is damaged


def test_every_cut_is_survived() -> None:
    """Wherever a file ends, nothing is raised, and nothing but its end is what is sent."""
    data = with_id3(with_blocks(FLAC, SEEK_TABLE, (4, bytes(900)), PADDING), 2_000)
    for length in (*range(2_300), *range(2_300, len(data), 97)):
        lean = without_ballast(data[:length], "flac")
        assert lean is not None
        assert lean.endswith(data[max(length - 2, 0) : length])


@pytest.mark.parametrize(("kind", "data"), [("flac", with_blocks(FLAC, PICTURE)), ("mp3", with_id3(MP3))])
def test_an_upload_says_what_was_left_out(kind: str, data: bytes) -> None:
    """The changes name the bytes; the file that was asked for as it is stays whole."""
    made = make_upload(source(data), format="auto", accepts=frozenset({kind}))
    assert made.original
    assert made.format == f"{kind} (original)"
    assert made.changes == (f"left out {len(data) - len(made.data)} bytes of pictures, tags and padding",)
    whole = make_upload(source(data), format="original", accepts=frozenset({kind}))
    assert (whole.data, whole.changes) == (data, ())


@pytest.mark.parametrize("name", ["flac", "mp3"])
def test_what_is_sent_is_still_heard(name: str) -> None:
    """A server hears the words, gets no picture, and the provenance has the bytes that it got."""
    speech = encode(ToneSpeech().say("red boat"), format=name.upper())
    data = with_blocks(speech, PICTURE) if name == "flac" else with_id3(speech)
    with FakeASRServer() as server, ASRClient(router_url=server.router_url) as asr:
        transcript = asr.transcribe(data)
    assert transcript.text == "red boat"
    assert transcript.provenance is not None
    assert transcript.provenance.uploaded_bytes == len(server.requests[0].body) <= len(speech)
