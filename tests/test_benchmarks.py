"""The benchmarks run, keep what they measured, and docs/benchmarks.md shows that."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks import __main__ as command
from benchmarks import measure, table
from benchmarks.measure import Line

TODAY = dt.date(2026, 1, 2)
SETTING = {"processor": "x", "python": "3.12"}


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Line]]:
    """What a benchmark showed in this test alone."""
    del measure.LINES[:]
    yield measure.LINES
    del measure.LINES[:]


def figures(lines: list[Line]) -> dict[str, float | None]:
    """Return the figures by name, and see that each is one of its own, above nothing, with a target that is known."""
    for line in lines:
        if line.figure is not None:
            assert line.figure > 0
            table.reached(line.figure, line.target)
    assert len(set(table._places([line.name for line in lines]))) == len(lines)
    return {line.name: line.figure for line in lines}


def merge(before: dict[str, Any], lines: list[Line], *, complete: bool = True) -> list[dict[str, Any]]:
    return table.merged(before, SETTING, lines, today=TODAY, complete=complete)


# The page


def test_the_page_shows_what_was_kept() -> None:
    """The tables of docs/benchmarks.md are made from benchmarks/results, and from nothing else."""
    assert table.page() == table.PAGE.read_text(encoding="utf-8")


def test_every_part_has_its_place() -> None:
    """Each part stands on the page once, and nothing else does; the engine's figures are in docs/local.md."""
    places = [place[2] for place in table.PLACE.finditer(table.PAGE.read_text(encoding="utf-8"))]
    assert sorted(places) == sorted(command.PARTS.keys() - {"local"})


@pytest.mark.parametrize(
    ("figure", "target", "reached"),
    [
        (1.1, "at most 1.10", True),
        (1.101, "at most 1.10", False),
        (2.5, "at least 2.5", True),
        (2.49, "at least 2.5", False),
        (10, "below 10", False),
        (2.9, "under 3", True),
        (1.09, "about 1.0", True),
        (1.2, "about 1.0", False),
        (0.8, "about 1.0", False),
        (7, "", None),
    ],
)
def test_what_is_reached(figure: float, target: str, reached: bool | None) -> None:
    """A target is what its words say."""
    assert table.reached(figure, target) is reached


def test_a_target_that_nobody_understands_is_an_error() -> None:
    """So that no figure is shown without its verdict."""
    with pytest.raises(ValueError, match="a target is"):
        table.reached(1, "quite 5")


def test_a_table_says_what_was_missed() -> None:
    """A row has target and figure side by side, whether it was reached or not; and why nothing was measured."""
    results = {
        **SETTING, "n_processors": 2, "system": "Linux", "libraries": {"httpx": "1.0"},
        "lines": [
            {"name": "a | b", "figure": 1.1512, "target": "at most 1.15", "date": "2026-01-02"},
            {"name": "  c", "figure": 12_345.0, "target": "at least 20", "date": "2026-01-05"},
            {"name": "d", "figure": 42.5, "target": "", "date": "2026-01-02"},
            {"name": "d", "figure": 42.0, "target": "", "date": "2026-01-02"},
            {"name": "e", "figure": None, "target": "x is not installed"},
        ],
    }  # fmt: skip
    assert table.table(results).splitlines()[2:] == [
        "| a \\| b | at most 1.15 | 1.151 | **no** |",
        "| … c | at least 20 | 12,345 | yes |",
        "| d |  | 42.5 |  |",
        "| d |  | 42 |  |",
        "| e | | not measured: x is not installed | |",
        "",
        "Measured 2026-01-02 to 2026-01-05 on x, 2 processors, Linux; Python 3.12, httpx 1.0.",
    ]


# What is kept


def test_new_figures_take_the_place_of_old_ones() -> None:
    """A whole part is kept as it was measured, with its date; lines that it has no more are gone."""
    before = {**SETTING, "lines": [{"name": "a", "figure": 1.0, "target": "", "date": "2025-01-01"}, {"name": "gone"}]}
    kept = merge(before, [Line("a", 1.23456, "at most 2"), Line("b", 0.5, "")])
    assert kept == [
        {"name": "a", "figure": 1.235, "target": "at most 2", "date": "2026-01-02"},
        {"name": "b", "figure": 0.5, "target": "", "date": "2026-01-02"},
    ]


@pytest.mark.parametrize("same", [True, False])
def test_what_was_skipped_keeps_its_figure_of_the_same_machine(same: bool) -> None:
    """An earlier figure stands in for a line whose peer is missing, but none of another machine or version."""
    old = {"name": "a", "figure": 1.0, "target": "at most 2", "date": "2025-01-01"}
    before = {**SETTING, "python": "3.12" if same else "3.11", "lines": [old]}
    reason = {"name": "a", "figure": None, "target": "x is not installed"}
    assert merge(before, [Line("a", None, "x is not installed")]) == [old if same else reason]
    assert merge({}, [Line("a", None, "x is not installed")]) == [reason]


def test_a_part_that_ended_early_keeps_the_rest() -> None:
    """What it did not come to stays as it was."""
    old = [{"name": name, "figure": 1.0, "target": "", "date": "2025-01-01"} for name in "ab"]
    kept = merge({**SETTING, "lines": old}, [Line("a", 2.0, "")], complete=False)
    assert [(line["name"], line["figure"]) for line in kept] == [("a", 2.0), ("b", 1.0)]


def test_lines_of_one_name_are_told_apart_by_the_line_above() -> None:
    """An indented line goes with the one above it, and its figure does, too."""
    old = [Line("sync", 1, ""), Line("  cost", 2, ""), Line("async", 3, ""), Line("  cost", 4, "")]
    before = {**SETTING, "lines": merge({}, old)}
    kept = merge(
        before, [Line("sync", 5, ""), Line("  cost", 6, ""), Line("async", None, "x"), Line("  cost", None, "x")]
    )
    assert [line["figure"] for line in kept] == [5, 6, 3, 4]
    kept = merge(before, [Line("sync", 5, "")], complete=False)
    assert [(line["name"], line["figure"]) for line in kept] == [("sync", 5), ("async", 3), ("  cost", 4)]


# The command


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run the command with parts of the test's own, and files under *tmp_path*."""
    page = "# X\n" + "".join(
        f"<!-- {name}: made by python -m benchmarks --save -->\n<!-- end of it -->\n" for name in ("one", "two")
    )
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(table, "FOLDER", tmp_path / "results")

    def run(*arguments: str, **runs: Callable[[], None]) -> int:
        monkeypatch.setattr(command, "PARTS", {name: command.Part((), usual=name != "long") for name in runs})
        for name, work in runs.items():
            module = types.ModuleType(f"benchmarks.{name}")
            vars(module)["run"] = work
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        return command.main()

    return run


def missing() -> None:
    raise ModuleNotFoundError("no", name="librosa")


def test_a_part_that_fails_does_not_end_the_others(
    parts: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures of the others are kept, what failed is shown, and the exit status says so."""

    def fail() -> None:
        measure.show("half", 1, "")
        raise AssertionError("wrong texts")

    assert parts("--save", one=fail, two=lambda: measure.show("a thing", 1.5, "at most 2")) == 1
    assert "wrong texts" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["two.json"]
    assert "| a thing | at most 2 | 1.500 | yes |" in (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "half" not in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_a_missing_peer_is_named(parts: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """A part that needs what is not installed ends, which is no failure."""
    assert parts("--save", one=missing) == 0
    assert "one ends here: librosa is not installed" in capsys.readouterr().out


def test_nothing_is_written_unless_asked(parts: Callable[..., int], tmp_path: Path) -> None:
    """Without --save the figures are printed alone."""
    assert parts(one=lambda: measure.show("a thing", 1, "")) == 0
    assert not (tmp_path / "results").exists()
    assert "Not measured" not in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_long_parts_run_when_they_are_named(parts: Callable[..., int]) -> None:
    """Without a name only the usual ones run."""
    ran: list[str] = []
    runs = {name: (lambda name=name: ran.append(name)) for name in ("one", "long")}
    for arguments in ([], ["long"], ["--all"]):
        parts(*arguments, **runs)
    assert ran == ["one", "long", "one", "long"]


def test_an_unknown_part_is_named(parts: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """The error says which there are."""
    with pytest.raises(SystemExit):
        parts("three", one=missing)
    assert "there is no part three; there are one" in capsys.readouterr().err


def test_what_was_measured_is_kept(parts: Callable[..., int], tmp_path: Path) -> None:
    """A result has its machine and versions, and the figures of this part alone."""
    parts("--save", one=lambda: measure.show("first", 1, ""), two=lambda: measure.show("second", 2, "below 3"))
    results = json.loads((tmp_path / "results" / "two.json").read_text(encoding="utf-8"))
    assert [(line["name"], line["figure"]) for line in results["lines"]] == [("second", 2.0)]
    assert {"processor", "n_processors", "system", "python", "libraries"} < results.keys()


# The parts themselves: every one imports, and its smallest round runs.


@pytest.mark.parametrize("name", command.PARTS)
def test_every_part_can_be_run(name: str) -> None:
    """Each is a module with a function that needs no arguments, but for the one that keeps its figures itself."""
    assert callable(importlib.import_module(f"benchmarks.{name}").run)


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")  # by librosa's audioread
def test_audio(lines: list[Line]) -> None:
    """Each way prepares audio, and what is sent is as small as it is said to be."""
    pytest.importorskip("librosa", reason="the extra bench is not installed")
    audio = importlib.import_module("benchmarks.audio")
    audio.run(seconds=1, rounds=1, sent_s=1)
    shown = figures(lines)
    sent = [figure for name, figure in shown.items() if name.startswith("bytes sent") and figure is not None]
    assert len(sent) >= 4
    assert all(figure <= 1.02 for figure in sent)
    assert len([figure for name, figure in shown.items() if "calls" in name and figure is not None]) == 4


def test_audio_without_peers(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is left out with its reason, and the rest is measured."""
    audio = importlib.import_module("benchmarks.audio")
    monkeypatch.setattr(audio.importlib.util, "find_spec", lambda _name: None)
    audio.run(seconds=1, rounds=1, sent_s=1)
    left_out = {line.target for line in lines if line.figure is None}
    assert {"librosa is not installed", "av is not installed"} <= left_out
    assert any(line.figure is not None for line in lines)


def test_the_stand_in_decodes_as_faster_whisper_does(tmp_path: Path) -> None:
    """It gives what hfasr gives, to the 16 bits that it keeps, but for the edges that resamplers treat in their own way."""
    np = pytest.importorskip("numpy")
    pytest.importorskip("av", reason="the extra av is not installed")
    audio = importlib.import_module("benchmarks.audio")
    path = tmp_path / "clip.mp3"
    path.write_bytes(audio.clip(2, 44_100, 2, "MP3"))
    theirs, ours = audio._by_pyav(str(path)), audio._decode(path).audio.waveform
    assert theirs.dtype == np.float32
    n = min(len(theirs), len(ours)) - 1_000
    assert n > 30_000
    assert np.corrcoef(theirs[1_000:n], ours[1_000:n])[0, 1] > 0.999


def test_imports(lines: list[Line]) -> None:
    """Fresh interpreters import both."""
    importlib.import_module("benchmarks.imports").run(rounds=1)
    assert list(figures(lines)) == ["from hfasr import ASRClient / import httpx"]


def test_size(lines: list[Line], tmp_path: Path) -> None:
    """Files are counted where they are; what pip cannot install is left out with its reason."""
    size = importlib.import_module("benchmarks.size")
    (tmp_path / "x-1.dist-info").mkdir()
    (tmp_path / "x-1.dist-info" / "METADATA").write_bytes(bytes(10))
    (tmp_path / "x.py").write_bytes(bytes(5))
    assert size.measured(tmp_path) == (15, 1)
    size.run({"nobody": str(tmp_path / "nothing")})
    assert [line.figure for line in lines] == [None, None]


def test_journal(lines: list[Line]) -> None:
    """A small journal is opened, searched and written."""
    importlib.import_module("benchmarks.journal").run(1_000)
    assert len(lines) == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is read from Linux and macOS")
def test_batches(lines: list[Line]) -> None:
    """A batch of a few files goes through, both ways and in both colours."""
    importlib.import_module("benchmarks.batches").run(n_files=64, n_many=0)
    assert len(figures(lines)) >= 4


@pytest.mark.slow
def test_limits(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limited server is asked for a moment."""
    limits = importlib.import_module("benchmarks.limits")
    monkeypatch.setattr(limits, "SETTLING_S", 1.0)
    limits.run(seconds=4)
    assert len(lines) == 8


@pytest.mark.slow
def test_long(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour that has a minute only is cut and sent."""
    long = importlib.import_module("benchmarks.long")
    whole = long.repeated
    monkeypatch.setattr(long, "repeated", lambda minute, _times, path: whole(minute, 1, path))
    monkeypatch.setattr(long.long_memory, "HOURS", ())
    long.run()
    assert len(figures(lines)) == 4


def test_hosted(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client sends a request or two."""
    hosted = importlib.import_module("benchmarks.hosted")
    monkeypatch.setattr(hosted, "ratio", lambda ours, theirs, **_: measure.ratio(ours, theirs, rounds=1, calls=2))
    hosted.run()
    assert figures(lines)
