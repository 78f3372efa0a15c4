"""What docs/local.md says of models on this machine is what they do here, and README's comparison is shown."""

from __future__ import annotations

import functools
import inspect
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("transformers", reason="the extra transformers is not installed")

from hfasr import ASRClient, Audio, TranscribeOptions
from hfasr.backends.transformers import Transformers
from tests import tiny
from tests.tones import RATE, tone_audio

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "local.md").read_text(encoding="utf-8")

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "Wav2Vec2, HuBERT, WavLM with CTC": tiny.tiny_ctc,
    "MMS": tiny.tiny_mms,
    "Parakeet-CTC": functools.partial(tiny.tiny_parakeet, head="ctc"),
    "Parakeet-TDT": functools.partial(tiny.tiny_parakeet, head="tdt"),
    "Whisper, distil-Whisper": tiny.tiny_whisper,
    "Whisper for English only": functools.partial(tiny.tiny_whisper, languages=()),
    "Speech2Text": tiny.tiny_speech2text,
    "Moonshine": tiny.tiny_moonshine,
}


def table(header: str) -> list[list[str]]:
    """Return the rows of the page's table that begins with *header*."""
    lines = PAGE[PAGE.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [line.strip("| ").split(" | ") for line in lines]


@functools.cache
def sound(text: str) -> Audio:
    return Audio(tone_audio(text), RATE)


def ability(folder: Path) -> list[str]:
    """Return what a model did when it was asked for everything, as a row of the table has it."""
    engine = Transformers(str(folder), device="cpu")
    options: TranscribeOptions = {
        "language": "fr", "task": "translate", "prompt": "names", "generation_parameters": {"max_new_tokens": 20}
    }  # fmt: skip
    (segmented,) = engine.transcribe([sound("abc fed gah")], {**options, "return_timestamps": True})
    (worded,) = engine.transcribe([sound("abc fed gah")], {**options, "return_timestamps": "word"})
    warned = " ".join(segmented.warnings)
    able = [
        bool(segmented.segments),
        bool(worded.words),
        bool(worded.words) and all(word.confidence is not None for word in worded.words),
        *(
            f"{name} is beyond" not in warned and f"{name} is none" not in warned
            for name in ("language='fr'", "prompt")
        ),
        "task='translate' is" not in warned,
    ]
    length = "any" if engine.max_duration_s is None else f"{engine.max_duration_s:.0f} s"
    return [*("yes" if one else "no" for one in able), length]


@pytest.mark.parametrize(("family", "row"), [(row[0], row[2:]) for row in table("family")])
def test_what_a_family_can_do(family: str, row: list[str], tmp_path: Path) -> None:
    """A family's row is what a tiny model of it does when it is asked for everything."""
    assert ability(FAMILIES[family](tmp_path / "model")) == row


def test_every_family_has_a_row() -> None:
    """The table lists the families that are tested, each once."""
    assert [row[0] for row in table("family")] == list(FAMILIES)


def test_every_option_has_a_row() -> None:
    """The table of options is the engine's signature, but for the model."""
    names = list(inspect.signature(Transformers).parameters)[1:]
    assert [row[0].strip("`") for row in table("option")] == names


@pytest.mark.parametrize("said", [row[0] for row in table("the error says")])
def test_errors_are_quoted_as_they_are(said: str) -> None:
    """Each part of a message that the page quotes stands in the engine's source."""
    files = (ROOT / "src" / "hfasr" / "backends" / "transformers").glob("*.py")
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # one message over several lines
    for part in said.split("…"):
        assert part.strip() in source


def test_figures_are_the_measured_ones() -> None:
    """The table of speeds is made from the figures that were kept."""
    record = runpy.run_path(str(ROOT / "benchmarks" / "record.py"))
    assert record["page"]() == PAGE


# README, "Why not the pipeline of transformers?": one test for each row.


@functools.cache
def pipeline(folder: Path) -> Any:
    import transformers

    return transformers.pipeline("automatic-speech-recognition", str(folder), device="cpu")


@pytest.fixture
def whisper(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model(tiny.tiny_whisper)


@pytest.fixture
def ctc(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model(tiny.tiny_ctc)


def client(folder: Path) -> ASRClient:
    return ASRClient(str(folder), backend="transformers")


def test_why_not_files(ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ffmpeg there is no file that the pipeline opens; here none is needed."""
    path = tmp_path / "x.flac"
    soundfile.write(path, tone_audio("abc"), RATE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ffmpeg") is None
    with pytest.raises(ValueError, match="ffmpeg was not found"):
        pipeline(ctc)(str(path))
    with client(ctc) as asr:
        assert asr.transcribe(path).duration == pytest.approx(len(tone_audio("abc")) / RATE)


def test_why_not_the_same_dictionary_twice(ctc: Path) -> None:
    """The pipeline empties the caller's dictionary and fails on it the second time; here it stays whole."""
    taken = {"array": tone_audio("abc"), "sampling_rate": RATE}
    pipeline(ctc)(taken)
    with pytest.raises(ValueError, match="raw"):
        pipeline(ctc)(taken)
    kept: Any = {"array": tone_audio("abc"), "sampling_rate": RATE}
    with client(ctc) as asr:
        assert asr.transcribe(kept).text == asr.transcribe(kept).text
    assert set(kept) == {"array", "sampling_rate"}


def test_why_not_long_files(whisper: Path) -> None:
    """A file over 30 s without times raises there, and is transcribed to its end here."""
    long = np.concatenate([tone_audio("abc fed")] * 24)
    with pytest.raises(ValueError, match="3000 mel input features"):
        pipeline(whisper)({"raw": long, "sampling_rate": RATE})
    with client(whisper) as asr:
        transcript = asr.transcribe(Audio(long, RATE), generation_parameters={"max_new_tokens": 20})
    assert transcript.duration == pytest.approx(len(long) / RATE)
    assert transcript.text


def test_why_not_long_with_short(whisper: Path) -> None:
    """A long and a short clip in one batch raise there, and are both transcribed here."""
    short = tone_audio("abc")
    long = np.concatenate([tone_audio("abc fed")] * 24)
    clips = [{"raw": clip, "sampling_rate": RATE} for clip in (short, long)]
    with pytest.raises(RuntimeError, match="must match"):
        pipeline(whisper)(clips, batch_size=2, return_timestamps=True)
    engine = Transformers(str(whisper), device="cpu")
    options: TranscribeOptions = {"generation_parameters": {"max_new_tokens": 20}}
    both = engine.transcribe([Audio(short, RATE), Audio(long, RATE)], options)
    assert [bool(transcript.text) for transcript in both] == [True, True]


def test_why_not_segments(ctc: Path) -> None:
    """Times of segments of a CTC model raise there; here they are grouped from its words."""
    with pytest.raises(ValueError, match="return_timestamps"):
        pipeline(ctc)({"raw": tone_audio("abc"), "sampling_rate": RATE}, return_timestamps=True)
    with client(ctc) as asr:
        assert asr.transcribe(sound("abc"), return_timestamps=True).segments
