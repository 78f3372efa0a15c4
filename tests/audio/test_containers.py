from __future__ import annotations

from hfasr.audio import containers
from hfasr.audio.containers import Container
from tests.audio.kit import SAFE_CONTENT_TYPES

ALL = [value for value in vars(containers).values() if isinstance(value, Container)]


def test_content_types_are_those_that_servers_compare_with() -> None:
    """Each label is one that both of Hugging Face's server codes take, letter by letter."""
    assert {container.content_type for container in ALL} <= SAFE_CONTENT_TYPES


def test_somebody_can_open_each_kind() -> None:
    """No container is recognised that nobody could decode."""
    assert len(ALL) > 30
    assert all(container.demuxer for container in ALL)


def test_ffmpeg_has_the_demuxers_that_it_is_told_to_use() -> None:
    """The names of demuxers are FFmpeg's own."""
    import pytest

    av = pytest.importorskip("av", reason="needs the extra av")
    names = {name for formats in av.formats_available for name in formats.split(",")}
    assert {container.demuxer for container in ALL} <= names
