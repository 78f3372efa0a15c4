"""The file of lines: seen as a whole only, and private until then."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

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
