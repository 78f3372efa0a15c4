from __future__ import annotations

import pytest

from hfasr.audio import mpeg
from tests.audio.kit import encode, tone


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fffb9064", (3, 44_100, 2, 1_152, 417)),  # MPEG-1 III, 128 kbit/s, joint stereo
        ("fffb92c4", (3, 44_100, 1, 1_152, 418)),  # the same, mono, padded
        ("fff384c4", (3, 24_000, 1, 576, 192)),  # MPEG-2 III, 64 kbit/s
        ("ffe388c4", (3, 8_000, 1, 576, 576)),  # MPEG-2.5 III, 64 kbit/s
        ("fffd9004", (2, 44_100, 2, 1_152, 522)),  # MPEG-1 II, 160 kbit/s
        ("ffff9004", (1, 44_100, 2, 384, 312)),  # MPEG-1 I, 288 kbit/s
    ],
)
def test_frame_headers(header: str, expected: tuple[int, ...]) -> None:
    """Headers worked out by hand from the standard's tables are read."""
    frame = mpeg.parse_frame(bytes.fromhex(header))
    assert frame is not None
    assert (frame.layer, frame.sampling_rate, frame.channels, frame.n_samples, frame.length) == expected


@pytest.mark.parametrize(
    "header",
    ["", "fffb90", "fefb9064", "ff1b9064", "fff99064", "ffeb9064", "fffbf064", "fffb0064", "fffb9c64", "fffb9066"],
)
def test_what_is_no_frame_header(header: str) -> None:
    """Reserved versions, layers, bit rates, sampling rates and emphases are no frames."""
    assert mpeg.parse_frame(bytes.fromhex(header)) is None


def test_frames_must_follow_on_one_another() -> None:
    """One valid header among other bytes is chance; several in a row are not."""
    data = encode(tone(), format="MP3")
    frame = mpeg.parse_frame(data)
    assert frame is not None
    assert mpeg.follows_on(data, 0, n_frames=5) == frame
    assert mpeg.follows_on(data[:4] + bytes(5_000), 0) is None
    assert mpeg.follows_on(data[: frame.length], 0, n_frames=5) == frame
    assert mpeg.find_frame(b"\xff\xfb\x90\x64" + bytes(1_000) + data) == 1_004
    assert mpeg.find_frame(bytes(100)) is None


def test_adts_frames_have_their_length() -> None:
    """An ADTS header with 7 bytes or fewer of frame, or a reserved rate, is none."""
    assert mpeg.adts_length(bytes.fromhex("fff150800c40fc")) == 98
    assert mpeg.adts_length(bytes.fromhex("fff1508000e0fc")) is None
    assert mpeg.adts_length(bytes.fromhex("fff174800c40fc")) is None
    assert mpeg.adts_length(bytes.fromhex("fff150")) is None
