from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from hfasr.audio import source
from hfasr.audio.source import PathSource
from hfasr.errors import AudioNotFoundError, AudioTooLongError, DeadlineExceededError, EmptyAudioError
from tests.audio.kit import Colour, encode, tone


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("gone.wav", "gone.wav cannot be opened: there is no such file"),
        ("~/gone.wav", "expanduser"),
        ("", "an empty string is no path"),
        ("a\0b.wav", "the path is not valid"),
        ("x" * 5_000, "the path is not valid"),
        ("data:audio/wav;base64,UklGRg==", "decode the base64"),
        ("http:/example.com/a.wav", "there is no such file"),
    ],
)
def test_paths_that_lead_nowhere(reader: Colour, path: str, remedy: str) -> None:
    """A path that cannot be opened is named, with what to do, in one short line."""
    with pytest.raises(AudioNotFoundError, match=remedy) as caught:
        reader.load(path)
    assert isinstance(caught.value, FileNotFoundError)
    assert len(str(caught.value)) < 200


def test_the_message_hides_the_folders(sync: Colour, tmp_path: Path) -> None:
    """A private folder's name stays private."""
    with pytest.raises(AudioNotFoundError) as caught:
        sync.load(tmp_path / "gone.wav")
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_is_named(sync: Colour, tmp_path: Path) -> None:
    """A folder is not audio, but may hold some."""
    with pytest.raises(AudioNotFoundError, match="is a folder; pass the files in it"):
        sync.load(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes in the file system")
def test_pipes_and_devices_are_refused_without_opening(sync: Colour, tmp_path: Path) -> None:
    """A pipe without a writer does not block, an endless device does not fill the memory."""
    pipe = tmp_path / "pipe.wav"
    if sys.platform != "win32":
        os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(AudioNotFoundError, match="is a pipe or a device"):
            sync.load(path)


def test_an_empty_file_is_empty(sync: Colour, tmp_path: Path) -> None:
    """A file without bytes is not missing."""
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(EmptyAudioError, match=r"empty\.wav is empty"):
        sync.load(path)


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="rights do not bind the administrator",
)
def test_a_file_without_rights_is_named(sync: Colour, tmp_path: Path) -> None:
    """A file that may not be read says so."""
    path = tmp_path / "secret.wav"
    path.write_bytes(encode(tone()))
    path.chmod(0)
    with pytest.raises(AudioNotFoundError, match="permission"):
        sync.load(path)


def test_a_file_that_goes_away_is_named(sync: Colour, tmp_path: Path) -> None:
    """A file that is deleted between finding and reading it is not found."""
    path = tmp_path / "short-lived.wav"
    path.write_bytes(encode(tone()))
    source = sync.load(path)
    path.unlink()
    with pytest.raises(AudioNotFoundError, match=r"short-lived\.wav cannot be opened"):
        source.read()


def test_a_small_file_is_read_once(sync: Colour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is what is hashed and sent, whatever becomes of a small file meanwhile."""
    monkeypatch.setattr(source, "_READ_AT_ONCE_BYTES", 10_000_000)
    path = tmp_path / "short-lived.wav"
    whole = encode(tone())
    path.write_bytes(whole)
    found = sync.load(path)
    path.unlink()
    assert found.read() == whole
    assert found.open().read() == whole
    assert found.sha256() == hashlib.sha256(whole).hexdigest()
    assert found.info().duration == pytest.approx(len(tone()) / 16_000)


@pytest.mark.parametrize(
    "audio", ["a.wav", Path("a.wav"), "file:///a.wav", {"path": "a.wav"}, "C:\\a.wav", "s3://bucket/a.wav"]
)
def test_servers_open_no_files(reader: Colour, audio: object) -> None:
    """With allow_paths=False nothing of this machine is opened, by whatever name."""
    with pytest.raises((AudioNotFoundError, ValueError), match="allow_paths=False"):
        reader.load(audio, allow_paths=False, allow_private_urls=True)


def test_large_files_are_not_read_whole(sync: Colour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the cap can be hashed and decoded, but not sent as it is."""
    path = tmp_path / "large.wav"
    path.write_bytes(encode(tone()))
    monkeypatch.setattr("hfasr.audio.source.MAX_INPUT_BYTES", 1_000)
    source = sync.load(path)
    assert source.sha256()
    assert source.info().duration == 0.5
    with pytest.raises(AudioTooLongError, match="at most 1000 are sent as they are"):
        source.read()


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    """A deadline ends the hashing of a large file."""
    path = tmp_path / "large.wav"
    path.write_bytes(encode(tone()))

    def expire() -> None:
        raise DeadlineExceededError("over")

    with pytest.raises(DeadlineExceededError):
        PathSource(path, check=expire).sha256()


def test_long_names_are_cut(sync: Colour, tmp_path: Path) -> None:
    """A message stays short."""
    path = tmp_path / ("a" * 100 + ".wav")
    path.write_bytes(encode(tone()))
    assert len(sync.load(path).name) == 80
