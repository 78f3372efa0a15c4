"""Files in a folder, and documents on standard output."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hfasr.cli.console import OutputError
from hfasr.cli.inputs import Found
from hfasr.cli.outputs import Output
from hfasr.types import Segment, Transcript

TIMED = Transcript("hi", segments=(Segment(0.0, 1.0, "hi"),))


def found(name: str, place: str = "x", **more: Any) -> Found:
    return Found(name, name, place, **more)


def test_folder_is_made_and_filled(tmp_path: Path) -> None:
    """The folder is made, with its parents, before the first file is written."""
    folder = tmp_path / "a" / "b"
    output = Output(["srt"], folder, several=True)
    output.prepare()
    assert list(folder.iterdir()) == []
    output.write(found("y.wav", "y"), TIMED)
    assert [path.name for path in folder.iterdir()] == ["y.srt"]
    assert (folder / "y.srt").read_text(encoding="utf-8") == TIMED.to_srt()


def test_one_input_on_stdout_is_the_bare_document(capsys: pytest.CaptureFixture[str]) -> None:
    """One input gives nothing but its document."""
    Output(["vtt"], None, several=False).write(found("x.wav"), TIMED)
    assert capsys.readouterr().out == TIMED.to_vtt()


def test_several_inputs_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Several texts are told apart by a line with the input's name."""
    output = Output(["txt"], None, several=True)
    output.write(found("x.wav"), TIMED)
    output.write(found("y.wav"), Transcript(""))
    assert capsys.readouterr().out == "==> x.wav <==\nhi\n==> y.wav <==\n"


def test_header_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with line breaks and escapes cannot forge a header or steer the terminal."""
    Output(["txt"], None, several=True).write(found("a\n==> b\x1b[2J\x07.wav"), TIMED)
    assert capsys.readouterr().out == "==> a ==> b [2J .wav <==\nhi\n"


@pytest.mark.parametrize(("terminal", "shown"), [(True, "a\tb]0;x[31mc"), (False, "a\tb\x1b]0;x\x07\x9b[31mc\x7f")])
def test_terminals_are_not_steered(
    terminal: bool, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server says reaches a terminal without control characters, and a file as it is."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    Output(["txt"], None, several=False).write(found("x.wav"), Transcript("a\tb\x1b]0;x\x07\x9b[31mc\x7f"))
    assert capsys.readouterr().out == shown + "\n"


def test_several_json_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Several JSON documents are one object a line, each with its input."""
    output = Output(["json"], None, several=True)
    output.write(found("x.wav"), TIMED)
    output.write(found("y.wav"), Transcript("ho"))
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["input"], record["text"]) for record in records] == [("x.wav", "hi"), ("y.wav", "ho")]


def test_no_times_names_what_to_do_here() -> None:
    """Where times were asked for and did not come, the message names options of the command."""
    with pytest.raises(ValueError, match="--format txt"):
        Output(["srt"], None, several=False).write(found("x.wav"), Transcript("hi"))
