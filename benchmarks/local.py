"""
The engine ``transformers`` over the pipeline of transformers: from FLAC files to texts, on the CPU.

Both run the same models and generate alike (one beam, 32 new tokens at most). The pipeline is given
the samples that soundfile reads, at the batch size that suits it best.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.measure import show
from benchmarks.sound import clip
from hfasr import ASRClient, TranscribeOptions, backends
from hfasr.audio import decode
from hfasr.audio.source import PathSource

BATCH_SIZES = (1, 4, 8)
LENGTHS_S = (1.0, 20.0)
RATE_HZ = 16_000
TARGET = "at least 1.3"
GENERATION = {"num_beams": 1, "max_new_tokens": 32}

Way = Callable[[Sequence[Path]], list[str]]
"""From files to their texts."""

AT_ONCE, ONE_BY_ONE = "engine", "client"


def run(*, n_clips: int, n_rounds: int, n_threads: int | None, save: bool) -> None:
    """Print two lines for each model: all files at once, and one call for each."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # the models are made here
    import torch
    from transformers.utils import logging

    from benchmarks import models, record

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if n_threads is not None:
        torch.set_num_threads(n_threads)

    makers: dict[str, Callable[[Path], Path]] = {
        "Whisper tiny": lambda folder: models.whisper(folder, d_model=384, layers=4, heads=6),
        "Whisper base": lambda folder: models.whisper(folder, d_model=512, layers=6, heads=8),
        "Wav2Vec2 base": models.wav2vec2,
    }
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        paths, seconds = _write_clips(Path(scratch, "clips"), n_clips)
        rounds = [paths[first::n_rounds] for first in range(n_rounds)]
        for name, make in makers.items():
            folder = make(Path(scratch, name))
            with _ways(folder) as ways:
                row = record.Row(name, *_medians(ways, rounds))
            show(f"{name}, {n_clips} files: pipeline / engine", row.ratio(row.engine_s), TARGET)
            show(f"{name}, {n_clips} files: pipeline / a call each", row.ratio(row.client_s), TARGET)
            measured.append(row)
    if save:
        record.save(measured, n_clips=n_clips, n_rounds=n_rounds, audio_s=seconds)


def _write_clips(folder: Path, n_clips: int) -> tuple[list[Path], float]:
    """Write the files; return them, and the seconds that they have together."""
    folder.mkdir()
    rng = random.Random(0)
    lengths = [rng.uniform(*LENGTHS_S) for _ in range(n_clips)]
    paths = [folder / f"{number}.flac" for number in range(n_clips)]
    for number, (path, length) in enumerate(zip(paths, lengths, strict=True)):
        path.write_bytes(clip(length, RATE_HZ, 1, "FLAC", seed=number))
    return paths, sum(lengths)


@contextmanager
def _ways(folder: Path) -> Iterator[dict[str | int, Way]]:
    """Give the ways to transcribe with the model in *folder*: the pipeline's by batch size, and ours."""
    options: TranscribeOptions = {}
    if (folder / "generation_config.json").exists():
        options["generation_parameters"] = GENERATION
    recognise = _pipeline(folder)

    def pipeline(paths: Sequence[Path], *, batch_size: int) -> list[str]:
        how = {"generate_kwargs": GENERATION} if options else {}
        answers = recognise(_read(paths), batch_size=batch_size, **how)
        return [answer["text"].strip() for answer in answers]

    ways: dict[str | int, Way] = {size: partial(pipeline, batch_size=size) for size in BATCH_SIZES}
    client = ASRClient(str(folder), backend="transformers", local_only=True)
    with backends.load("transformers", str(folder), device="cpu") as engine, client as asr:

        def at_once(paths: Sequence[Path]) -> list[str]:
            clips = [decode(PathSource(path, check=lambda: None)).audio for path in paths]
            return [transcript.text for transcript in engine.transcribe(clips, options)]

        def one_by_one(paths: Sequence[Path]) -> list[str]:
            return [asr.transcribe(path, **options).text for path in paths]

        yield ways | {AT_ONCE: at_once, ONE_BY_ONE: one_by_one}


def _pipeline(folder: Path) -> Any:
    import transformers

    return transformers.pipeline("automatic-speech-recognition", str(folder), device="cpu")


def _read(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        yield {"raw": samples, "sampling_rate": rate}


def _medians(ways: dict[str | int, Way], rounds: Sequence[Sequence[Path]]) -> tuple[dict[int, float], float, float]:
    """
    Return the median seconds of a round: of the pipeline by batch size, of the engine, of the client.

    Each round has files of its own, which every way transcribes in turn, so that a noisy machine is
    noisy for all. The texts must be those of the pipeline without batches: in batches it adds
    padding to what some models hear.

    Raises:
        AssertionError: A text differs.
    """
    for way in ways.values():
        way(rounds[0][:1])
    taken: dict[str | int, list[float]] = {name: [] for name in ways}
    for number, paths in enumerate(rounds):
        texts = {}
        # Who comes first changes, so that nobody always has another's leftovers.
        for name in reversed(ways) if number % 2 else ways:
            began = time.perf_counter()
            texts[name] = ways[name](paths)
            taken[name].append(time.perf_counter() - began)
        for name in (AT_ONCE, ONE_BY_ONE):
            _check_equal(f"hfasr ({name})", texts[name], texts[1])
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return {size: medians[size] for size in BATCH_SIZES}, medians[AT_ONCE], medians[ONE_BY_ONE]


def _check_equal(name: str, texts: Sequence[str], expected: Sequence[str]) -> None:
    """
    See that the texts are the pipeline's.

    Random weights leave some tokens to the last digit of a sum, which the two add up in another
    order: from there on a text goes another way. So what they have in common is measured, from the
    beginning; it must be most. With models that know what they hear, and in the tests, all are equal.
    """
    pairs = zip(texts, expected, strict=True)
    common = sum(len(os.path.commonprefix(pair)) for pair in pairs)  # noqa: RUF071  # of characters is meant
    n_characters = sum(map(len, expected))
    if common < 0.6 * n_characters:
        raise AssertionError(
            f"{name} has only {common} of {n_characters} characters in common with the pipeline: "
            f"{texts[0]!r:.200} instead of {expected[0]!r:.200}"
        )
