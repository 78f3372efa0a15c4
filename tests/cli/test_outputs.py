"""Files in a folder, and documents on standard output."""

from __future__ import annotations

import json
import os
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
    assert capsys.readouterr().out == "==> a ==> b .wav <==\nhi\n"


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


def test_several_formats(tmp_path: Path) -> None:
    """Each format has its file, and jsonl one for all inputs, which is there once it is whole."""
    with Output(["txt", "srt", "jsonl"], tmp_path, several=True) as output:
        output.prepare()
        output.write(found("a/x.wav", "a/x.wav", extra={"speaker": 7, "text": "reference"}), TIMED)
        output.fail("y.wav", {"speaker": 8}, ValueError("no; mend it"))
        assert not (tmp_path / "transcripts.jsonl").exists()
        output.finish()
    assert files(tmp_path) == ["a/x.wav.srt", "a/x.wav.txt", "transcripts.jsonl"]
    good, bad = map(json.loads, (tmp_path / "transcripts.jsonl").read_text(encoding="utf-8").splitlines())
    assert (good["audio"], good["text"], good["error"], good["speaker"]) == ("a/x.wav", "hi", None, 7)
    assert good["manifest_text"] == "reference"
    assert (bad["audio"], bad["text"], bad["error"], bad["message"]) == ("y.wav", None, "ValueError", "no; mend it")
    assert bad["speaker"] == 8


def test_unfinished_lines_leave_nothing(tmp_path: Path) -> None:
    """Lines of a batch that ended early are removed, and those of an earlier one stay."""
    (tmp_path / "transcripts.jsonl").write_text("earlier\n")
    with Output(["jsonl"], tmp_path, several=True) as output:
        output.prepare()
        output.write(found("x.wav"), TIMED)
    assert files(tmp_path) == ["transcripts.jsonl"]
    assert (tmp_path / "transcripts.jsonl").read_text() == "earlier\n"


def test_lines_with_undecodable_names(tmp_path: Path) -> None:
    """A name that is not UTF-8 comes back from the line as Python has it."""
    with Output(["jsonl"], tmp_path, several=True) as output:
        output.prepare()
        output.write(found("caf\udce9 漢.wav"), TIMED)
        output.finish()
    line = (tmp_path / "transcripts.jsonl").read_text(encoding="utf-8")
    assert json.loads(line)["audio"] == "caf\udce9 漢.wav"
    assert "漢" in line


def test_lines_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a folder the lines go to standard output, one by one, failures among them."""
    output = Output(["jsonl"], None, several=True)
    output.write(found("x.wav"), TIMED)
    output.fail("y.wav", {}, ValueError("no"))
    texts = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["hi", None]


@pytest.mark.parametrize(
    ("written", "content", "again", "own", "expected"),
    [
        (+9, "edited\n", True, True, "edited\n"),
        (-9, "old\n", True, True, "hi\n"),
        (+9, "", True, True, "hi\n"),
        (+9, "edited\n", False, True, "hi\n"),
        (+9, "another's\n", True, False, "hi\n"),
        (+9, None, True, True, "hi\n"),
    ],
)
def test_what_stands_is_left(
    written: int, content: str | None, again: bool, own: bool, expected: str, tmp_path: Path
) -> None:
    """A file of an earlier run stays if it is newer than its input, not empty, and surely that input's."""
    audio, path = tmp_path / "x.wav", tmp_path / "x.txt"
    audio.touch()
    if content is not None:
        path.write_text(content)
        os.utime(path, (audio.stat().st_mtime + written,) * 2)
    output = Output(["txt"], tmp_path, several=True)
    output.write(Found("x.wav", audio, "x", is_own_place=own), TIMED, again=again)
    assert path.read_text() == expected


def test_file_system_that_folds_names(tmp_path: Path) -> None:
    """Where two names would be one file, the second is marked, and the same again the next time."""
    output = Output(["txt"], tmp_path, several=True)
    output._taken = {}  # as `prepare` does on such a system
    for place in ("a/X.wav", "a/x.wav", "a/X.wav", "A/x.wav", "e\u0301", "é"):
        output.write(found(place, place), Transcript(place))
    texts = {path.read_text(encoding="utf-8").strip() for path in tmp_path.rglob("*.txt")}
    assert texts == {"a/X.wav", "a/x.wav", "A/x.wav", "e\u0301", "é"}
    assert len({str(path).casefold() for path in tmp_path.rglob("*.txt")}) == 5


@pytest.mark.parametrize(("kept", "printed", "advice"), [(True, "", "--resume"), (False, "hi\n", "--output-dir")])
def test_place_that_is_taken_by_a_folder(
    kept: bool, printed: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be written is told with its remedy; the text is printed unless a journal has it."""
    (tmp_path / "x.txt").mkdir()
    output = Output(["txt"], tmp_path, several=False, kept=kept)
    output.prepare()
    with pytest.raises(OutputError, match=f"cannot write .*x.txt: .*{advice}"):
        output.write(found("x.wav"), TIMED)
    assert capsys.readouterr().out == printed
    assert files(tmp_path) == []


def test_the_rest_is_written_where_times_are_missing(tmp_path: Path) -> None:
    """Of several formats those that need no times are written, and the line names those that do."""
    output = Output(["srt", "txt", "vtt"], tmp_path, several=True)
    with pytest.raises(ValueError, match="srt and vtt"):
        output.write(found("x.wav"), Transcript("hi"))
    assert files(tmp_path) == ["x.txt"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_mode_is_the_umasks(tmp_path: Path) -> None:
    """Files may be read by whom the umask lets."""
    before = os.umask(0o027)
    try:
        with Output(["txt", "jsonl"], tmp_path, several=True) as output:
            output.prepare()
            output.write(found("x.wav"), TIMED)
            output.finish()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
