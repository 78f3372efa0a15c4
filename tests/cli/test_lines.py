"""The file of lines: seen as a whole only, and private until then."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from hfasr.cli.console import OutputError
from hfasr.cli.lines import Lines


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_draft_is_private(tmp_path: Path) -> None:
    """What is not finished is for its owner alone; what is has the permissions of any new file, old draft or not."""
    (ordinary := tmp_path / "ordinary").touch()
    path, draft = tmp_path / "lines.jsonl", tmp_path / ".lines.jsonl.tmp"
    draft.write_text("of a run that was killed")
    draft.chmod(0o600)
    lines = Lines(path)
    lines.write("one\n")
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert not path.exists()
    lines.finish()
    lines.discard()
    assert path.read_text(encoding="utf-8") == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert not draft.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("size", [10, 100_000], ids=["at the end", "at once"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    """What cannot be written is told with the file's name and the way on, and no draft stays behind."""
    lines = Lines(tmp_path / "lines.jsonl")
    lines._file.close()
    lines._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  # closed by what is tested

    def write() -> None:
        lines.write("x" * size)
        lines.finish()

    with pytest.raises(OutputError, match=r"cannot write .*lines\.jsonl: .*; mend that, and add --resume"):
        write()
    lines.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_told(tmp_path: Path) -> None:
    """Where something else took the file's place meanwhile, the error says so, and no draft stays behind."""
    path = tmp_path / "lines.jsonl"
    lines = Lines(path)
    lines.write("one\n")
    (path / "within").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*lines\.jsonl"):
        lines.finish()
    lines.discard()
    assert list(tmp_path.iterdir()) == [path]
