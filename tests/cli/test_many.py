"""Batches of the command, against a server."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner

import hfasr as hfasr_package
from hfasr.cli.app import app
from hfasr.testing import FakeASRServer, ToneSpeech, replies

COLOURS = ["red", "green", "blue"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of three clips in a tree, each of which says another word."""
    for number, colour in enumerate(COLOURS):
        write_clip(tmp_path / "in" / f"day{number}" / "x.flac", colour)
    return tmp_path / "in"


def write_clip(path: Path, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # soundfile itself takes no name that is not UTF-8
        soundfile.write(file, ToneSpeech().say(words), 16_000, format="FLAC")


@pytest.fixture
def hfasr(asr_server: FakeASRServer) -> Callable[..., Any]:
    def invoke(*arguments: str | Path, **more: Any) -> Any:
        to = ["--base-url", asr_server.url, "--dialect", "hf"]
        return CliRunner().invoke(app, ["transcribe", *to, *map(str, arguments)], **more)

    return invoke


def texts(folder: Path) -> dict[str, str]:
    found = sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8").strip()
        for path in found
        if path.is_file() and not path.name.startswith(".")
    }


MIRRORED = {f"day{number}/x.flac.txt": colour for number, colour in enumerate(COLOURS)}


def test_folder(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """A folder's tree is mirrored, one text for each clip, with nothing on the streams."""
    result = hfasr(folder, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert texts(tmp_path / "out") == MIRRORED


def test_folder_on_stdout(folder: Path, hfasr: Callable[..., Any]) -> None:
    """Without --output-dir the texts come in the order of the files, told apart by their names."""
    result = hfasr(folder, "--jobs", "3")
    assert result.exit_code == 0
    headers = [f"==> {folder / f'day{number}' / 'x.flac'} <==" for number in range(3)]
    expected = [line for pair in zip(headers, COLOURS, strict=True) for line in pair]
    assert result.stdout.splitlines() == expected


def test_lines_on_stdout(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """jsonl has a line for each line of a manifest, good or bad, with the manifest's other keys."""
    manifest = tmp_path / "m.jsonl"
    lines = [{"audio_filepath": f"in/day{number}/x.flac", "text": "ref", "id": number} for number in range(3)]
    manifest.write_text("\n".join([*map(json.dumps, lines), "no json", '{"audio": "absent.wav", "id": 9}']))
    result = hfasr(manifest, "-f", "jsonl")
    assert result.exit_code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    good = [record for record in records if record["error"] is None]
    assert [(one["id"], one["text"], one["manifest_text"]) for one in good] == [
        (number, colour, "ref") for number, colour in enumerate(COLOURS)
    ]
    bad = {record["audio"]: (record["error"], record.get("id")) for record in records if record["error"] is not None}
    assert bad == {
        f"{manifest}:4": ("AudioError", None),
        str(tmp_path / "absent.wav"): ("AudioNotFoundError", 9),
    }
    assert result.stderr.splitlines()[-1].startswith("hfasr: 2 of 5 files failed: ")


def test_one_input_as_a_line(folder: Path, hfasr: Callable[..., Any]) -> None:
    """One file by itself is one line, and so is its failure."""
    good = json.loads(hfasr(folder / "day0" / "x.flac", "-f", "jsonl").stdout)
    assert (good["text"], good["error"]) == ("red", None)
    result = hfasr(folder / "absent.flac", "-f", "jsonl")
    assert (result.exit_code, json.loads(result.stdout)["error"]) == (1, "AudioNotFoundError")


def test_mixed_inputs(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """Files, folders, patterns, a manifest and standard input go together, each with its place."""
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio": str(folder / "day0" / "x.flac")}))
    write_clip(tmp_path / "loose.wav", "boat")
    result = hfasr(
        *(tmp_path / "loose.wav", folder, "-", f"{folder}/**/x.fl*", tmp_path / "m.jsonl", "-o", tmp_path / "out"),
        input=(folder / "day2" / "x.flac").read_bytes(),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    made = texts(tmp_path / "out")
    assert (made["loose.txt"], made["stdin.txt"]) == ("boat", "blue")
    assert {name: text for name, text in made.items() if name.startswith("in/")} == {
        f"in/{name}": text for name, text in MIRRORED.items()
    }
    assert {name.removeprefix("in-2/"): text for name, text in made.items() if name.startswith("in-2/")} == MIRRORED
    (outside,) = (name for name in made if name.startswith("m/"))
    assert made[outside] == "red"


def test_journal_that_is_there_needs_resume(
    folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """A second run says what to add, and does nothing; with --resume it sends nothing and leaves files alone."""
    out = tmp_path / "out"
    assert hfasr(folder, "-o", out).exit_code == 0
    again = hfasr(folder, "-o", out)
    assert (again.exit_code, len(again.stderr.splitlines())) == (2, 1)
    assert "add --resume to go on with it, or delete it" in again.stderr
    path = out / "day0" / "x.flac.txt"
    path.write_text("corrected by hand\n")
    resumed = hfasr(folder, "-o", out, "--resume")
    assert (resumed.exit_code, resumed.stderr) == (0, "")
    assert len(asr_server.requests) == 3
    assert path.read_text() == "corrected by hand\n"


@pytest.mark.parametrize("lose", ["remove", "empty", "older"])
def test_lost_files_are_written_again(
    lose: str, folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """A file that is gone, empty or older than its audio is written from the journal, without a request."""
    out = tmp_path / "out"
    hfasr(folder, "-o", out)
    path = out / "day1" / "x.flac.txt"
    if lose == "remove":
        path.unlink()
    elif lose == "empty":
        path.write_text("")
    else:
        path.write_text("older")
        os.utime(path, (0, 0))
    assert hfasr(folder, "-o", out, "--resume").exit_code == 0
    assert texts(out) == MIRRORED
    assert len(asr_server.requests) == 3


def test_resume_guesses_nothing(
    folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """Files of another tree, or of another model, are not taken for what is done now, however new they are."""
    out = tmp_path / "out"
    hfasr(folder, "-o", out)
    write_clip(tmp_path / "other" / "day0" / "x.flac", "boat")
    os.utime(tmp_path / "other" / "day0" / "x.flac", (0, 0))
    assert hfasr(tmp_path / "other", "-o", out, "--resume").exit_code == 0
    assert texts(out) == {**MIRRORED, "day0/x.flac.txt": "boat"}
    assert len(asr_server.requests) == 4
    assert hfasr(folder, "-o", out, "--resume", "--language", "en").exit_code == 0
    assert len(asr_server.requests) == 7


def test_changed_audio_is_sent_again(
    folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """Audio that changed since is sent, and its file written anew."""
    out = tmp_path / "out"
    hfasr(folder, "-o", out)
    write_clip(folder / "day1" / "x.flac", "green boat")
    assert hfasr(folder, "-o", out, "--resume").exit_code == 0
    assert texts(out) == {**MIRRORED, "day1/x.flac.txt": "green boat"}
    assert len(asr_server.requests) == 4


@pytest.mark.parametrize(("option", "n_sent"), [([], 1), (["--retry-failed"], 2), (["--no-retry-failed"], 0)])
def test_failed_ones(
    option: list[str],
    n_sent: int,
    folder: Path,
    tmp_path: Path,
    hfasr: Callable[..., Any],
    asr_server: FakeASRServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resume tries again what may work, all that failed, or nothing, and tells of what still fails."""
    impatient = functools.partial(hfasr_package.ASRClient, retry=hfasr_package.RetryPolicy(max_attempts=1))
    monkeypatch.setitem(vars(hfasr_package), "ASRClient", impatient)
    asr_server.script(replies.Reply(422, json={"error": "odd"}), replies.server_error())
    first = hfasr(folder, "-o", tmp_path / "out", "-j", "1")
    assert first.exit_code == 1
    assert "2 of 3 files failed" in first.stderr
    n_before = len(asr_server.requests)
    second = hfasr(folder, "-o", tmp_path / "out", "--resume", *option)
    assert len(asr_server.requests) - n_before == n_sent
    n_left = 2 - n_sent
    assert second.exit_code == (1 if n_left else 0)
    assert (f"{n_left} of 3 files failed" in second.stderr) is bool(n_left)


def test_summary(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """Each failure is told when it happens, and all of them by kind at the end."""
    (folder / "bad.wav").write_text("no audio")
    (folder / "day0" / "y.flac").write_bytes(b"")
    result = hfasr(folder, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == ""
    *told, last = result.stderr.splitlines()
    assert len(told) == 2
    assert last.startswith("hfasr: 2 of 5 files failed: ")
    assert f"1 UnsupportedAudioError ({folder / 'bad.wav'}: " in last
    assert f"1 EmptyAudioError ({folder / 'day0' / 'y.flac'}: " in last
    assert last.endswith("; run again with --resume to try those that may work")
    assert texts(tmp_path / "out") == MIRRORED


def test_json_errors(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """As JSON, standard error holds an object a line and nothing else."""
    (folder / "bad.wav").write_text("no audio")
    result = hfasr(folder, "-o", tmp_path / "out", "--json-errors", "--progress")
    (record,) = map(json.loads, result.stderr.splitlines())
    assert (record["input"], record["error"]) == (str(folder / "bad.wav"), "UnsupportedAudioError")


@pytest.mark.parametrize("reply", [replies.unauthorized(), replies.payment_required(), replies.forbidden()])
def test_what_fails_for_all_stops_the_batch(
    reply: replies.Reply, folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """A refusal that concerns every file is told once, with what is done; the rest is done on --resume."""
    asr_server.script(replies.Normal(), reply)
    out = tmp_path / "out"
    result = hfasr(folder, "-o", out, "-j", "1")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("hfasr: stopped, since every further file would fail alike: ")
    assert line.endswith(
        f"; 1 file is done, and kept in {out / '.hfasr-journal.jsonl'}; run again with --resume to go on"
    )
    assert hfasr(folder, "-o", out, "--resume").exit_code == 0
    assert texts(out) == MIRRORED
    assert len(asr_server.requests) == 4


def test_stop_as_json(folder: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer) -> None:
    """A batch that had to stop is one record, of the library's own kind."""
    asr_server.script(replies.payment_required())
    result = hfasr(folder, "-j", "1", "--json-errors")
    (record,) = map(json.loads, result.stderr.splitlines())
    assert (result.exit_code, record["input"], record["error"]) == (1, None, "BatchAbortedError")
    assert [attempt["status"] for attempt in record["attempts"]] == [402]


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_pipe_in_a_folder_blocks_nothing(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """A pipe that lies among the files fails alone, since nobody may ever write to it."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such thing")
    os.mkfifo(folder / "a.wav")
    result = hfasr(folder, "-o", tmp_path / "out")
    assert (result.exit_code, texts(tmp_path / "out")) == (1, MIRRORED)
    assert "is a pipe or a device" in result.stderr


def test_no_such_engine_is_usage(folder: Path, hfasr: Callable[..., Any]) -> None:
    """An engine that does not exist is told once, with status 2."""
    result = hfasr(folder, "--backend", "nosuch")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "nosuch" in result.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("my diary"), "is no journal of hfasr"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_journal_that_cannot_be_used(
    make: Callable[[Path], object], words: str, folder: Path, tmp_path: Path, hfasr: Callable[..., Any]
) -> None:
    """A file that is no journal is left as it is, and told with status 2 in the command's words."""
    make(tmp_path / "j")
    result = hfasr(folder, "--journal", tmp_path / "j", "--resume")
    assert result.exit_code == 2
    assert words in result.stderr or "is a directory" in result.stderr
    assert "journal=" not in result.stderr


def test_journal_in_a_folder_that_is_not_there(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """A journal that cannot be made is told before anything is sent, with status 2."""
    result = hfasr(folder, "--journal", tmp_path / "absent" / "j")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "its folder does not exist; make that first" in result.stderr


def test_cache(folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer) -> None:
    """What the cache has by its content is not sent again, whatever it is called now."""
    assert hfasr(folder, "--cache", tmp_path / "cache").exit_code == 0
    folder.rename(tmp_path / "moved")
    result = hfasr(tmp_path / "moved" / "day0" / "x.flac", "--cache", tmp_path / "cache")
    assert (result.exit_code, result.stdout) == (0, "red\n")
    assert len(asr_server.requests) == 3


def test_cache_that_is_another_database(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """A database that is no cache is told once, with status 2."""
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("create table mine (x)")
    database.close()
    result = hfasr(folder, "--cache", tmp_path / "db")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "no cache of transcripts" in result.stderr


def test_formats(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """Several formats are several files for each clip, and one of lines for all."""
    out = tmp_path / "out"
    every = [part for name in ("txt", "srt", "vtt", "tsv", "json", "jsonl") for part in ("-f", name)]
    assert hfasr(folder, "-o", out, *every).exit_code == 0
    made = texts(out)
    assert len(made) == 3 * 5 + 1
    assert json.loads(made["day0/x.flac.json"])["text"] == "red"
    assert made["day0/x.flac.srt"].splitlines()[2] == "red"
    assert [json.loads(line)["text"] for line in made["transcripts.jsonl"].splitlines()] == COLOURS


def test_lines_are_whole_after_a_resume(
    folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """The file of lines holds every input after a resume, those that were done before, too."""
    out = tmp_path / "out"
    asr_server.script(replies.Normal(), replies.forbidden())
    assert hfasr(folder, "-o", out, "-f", "jsonl", "-j", "1").exit_code == 1
    assert texts(out) == {}
    assert hfasr(folder, "-o", out, "-f", "jsonl", "--resume").exit_code == 0
    lines = texts(out)["transcripts.jsonl"].splitlines()
    assert [json.loads(line)["text"] for line in lines] == COLOURS


def test_one_input_twice(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """A file that is named twice has two outputs, and nothing fails."""
    clip = folder / "day0" / "x.flac"
    assert hfasr(clip, clip, "-o", tmp_path / "out").exit_code == 0
    assert texts(tmp_path / "out") == {"x.txt": "red", "x-2.txt": "red"}


def test_output_dir_that_is_a_file(folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: Any) -> None:
    """A file in the place of the folder is a matter of usage, before anything is sent."""
    (tmp_path / "out").touch()
    assert hfasr(folder, "-o", tmp_path / "out").exit_code == 2
    assert asr_server.requests == []


def test_output_that_is_taken_by_a_folder(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """One file that cannot be written fails alone, its text stays in the journal, and a resume writes it."""
    out = tmp_path / "out"
    (out / "day1" / "x.flac.txt").mkdir(parents=True)
    result = hfasr(folder, "-o", out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "its text is in the journal: mend that, and add --resume" in result.stderr
    (out / "day1" / "x.flac.txt").rmdir()
    assert hfasr(folder, "-o", out, "--resume").exit_code == 0
    assert texts(out) == MIRRORED


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write anything")
def test_closed_files_and_folders(
    folder: Path, tmp_path: Path, hfasr: Callable[..., Any], asr_server: FakeASRServer
) -> None:
    """A file that may not be read fails alone; a folder that may not be written is told before anything is sent."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o500)
    result = hfasr(folder, "-o", tmp_path / "out")
    assert (result.exit_code, asr_server.requests) == (2, [])
    assert "Permission denied; choose another --output-dir" in result.stderr
    (tmp_path / "out").chmod(0o700)
    (folder / "day0" / "x.flac").chmod(0)
    result = hfasr(folder, "-o", tmp_path / "out")
    assert (result.exit_code, len(texts(tmp_path / "out"))) == (1, 2)
    assert "1 AudioNotFoundError" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="names that Windows does not take")
def test_odd_names(tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """Odd names get their texts like others, and none can forge a line of what is told."""
    names = ["a\nhfasr: b.flac", os.fsdecode(b"caf\xe9.flac"), "x" * 250 + ".flac", "🎙.flac", "-rf.flac", "a\\b.flac"]
    try:
        for number, name in enumerate(names):
            write_clip(tmp_path / "in" / name, COLOURS[number % 3])
    except OSError:
        pytest.skip("this file system takes fewer names")
    (tmp_path / "in" / "bad\nhfasr: forged.wav").write_text("no audio")
    result = hfasr(tmp_path / "in", "-o", tmp_path / "out")
    assert len(texts(tmp_path / "out")) == len(names)
    assert [line for line in result.stderr.splitlines() if line.startswith("hfasr: forged")] == []
    assert result.exit_code == 1


def test_local_engine(folder: Path, tmp_path: Path, hfasr: Callable[..., Any]) -> None:
    """An engine on this machine goes through the same batch, journal and all."""
    speech = Path(__file__).parents[2] / "examples" / "audio"
    out = tmp_path / "out"
    assert hfasr(speech, "-o", out, "--backend", "pocketsphinx").exit_code == 0
    assert texts(out)["weather.flac.txt"] == "the weather will be fine in the morning"
    assert hfasr(speech, "-o", out, "--backend", "pocketsphinx", "--resume").exit_code == 0
