"""Names of output files, and documents on standard output."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.cli.outputs import MAX_STEM_BYTES, Output, file_names
from hfasr.types import Segment, Transcript

TIMED = Transcript("hi", segments=(Segment(0.0, 1.0, "hi"),))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/b/talk.mp3", "talk.txt"),
        ("talk.en.mp3", "talk.en.txt"),
        ("talk", "talk.txt"),
        (".flac", "flac.txt"),
        ("-", "stdin.txt"),
        ("https://example.org/a/talk.mp3?token=x#t=1", "talk.txt"),
        ("https://example.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd.txt"),
        ("https://example.org/a%5c..%5cb.mp3", "a_.._b.txt"),
        ("https://example.org/", "audio.txt"),
        ("https://example.org/..", "audio.txt"),
        ("hf://datasets/me/talks/one.flac", "one.txt"),
        ("https://example.org/CON.mp3", "CON_.txt"),
        ("https://example.org/aux", "aux_.txt"),
        ("https://example.org/com1.x.mp3", "com1_.x.txt"),
        ("https://example.org/LPT¹.mp3", "LPT¹_.txt"),
        ("https://example.org/console.mp3", "console.txt"),
        ("https://example.org/a:b.mp3", "a_b.txt"),
        ("https://example.org/what%3f%00.mp3", "what__.txt"),
        ("https://example.org/dots...mp3", "dots.txt"),
        ("https://example.org/space%20.mp3", "space.txt"),
        ("caf\udce9.mp3", "caf_.txt"),
        ("https://example.org/e\u0301t\u00e9.mp3", "été.txt"),
    ],
)
def test_name(source: str, name: str) -> None:
    """An output is called after its input, by a name that Windows, macOS and Linux take."""
    assert file_names([source], "txt") == [name]


def test_names_never_clash() -> None:
    """Inputs of one name, in any case or composition, get files of their own, the same ones every time."""
    sources = ["a/x.mp3", "b/x.mp3", "c/X.flac", "x-2.mp3", "e\u0301.mp3", "é.mp3"]
    assert file_names(sources, "srt") == ["x.srt", "x-2.srt", "X-3.srt", "x-2-2.srt", "é.srt", "é-2.srt"]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), max_size=8))
def test_any_url(paths: list[str]) -> None:
    """Whatever a URL says, its name is one component, not too long, and nobody else's."""
    names = file_names([f"https://example.org/{path}" for path in paths], "json")
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in names}) == len(paths)
    for name in names:
        stem = name.removesuffix(".json")
        assert stem
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert stem == stem.strip(". ")
        assert len(stem.encode()) <= MAX_STEM_BYTES + len("-8")


def test_folder_is_made_and_filled(tmp_path: Path) -> None:
    """The folder is made, with its parents, before the first file is written."""
    folder = tmp_path / "a" / "b"
    output = Output("srt", folder, ["x.wav", "y.wav"])
    output.prepare()
    assert list(folder.iterdir()) == []
    output.write(1, "y.wav", TIMED)
    assert [path.name for path in folder.iterdir()] == ["y.srt"]
    assert (folder / "y.srt").read_text(encoding="utf-8") == TIMED.to_srt()


def test_one_input_on_stdout_is_the_bare_document(capsys: pytest.CaptureFixture[str]) -> None:
    """One input gives nothing but its document."""
    Output("vtt", None, ["x.wav"]).write(0, "x.wav", TIMED)
    assert capsys.readouterr().out == TIMED.to_vtt()


def test_several_inputs_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Several texts are told apart by a line with the input's name."""
    output = Output("txt", None, ["x.wav", "y.wav"])
    output.write(0, "x.wav", TIMED)
    output.write(1, "y.wav", Transcript(""))
    assert capsys.readouterr().out == "==> x.wav <==\nhi\n==> y.wav <==\n"


def test_header_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with line breaks and escapes cannot forge a header or steer the terminal."""
    Output("txt", None, ["x.wav", "y.wav"]).write(0, "a\n==> b\x1b[2J\x07.wav", TIMED)
    assert capsys.readouterr().out == "==> a ==> b [2J .wav <==\nhi\n"


@pytest.mark.parametrize(("terminal", "shown"), [(True, "a\tb]0;x[31mc"), (False, "a\tb\x1b]0;x\x07\x9b[31mc\x7f")])
def test_terminals_are_not_steered(
    terminal: bool, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server says reaches a terminal without control characters, and a file as it is."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    Output("txt", None, ["x.wav"]).write(0, "x.wav", Transcript("a\tb\x1b]0;x\x07\x9b[31mc\x7f"))
    assert capsys.readouterr().out == shown + "\n"


def test_several_json_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Several JSON documents are one object a line, each with its input."""
    output = Output("json", None, ["x.wav", "y.wav"])
    output.write(0, "x.wav", TIMED)
    output.write(1, "y.wav", Transcript("ho"))
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["input"], record["text"]) for record in records] == [("x.wav", "hi"), ("y.wav", "ho")]


def test_no_times_names_what_to_do_here() -> None:
    """Where times were asked for and did not come, the message names options of the command."""
    with pytest.raises(ValueError, match="--format txt"):
        Output("srt", None, ["x.wav"]).write(0, "x.wav", Transcript("hi"))
