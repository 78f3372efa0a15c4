from __future__ import annotations

import io

import pytest

from hfasr.audio.ogg import Ogg, read_ogg
from tests.audio.kit import encode, tone


def read(data: bytes) -> Ogg | None:
    return read_ogg(io.BytesIO(data))


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
@pytest.mark.parametrize("duration", [0.1, 1.0, 20.0])
def test_the_pages_say_how_long_it_is(subtype: str, duration: float) -> None:
    """Duration, rate and channels are exact, and the file is whole."""
    data = encode(tone(duration=duration), format="OGG", subtype=subtype)
    assert read(data) == Ogg(duration, 16_000, 1, ends=True)


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_a_file_that_was_cut_has_no_end(share: float) -> None:
    """What is whole gives the duration; the last page is missing."""
    data = encode(tone(duration=30), format="OGG")
    pages = read(data[: int(share * len(data))])
    assert pages is not None
    assert not pages.ends
    assert pages.duration is not None
    assert 30 * share - 10 < pages.duration < 30 * share + 1


def test_cut_between_two_pages() -> None:
    """A last page that is whole, but not marked as the last, is no end."""
    data = encode(tone(duration=30), format="OGG")
    pages = read(data[: data.rindex(b"OggS")])
    assert pages is not None
    assert not pages.ends


def test_streams_in_a_row_have_no_known_duration() -> None:
    """Positions begin anew with each stream."""
    first, second = (encode(tone(hertz), format="OGG") for hertz in (300, 400))
    serial = first[14:18]
    other = bytes(byte ^ 0xFF for byte in serial)
    pages = read(first + second.replace(second[14:18], other))
    assert pages is not None
    assert pages.duration is None


@pytest.mark.parametrize(
    "data", [b"", b"OggS", b"OggS" + bytes(40), b"OggS" + bytes(22) + b"\x01\x13OpusHead\x01\x00" + bytes(9)]
)
def test_other_or_damaged_headers(data: bytes) -> None:
    """Other codecs, no channels, and a header that is cut off are unknown."""
    assert read(data) is None
