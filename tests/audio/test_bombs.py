"""Audio bombs: small files that claim or hold too much end on time, typed, and within 50 MB; in a process of their own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfasr.errors import AudioDecodeError
from tests.audio.bombs import BYTES, DEADLINE_S, HEARD, silent_flac
from tests.audio.kit import source
from tests.audio.test_cut import in_a_process_of_its_own

pytest.importorskip("av", reason="needs the extra av")

MOST_MB = 50
SLACK_S = 2.5  # of a machine that does much else; what is waited for elsewhere would be minutes
N_PATHS = 11


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is emptied at once: its files claim gigabytes."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory can be looked at on Linux alone")
def test_bombs(colour: str, folder: Path) -> None:
    """Whole, as a stream and through a server: each ends as it should, on time, and in little memory."""
    told: list[dict[str, Any]] = [
        json.loads(line) for line in in_a_process_of_its_own("tests.audio.bombs", colour, str(folder), timeout=580)
    ]
    assert len(told) == 3 * (len(BYTES) + N_PATHS)
    wrong = [
        one
        for one in told
        # What is not understood here goes to a server as it is, where that knows such files.
        if one["end"] not in {*one["may"], *([HEARD] if one["way"] == "sent" else [])}
        or one["seconds"] > DEADLINE_S + SLACK_S
        or one["mb"] > MOST_MB
    ]
    assert not wrong


def test_forged_flac_is_sound() -> None:
    """The FLAC that these tests write by hand is FLAC: its checks hold, and its length is what it says."""
    from hfasr.audio import decode

    for channels in (1, 8):
        data = silent_flac(3, rate=65_535, channels=channels)
        assert len(data) < 42 + 3 * (14 + 3 * channels)
        decoded = decode(source(data))
        assert decoded.duration == 3.0
        assert decoded.is_silent
        with pytest.raises(AudioDecodeError):
            decode(source(data[:-1]))


@pytest.mark.parametrize("size", [2**43, 2**62, 2**63, 2**64 - 1])
def test_box_that_ends_beyond_any_file(size: int, tmp_path: Path) -> None:
    """A box may claim 64 bits of length: nobody seeks there, in bytes or in a file."""
    from hfasr.audio.files import open_path

    data = b"\0\0\0\x10ftypM4A \0\0\0\0\0\0\0\x01mdat" + size.to_bytes(8, "big") + bytes(99)
    path = tmp_path / "a.m4a"
    path.write_bytes(data)
    with pytest.raises(AudioDecodeError, match="without its index"):
        source(data)
    with pytest.raises(AudioDecodeError, match="without its index"):
        open_path(str(path), lambda: None)


def test_pictures_are_not_looked_at() -> None:
    """FFmpeg may open decoders of sound and no others, whatever a file holds beside it."""
    from hfasr.audio.pyav import _only_sound

    allowed = set(_only_sound()["codec_whitelist"].split(","))
    assert allowed >= {
        "aac",
        "ac3",
        "alac",
        "amrnb",
        "flac",
        "mp3float",
        "opus",
        "pcm_s16le",
        "vorbis",
        "wavpack",
        "wmav2",
    }
    assert allowed.isdisjoint({"h264", "hevc", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg", "png", "ass", "subrip"})


class GoneError(AudioDecodeError):
    """What a call's deadline stands for."""


@pytest.mark.parametrize("kind", ["ogg", "mp3", "m4a"])
@pytest.mark.parametrize("is_hidden", [False, True])
def test_looking_for_the_next_page_can_be_stopped(
    kind: str, is_hidden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in which nothing more is found, for gigabytes, is left when the call's time is over."""
    from hfasr.audio import decode
    from hfasr.audio.files import open_path
    from tests.audio.damage import file_of
    from tests.audio.kit import hide_av

    if kind == "m4a" and is_hidden:
        pytest.skip("PyAV alone reads it")
    if is_hidden:
        hide_av(monkeypatch)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(file_of("vorbis" if kind == "ogg" else kind))
    n_asked = 0

    def check() -> None:
        nonlocal n_asked
        n_asked += 1
        raise GoneError("time is over")

    with pytest.raises(GoneError, match="time is over"):
        decode(open_path(str(path), lambda: None), check=check)
    assert 1 <= n_asked < 10  # FFmpeg asks again, a few times
