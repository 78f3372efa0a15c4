"""Transcripts as files."""

from __future__ import annotations

import json
import stat
import sys
import time
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr import formats
from hfasr.types import Segment, Transcript, Word

HELLO = Transcript(
    "hello there general",
    segments=(Segment(0.0, 1.25, "hello there"), Segment(3661.0, 3662.5, "general")),
    duration=3663.0,
)
SILENCE = Transcript("", duration=2.0)
NO_TIMES = Transcript("hello")


def spoken(*segments: Segment, duration: float | None = None) -> Transcript:
    return Transcript(" ".join(segment.text for segment in segments), segments=segments, duration=duration)


def times(srt: str) -> list[str]:
    return [line for line in srt.splitlines() if " --> " in line]


def test_srt_literal() -> None:
    """SRT numbers its cues from one, writes commas, and parts cues by one empty line."""
    assert HELLO.to_srt() == (
        "1\n00:00:00,000 --> 00:00:01,250\nhello there\n\n2\n01:01:01,000 --> 01:01:02,500\ngeneral\n"
    )


def test_vtt_literal() -> None:
    """WebVTT begins with its signature and writes points."""
    assert HELLO.to_vtt() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nhello there\n\n01:01:01.000 --> 01:01:02.500\ngeneral\n"
    )


def test_tsv_literal() -> None:
    """The table has whisper's header and whole milliseconds."""
    assert HELLO.to_tsv() == "start\tend\ttext\n0\t1250\thello there\n3661000\t3662500\tgeneral\n"


def test_txt_literal() -> None:
    """Plain text is the text and one newline."""
    assert formats.to_txt(HELLO) == "hello there general\n"


def test_json_round_trip() -> None:
    """JSON holds everything that `from_dict` needs to build the transcript again, readable as it is."""
    said = Transcript("naïve", segments=(Segment(0.0, None, "naïve", (Word(0.0, None, "naïve", 0.5),)),))
    assert Transcript.from_dict(json.loads(said.to_json())) == said
    assert "naïve" in said.to_json()
    assert said.to_json().endswith("}\n")


def test_json_refuses_what_json_cannot_hold() -> None:
    """A number that is not finite is refused: other readers could not read the file."""
    with pytest.raises(ValueError, match="JSON"):
        spoken(Segment(0.0, float("nan"), "x")).to_json()


@pytest.mark.parametrize("name", sorted(formats.TIMED_FORMATS))
def test_text_without_times_names_the_option(name: str) -> None:
    """Where times are needed and there are none, the error names the option that asks for them."""
    with pytest.raises(ValueError, match="return_timestamps=True"):
        formats.FORMATS[name](NO_TIMES)


@pytest.mark.parametrize(
    ("name", "empty"), [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("tsv", "start\tend\ttext\n")]
)
def test_silence_is_a_valid_empty_file(name: str, empty: str) -> None:
    """A transcript of silence is a file without cues, not an error."""
    assert formats.FORMATS[name](SILENCE) == empty


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 59.9996, "00:00:00,000 --> 00:01:00,000"),
        (0.0, 0.9999, "00:00:00,000 --> 00:00:01,000"),
        (0.0, 3599.9999, "00:00:00,000 --> 01:00:00,000"),
        (360_000.0, 360_001.0, "100:00:00,000 --> 100:00:01,000"),
        (2.0, 2.0, "00:00:02,000 --> 00:00:02,001"),
        (2.0, 1.0, "00:00:02,000 --> 00:00:02,001"),
        (-0.5, 1.0, "00:00:00,000 --> 00:00:01,000"),
    ],
)
def test_clock(start: float, end: float, expected: str) -> None:
    """Rounding carries, hours may pass 99, and a cue ends after it starts."""
    assert times(spoken(Segment(start, end, "x")).to_srt()) == [expected]


@pytest.mark.parametrize(("duration", "end"), [(9.0, "00:00:09,000"), (None, "00:00:02,001")])
def test_last_unknown_end(duration: float | None, end: str) -> None:
    """The last end that nobody knows becomes the duration, or the least that is valid."""
    srt = spoken(Segment(0.0, 1.0, "a"), Segment(2.0, None, "b"), duration=duration).to_srt()
    assert times(srt)[-1] == f"00:00:02,000 --> {end}"


def test_unknown_end_in_the_middle() -> None:
    """An unknown end before another segment becomes that segment's start, so that cues do not overlap."""
    srt = spoken(Segment(0.0, None, "a"), Segment(2.0, 3.0, "b"), duration=9.0).to_srt()
    assert times(srt)[0] == "00:00:00,000 --> 00:00:02,000"


def test_unknown_end_in_the_table_is_not_stretched() -> None:
    """The table may hold an empty stretch, so an unknown end stays at the start."""
    assert spoken(Segment(2.0, None, "b")).to_tsv() == "start\tend\ttext\n2000\t2000\tb\n"


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_time_that_is_none(time: float) -> None:
    """A time that is not finite is named, not written."""
    with pytest.raises(ValueError, match=r"time is (nan|inf)"):
        spoken(Segment(time, 1.0, "x")).to_srt()


def test_vtt_escapes() -> None:
    """Markup and the arrow are escaped in WebVTT."""
    assert spoken(Segment(0.0, 1.0, "a & <b> --> c")).to_vtt().splitlines()[3] == "a &amp; &lt;b&gt; --&gt; c"


@pytest.mark.parametrize("arrow", ["-->", "--->", "----->"])
def test_srt_arrow(arrow: str) -> None:
    """No arrow of time is left inside the text of SRT, however long its shaft."""
    assert spoken(Segment(0.0, 1.0, f"a {arrow} b")).to_srt().splitlines()[2] == "a -> b"


def test_blank_lines_do_not_end_a_cue() -> None:
    """Empty lines inside a text are left out, and every line break becomes the same one."""
    said = spoken(Segment(0.0, 1.0, "a\r\n\r\n b\u2028c\x00"), Segment(1.0, 2.0, " \n "))
    assert said.to_srt() == "1\n00:00:00,000 --> 00:00:01,000\na\nb\nc\n"
    assert said.to_tsv() == "start\tend\ttext\n0\t1000\ta b c\n"


def test_cues_are_sorted() -> None:
    """Subtitles come in order of their start, as WebVTT demands."""
    vtt = spoken(Segment(2.0, 3.0, "b"), Segment(0.0, 1.0, "a")).to_vtt()
    assert vtt.index("\na\n") < vtt.index("\nb\n")


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
segment_lists = st.lists(
    st.builds(Segment, st.floats(0, 400_000), st.none() | st.floats(0, 400_000), texts), max_size=6
)


def lines_of(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\0", "").splitlines() if line.strip())


def milliseconds(clock: str) -> int:
    hours, minutes, rest = clock.split(":")
    seconds, thousandths = rest.replace(",", ".").split(".")
    assert len(thousandths) == 3
    assert int(minutes) < 60
    assert int(seconds) < 60
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(thousandths)


def parse(blocks: list[str]) -> list[tuple[int, int, str]]:
    cues = []
    for block in blocks:
        timing, _, text = block.partition("\n")
        start, end = timing.split(" --> ")
        cues.append((milliseconds(start), milliseconds(end), text))
    return cues


def expected_cues(segments: list[Segment]) -> list[tuple[int, str]]:
    cues = [(round(s.start * 1000), lines_of(s.text)) for s in segments if lines_of(s.text)]
    return sorted(cues, key=lambda cue: cue[0])


@given(segment_lists)
def test_vtt_parses_back(segments: list[Segment]) -> None:
    """Whatever was said, a reader of WebVTT finds every cue, its start and its text."""
    document = spoken(*segments).to_vtt()
    blocks = document.rstrip("\n").split("\n\n")
    cues = parse(blocks[1:])
    assert blocks[0] == "WEBVTT"
    assert [(start, unescape(text)) for start, _, text in cues] == expected_cues(segments)
    assert all(end > start for start, end, _ in cues)


@given(segment_lists)
def test_srt_parses_back(segments: list[Segment]) -> None:
    """Whatever was said, a reader of SRT finds every cue, its number, start and text."""
    document = spoken(*segments).to_srt()
    blocks = document.rstrip("\n").split("\n\n") if document else []
    numbers, rest = [block.partition("\n")[0] for block in blocks], [block.partition("\n")[2] for block in blocks]
    cues = parse(rest)
    assert numbers == [str(n) for n in range(1, len(blocks) + 1)]
    assert [(start, text) for start, _, text in cues if "->" not in text] == [
        (start, text) for start, text in expected_cues(segments) if "->" not in text
    ]
    assert all(end > start for start, end, _ in cues)


@given(segment_lists)
def test_tsv_parses_back(segments: list[Segment]) -> None:
    """Every row of the table has its three cells."""
    _, *rows = spoken(*segments).to_tsv().removesuffix("\n").split("\n")
    cells = [row.split("\t") for row in rows]
    assert [(int(start), text) for start, _, text in cells] == [
        (round(s.start * 1000), " ".join(s.text.replace("\0", "").split())) for s in segments if lines_of(s.text)
    ]
    assert all(int(end) >= int(start) for start, end, _ in cells)


@pytest.mark.parametrize("name", sorted(formats.FORMATS))
def test_save_by_suffix(name: str, tmp_path: Path) -> None:
    """The suffix, in any case, chooses the format; the file is UTF-8 with plain newlines and nothing is left over."""
    said = Transcript("naïve 漢字", segments=(Segment(0.0, 1.0, "naïve 漢字"),))
    path = tmp_path / f"out.{name.upper()}"
    said.save(path)
    assert path.read_bytes() == formats.FORMATS[name](said).encode("utf-8")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["out.doc", "out", ".srt"])
def test_save_unknown_suffix(name: str, tmp_path: Path) -> None:
    """A name that tells no format is refused, with the suffixes that would."""
    with pytest.raises(ValueError, match=r"\.txt, \.srt, \.vtt, \.tsv or \.json"):
        HELLO.save(tmp_path / name)
    assert [found.name for found in tmp_path.iterdir()] == []


def test_save_leaves_the_old_file_on_failure(tmp_path: Path) -> None:
    """A transcript that cannot be written leaves the file that was there."""
    path = tmp_path / "out.srt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="return_timestamps"):
        NO_TIMES.save(path)
    assert path.read_text(encoding="utf-8") == "old"


def test_save_removes_its_draft_on_failure(tmp_path: Path) -> None:
    """Where the last step fails, no half-written file is left beside its place."""
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(OSError, match="out"):
        HELLO.save(tmp_path / "out.txt")
    assert [found.name for found in tmp_path.iterdir()] == ["out.txt"]


def test_save_into_a_missing_folder(tmp_path: Path) -> None:
    """A folder that does not exist is the caller's mistake, and named."""
    with pytest.raises(FileNotFoundError, match="missing"):
        HELLO.save(tmp_path / "missing" / "out.txt")


def test_save_a_lone_surrogate(tmp_path: Path) -> None:
    """Half a surrogate pair, which JSON can carry, is written as its escape and loses nothing."""
    said = Transcript("a\ud800b")
    said.save(tmp_path / "out.json")
    assert Transcript.from_dict(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))) == said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_save_permissions(tmp_path: Path) -> None:
    """A new file gets the permissions of any new file; an old one keeps its own."""
    ordinary, new, old = tmp_path / "ordinary", tmp_path / "new.txt", tmp_path / "old.txt"
    ordinary.touch()
    old.touch()
    old.chmod(0o640)
    HELLO.save(new)
    HELLO.save(old)
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_draft_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written into it, the file that is not yet in its place is for its owner alone."""
    seen: list[tuple[int, int]] = []
    plain = Path.chmod

    def chmod(path: Path, mode: int) -> None:
        seen.append((mode, path.stat().st_size))
        plain(path, mode)

    monkeypatch.setattr(Path, "chmod", chmod)
    HELLO.save(tmp_path / "new.txt")
    assert seen[0] == (0o600, 0)
    assert seen[1][1] > 0
    assert len(seen) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_save_through_a_link(tmp_path: Path) -> None:
    """A link stays a link; what it points to is replaced."""
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.touch()
    link.symlink_to(target)
    HELLO.save(link)
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "hello there general\n"


def test_a_line_of_dashes_costs_no_more_than_another() -> None:
    """Looking for arrows takes time in proportion to the text, whatever a server has made of it."""
    text = "-" * 200_000
    began = time.process_time()
    assert f"\n{text}\n" in formats.to_srt(spoken(Segment(0.0, 1.0, text)))
    assert "\n-> - ->\n" in formats.to_srt(spoken(Segment(0.0, 1.0, "----> - -->")))
    assert time.process_time() - began < 5
