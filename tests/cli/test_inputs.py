"""What folders, patterns and manifests stand for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import hfasr.audio.containers as kinds
from hfasr.cli.inputs import Found, are_several, find
from hfasr.cli.walking import AUDIO_SUFFIXES, Failed

posix = pytest.mark.skipif(os.name != "posix", reason="names that Windows does not take")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test stands in an empty folder, so that its names are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*inputs: str) -> list[Found]:
    every = list(find(inputs))
    assert [one for one in every if isinstance(one, Failed)] == []
    return [one for one in every if isinstance(one, Found)]


def places(*inputs: str) -> list[str]:
    return [one.place for one in found(*inputs)]


def failures(*inputs: str) -> list[str]:
    return [f"{one.name}: {one.error}" for one in find(inputs) if isinstance(one, Failed)]


def write_manifest(name: str, lines: Iterable[Any]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def test_every_kind_that_the_library_knows_is_found() -> None:
    """Each container's usual suffix is one that a folder is searched for, but for that of TypeScript."""
    known = {getattr(kinds, name).suffix for name in kinds.__all__ if name != "Container"}
    assert known - AUDIO_SUFFIXES == {".ts"}


def test_folder() -> None:
    """A folder gives its audio, sorted, in the order of its tree; hidden and other files are left out."""
    touch(
        "in/b.WAV", "in/a/z.mp3", "in/a/y.Flac", "in/c.txt", "in/.h.wav", "in/.git/x.wav", "in/a/_/x.opus", "in/ts.ts"
    )
    assert places("in") == ["a/_/x.opus", "a/y.Flac", "a/z.mp3", "b.WAV"]
    assert found("in")[0].name == str(Path("in/a/_/x.opus"))


def test_this_folder() -> None:
    """The folder one stands in is one like others, and a leading dash is part of a name."""
    touch("-x.wav")
    (one,) = found(".")
    assert (one.place, os.fspath(one.audio)) == ("-x.wav", "-x.wav")


def test_named_files_are_taken_whatever_they_are_called() -> None:
    """A file that is named by itself needs no suffix, and may look like a pattern."""
    touch("notes", ".h.dat", "a[1].wav", "*.mp3")
    assert places("notes", ".h.dat", "a[1].wav", "absent.wav") == ["notes", "h", "a[1]", "absent"]
    if os.name == "posix":
        assert places("*.mp3") == ["_"]


def test_folder_with_no_audio() -> None:
    """A folder in which there is nothing is told with what to do."""
    touch("in/readme.txt")
    (line,) = failures("in")
    assert line.startswith("in: no name in it ends like audio's (.wav")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/*.wav", ["a.wav", "b.wav"]),
        ("in/**/*.wav", ["a.wav", "b.wav", "d/c.wav", "d/e/f.wav"]),
        ("in/**", ["a.wav", "b.mp3", "b.wav", "d/c.wav", "d/e/f.wav"]),
        ("in/*", ["a.wav", "b.mp3", "b.wav"]),
        ("in/*/?.wav", ["d/c.wav"]),
        ("in/[!a].*", ["b.mp3", "b.wav"]),
        ("**/f.wav", ["in/d/e/f.wav"]),
        ("in/d/**/**/f.wav", ["e/f.wav"]),
        ("in/*.txt", ["n.txt"]),
        ("in/.*.wav", [".h.wav"]),
        ("in/.?/*.wav", [".x/g.wav"]),
    ],
)
def test_pattern(pattern: str, expected: list[str]) -> None:
    """A pattern that no shell has expanded gives what a shell would, sorted, below the folder that it begins with."""
    touch("in/a.wav", "in/b.wav", "in/b.mp3", "in/n.txt", "in/d/c.wav", "in/d/e/f.wav", "in/.h.wav", "in/.x/g.wav")
    assert places(pattern) == expected


def test_pattern_of_nothing() -> None:
    """A pattern that nothing matches is told."""
    assert failures("*.wav")[0].startswith("*.wav: no file matches")
    assert failures("absent/*.wav")[0].startswith("absent: the folder cannot be read: No such file")


def test_places_of_several_inputs() -> None:
    """Several trees lie below the names of their folders; two folders of one name get one each."""
    touch("x/day/a.wav", "y/Day/a.wav", "z/a.wav")
    write_manifest("m.jsonl", [{"audio": "z/a.wav"}])
    assert places("x/day", "y/Day", "m.jsonl", "z/*.wav", "z/a.wav", "x/day/a.wav") == [
        "day/a.wav",
        "Day-2/a.wav",
        "m/z/a.wav",
        "z/a.wav",
        "a",
        "a-2",
    ]


def test_whose_place_is_sure() -> None:
    """A place that depends on which other inputs there are is known to."""
    touch("x/a.wav", "y/a.wav", "y/b.wav")
    assert [one.is_own_place for one in found("x/a.wav", "y/A.wav", "y/b.wav", "y")] == [False, False, True, True, True]


def test_suffixes_are_kept() -> None:
    """Recordings that differ in their suffix alone have a place each."""
    touch("in/a.wav", "in/a.mp3")
    assert places("in") == ["a.mp3", "a.wav"]


def test_folders_are_read_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file is there before the second folder is looked at."""
    touch("in/a/1.wav", "in/b/1.wav")
    listed = []
    scandir = os.scandir

    def note(path: Any) -> Any:
        listed.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    next(find(["in"]))
    assert listed == ["in", "a"]


@posix
def test_links() -> None:
    """Links to files and folders are followed, but never in a circle."""
    touch("in/a/1.wav", "other/2.wav")
    Path("in/a/up").symlink_to(Path("in").resolve())
    Path("in/a/self").symlink_to(".")
    Path("in/b").symlink_to(Path("other").resolve())
    Path("in/c.wav").symlink_to(Path("in/a/1.wav").resolve())
    Path("other/back").symlink_to(Path("in").resolve())
    assert places("in") == ["a/1.wav", "b/2.wav", "c.wav"]
    assert places("in/**/*.wav") == ["a/1.wav", "b/2.wav", "c.wav"]


@posix
def test_link_to_nowhere_is_an_input() -> None:
    """A link whose file is gone is given on, so that it is told as missing."""
    Path("in").mkdir()
    Path("in/gone.wav").symlink_to("nowhere.wav")
    assert places("in") == ["gone.wav"]


@posix
def test_odd_names() -> None:
    """Names with line breaks, undecodable bytes, 255 bytes or emoji are found, each with a place of its own."""
    names = ["a\nb.wav", os.fsdecode(b"caf\xe9.wav"), "x" * 251 + ".wav", "🎙.wav", "-rf.wav", "a_b.wav"]
    try:
        touch(*(f"in/{name}" for name in names))
    except OSError:
        pytest.skip("this file system takes fewer names")
    assert {Path(one.audio).name for one in found("in")} == set(names)
    assert len({one.place for one in found("in")}) == len(names)


def test_very_deep_folders() -> None:
    """Folders nested deeper than Python calls are walked to the end that the system can reach."""
    depth = 300
    path = "in" + "/d" * depth
    touch(f"{path}/x.wav")
    code = "import sys; from hfasr.cli.inputs import find; sys.setrecursionlimit(200); print(len(list(find(['in']))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look anywhere")
def test_folder_that_may_not_be_read() -> None:
    """A folder that is closed to us is told, and those beside it are read."""
    touch("in/a/1.wav", "in/b/1.wav")
    Path("in/a").chmod(0)
    try:
        every = list(find(["in"]))
    finally:
        Path("in/a").chmod(0o700)
    closed, one = every
    assert isinstance(closed, Failed)
    assert "Permission denied" in str(closed.error)
    assert isinstance(one, Found)


def test_folder_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is removed while the tree is read is told, and the rest is read."""
    touch("in/a/1.wav", "in/b/1.wav")
    reading = find(["in"])
    next(reading)
    Path("in/b/1.wav").unlink()
    Path("in/b").rmdir()
    (gone,) = reading
    assert isinstance(gone, Failed)
    assert gone.name.endswith("b")


def test_manifest() -> None:
    """A line names its audio from the manifest's folder, and its other keys are kept."""
    write_manifest(
        "lists/m.JSONL",
        [
            {"audio_filepath": "wavs/a.wav", "duration": 1.5, "text": "ref"},
            {"audio": "b.wav", "speaker": "x"},
            {"path": str(Path("c.wav").resolve())},
            {"path": "https://example.org/d.wav?x=1"},
            {"audio": None, "path": "./e.wav"},
        ],
    )
    a, b, c, d, e = found("lists/m.JSONL")
    assert (os.fspath(a.audio), a.place) == (str(Path("lists/wavs/a.wav")), "wavs/a.wav")
    assert a.extra == {"audio_filepath": "wavs/a.wav", "duration": 1.5, "text": "ref"}
    assert (b.place, b.extra) == ("b.wav", {"speaker": "x"})
    assert os.fspath(c.audio) == str(Path("c.wav").resolve())
    assert c.place.startswith("_root/")
    assert c.place.endswith("/c.wav")
    assert d.audio == "https://example.org/d.wav?x=1"
    assert d.place.startswith("d~")
    assert e.place == "e.wav"


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "a/../../x.wav", "..", ".", "/", "_root/x.wav", "a/..//../../..", "C:\\x.wav"],
)
def test_hostile_manifest(path: str) -> None:
    """Whatever a line says, its place lies below the output folder, and is not that of an honest line."""
    write_manifest("lists/m.jsonl", [{"audio": path}])
    (place,) = places("lists/m.jsonl")
    assert not {"", ".", ".."} & set(place.split("/"))
    assert "\\" not in place
    assert ":" not in place
    out = Path("out").resolve()
    assert (out / f"{place}.txt").resolve().is_relative_to(out)


def test_places_in_a_manifest_differ() -> None:
    """Files inside and outside of the manifest's folder never meet, however they are called."""
    outside = Path("x.wav").resolve()
    inside = "/".join(["_root", *outside.parts[1:]])
    paths = [str(outside), inside, "../x.wav", "https://h/x.wav", "https://h/x.wav?y", "x.wav", "sub/../x.wav"]
    write_manifest("lists/m.jsonl", [{"audio": path} for path in paths])
    made = places("lists/m.jsonl")
    assert made[0] == made[2]  # one file by two names
    assert made[5] == made[6]
    assert len(set(made)) == 5


def test_bad_lines() -> None:
    """A bad line is told with its number, and those around it are read."""
    good = b'{"audio": "a.wav"}\n'
    bad = [
        *(b"no json\n", b"[1]\n", b'"a.wav"\n', b"{}\n", b'{"audio": 7}\n', b'{"audio": ""}\n', b"\xff\xfe\n"),
        *(b'{"audio": "a.wav", "offset": 1.5}\n', b'{"audio": "a.wav", "x": 1e999}\n', b"[" * 100_000 + b"\n"),
        b'{"audio": "a.wav"',
    ]
    Path("m.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\n  \n" + b"".join(good + line for line in bad))
    assert len([one for one in find(["m.jsonl"]) if isinstance(one, Found)]) == len(bad) + 1
    told = failures("m.jsonl")
    assert [line.split(": ")[0] for line in told] == [f"m.jsonl:{5 + 2 * i}" for i in range(len(bad))]
    assert all("; " in line for line in told)


def test_empty_manifest() -> None:
    """A manifest without a line is told."""
    touch("m.jsonl")
    assert failures("m.jsonl") == ["m.jsonl: the manifest is empty; write one JSON object a line"]


def test_manifest_is_read_lazily() -> None:
    """The first line is given before the last one is read."""
    write_manifest("m.jsonl", ({"audio": f"{i}.wav"} for i in range(20_000)))
    with Path("m.jsonl").open("a") as file:
        reading = find(["m.jsonl"])
        next(reading)
        file.write("no json\n")
    assert isinstance(list(reading)[-1], Failed)


@pytest.mark.parametrize(
    ("inputs", "several"),
    [
        (["a.wav"], False),
        (["-"], False),
        (["https://h/*.wav?x"], False),
        (["a\0.wav"], False),
        (["a.jsonl"], False),
        (["a.wav", "a.wav"], True),
        (["."], True),
        (["*.wav"], True),
    ],
)
def test_what_counts_as_several(inputs: list[str], several: bool) -> None:
    """One file, URL or pipe is one input; a folder or pattern may hold many, also where it holds one."""
    assert are_several(inputs) is several
