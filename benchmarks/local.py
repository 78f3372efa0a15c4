"""
The engine ``transformers`` over the pipeline of transformers: from FLAC files to texts, on the CPU.

Both run the same models and generate alike (one beam, 32 new tokens at most). The pipeline is given
the samples that soundfile reads, at the batch size that suits it best: as it comes, in float32, and
also told the engine's data type where that is another one. The engine runs as it comes, and also in
float32 where it comes with another.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from benchmarks import record
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
AT_ONCE, ONE_BY_ONE = "engine", "client"

Way = Callable[[Sequence[Path]], list[str]]
"""From files to their texts."""


class Key(NamedTuple):
    """A way's name."""

    dtype: str
    how: int | str
    """The pipeline's batch size, or `AT_ONCE` or `ONE_BY_ONE` of ours."""


class Shape(NamedTuple):
    """A model to measure."""

    title: str
    kind: str
    """How it transcribes, as the engine calls it."""
    make: Callable[[Path], Path]


def _whisper(folder: Path, **shape: int) -> Path:
    from benchmarks import models

    return models.whisper(folder, **shape)


def _wav2vec2(folder: Path) -> Path:
    from benchmarks import models

    return models.wav2vec2(folder)


MODELS = {
    "whisper-tiny": Shape("Whisper tiny", "whisper", partial(_whisper, d_model=384, layers=4, heads=6)),
    "whisper-base": Shape("Whisper base", "whisper", partial(_whisper, d_model=512, layers=6, heads=8)),
    "wav2vec2-base": Shape("Wav2Vec2 base", "ctc", _wav2vec2),
}


def run(*, n_clips: int, n_rounds: int, n_threads: int | None, save: bool, models: Sequence[str] = ()) -> None:
    """
    Print two lines for each model and data type: all files at once, and one call for each.

    Args:
        n_clips: Number of files.

        n_rounds: Rounds that share them.

        n_threads: Of torch, on both sides; ``None``: as it comes.

        save: Whether the figures are kept, beside those of the same setting that are there.

        models: Names in `MODELS`; all, where none is named.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # the models are made here
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if n_threads is not None:
        torch.set_num_threads(n_threads)

    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        paths, seconds = _write_clips(Path(scratch, "clips"), n_clips)
        rounds = [paths[first::n_rounds] for first in range(n_rounds)]
        for name in models or MODELS:
            shape = MODELS[name]
            folder = shape.make(Path(scratch, name))
            with _ways(folder, _dtypes(shape.kind)) as ways:
                measured += _rows(shape.title, _medians(ways, rounds))
    if save:
        record.save(measured, n_clips=n_clips, n_rounds=n_rounds, audio_s=seconds)


def _dtypes(kind: Any) -> list[str]:
    """Return what the engine computes in as it comes, and float32 where that is another."""
    import torch

    from hfasr.backends.transformers.devices import choose_dtypes

    usual = str(choose_dtypes("auto", torch.device("cpu"), kind).products).removeprefix("torch.")
    return list(dict.fromkeys([usual, "float32"]))


def _rows(title: str, medians: Mapping[Key, float]) -> list[record.Row]:
    """Return a row for each data type of the engine, and print its ratios."""
    import torch

    def pipeline(dtype: str) -> dict[int, float]:
        return {size: medians[Key(dtype, size)] for size in BATCH_SIZES}

    rows = []
    for dtype in dict.fromkeys(key.dtype for key in medians):
        told = {} if dtype == "float32" else pipeline(dtype)
        ours = (medians[Key(dtype, AT_ONCE)], medians[Key(dtype, ONE_BY_ONE)])
        rows.append(row := record.Row(title, dtype, torch.get_num_threads(), pipeline("float32"), told, *ours))
        for what, seconds in zip(("engine", "a call each"), ours, strict=True):
            show(f"{title}, {dtype}: pipeline / {what}", row.ratio(seconds), TARGET)
            if told:
                show(f"{title}, {dtype}: pipeline in {dtype} / {what}", row.ratio_told(seconds), TARGET)
    return rows


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
def _ways(folder: Path, dtypes: Sequence[str]) -> Iterator[dict[Key, Way]]:
    """Give the ways to transcribe with the model in *folder*: the pipeline's by batch size, and ours, by data type."""
    options: TranscribeOptions = {}
    if (folder / "generation_config.json").exists():
        options["generation_parameters"] = GENERATION
    ways: dict[Key, Way] = {}
    for dtype in dtypes:
        recognise = _pipeline(folder, dtype)
        ways |= {
            Key(dtype, size): partial(_by_pipeline, recognise, batch_size=size, options=options) for size in BATCH_SIZES
        }
    engines = {dtype: backends.load("transformers", str(folder), device="cpu", dtype=dtype) for dtype in dtypes}
    clients = {dtype: ASRClient(backend=engine, local_only=True) for dtype, engine in engines.items()}
    try:
        for dtype in dtypes:
            ways[Key(dtype, AT_ONCE)] = partial(_at_once, engines[dtype], options=options)
            ways[Key(dtype, ONE_BY_ONE)] = partial(_one_by_one, clients[dtype], options=options)
        yield ways
    finally:
        for client in clients.values():
            client.close()
        for engine in engines.values():
            engine.close()


def _pipeline(folder: Path, dtype: str) -> Any:
    import transformers

    return transformers.pipeline("automatic-speech-recognition", str(folder), device="cpu", dtype=dtype)


def _by_pipeline(recognise: Any, paths: Sequence[Path], *, batch_size: int, options: TranscribeOptions) -> list[str]:
    how = {"generate_kwargs": GENERATION} if options else {}
    answers = recognise(_read(paths), batch_size=batch_size, **how)
    return [answer["text"].strip() for answer in answers]


def _at_once(engine: Any, paths: Sequence[Path], *, options: TranscribeOptions) -> list[str]:
    clips = [decode(PathSource(path, check=lambda: None)).audio for path in paths]
    return [transcript.text for transcript in engine.transcribe(clips, options)]


def _one_by_one(asr: ASRClient, paths: Sequence[Path], *, options: TranscribeOptions) -> list[str]:
    return [asr.transcribe(path, **options).text for path in paths]


def _read(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        yield {"raw": samples, "sampling_rate": rate}


def _medians(ways: Mapping[Key, Way], rounds: Sequence[Sequence[Path]]) -> dict[Key, float]:
    """
    Return the median seconds that each way took for a round.

    Each round has files of its own, which every way transcribes in turn, so that a noisy machine is
    noisy for all. The texts are compared with those of the pipeline in float32 without batches: in
    batches it adds padding to what some models hear.

    Raises:
        AssertionError: Ours differ too much.
    """
    for way in ways.values():
        way(rounds[0][:1])
    taken: dict[Key, list[float]] = {key: [] for key in ways}
    for number, paths in enumerate(rounds):
        texts = {}
        # Who comes first changes, so that nobody always has another's leftovers.
        for key in reversed(taken) if number % 2 else taken:
            began = time.perf_counter()
            texts[key] = ways[key](paths)
            taken[key].append(time.perf_counter() - began)
        for key in ways:
            if key.how in {AT_ONCE, ONE_BY_ONE}:
                check = _check_equal if key.dtype == "float32" else _check_alike
                check(f"hfasr ({key.how}, {key.dtype})", texts[key], texts[Key("float32", 1)])
    return {key: statistics.median(seconds) for key, seconds in taken.items()}


_BEGINNING = 4  # characters


def _check_equal(name: str, texts: Sequence[str], expected: Sequence[str]) -> None:
    """
    See that the texts are the pipeline's.

    Random weights leave some tokens to the last digit of a sum, which the two add up in another
    order: from there on a text goes another way. So what counts is how they begin. With models that
    know what they hear, and in the tests, all are equal.
    """
    pairs = zip(texts, expected, strict=True)
    common = sum(len(os.path.commonprefix(pair)) for pair in pairs)  # noqa: RUF071  # of characters is meant
    _check_most(name, common, texts, expected, least=0.4)
    n_alike = sum(ours[:_BEGINNING] == theirs[:_BEGINNING] for ours, theirs in zip(texts, expected, strict=True))
    if n_alike < 0.9 * len(texts):
        raise AssertionError(f"{name}: only {n_alike} of {len(texts)} texts begin as the pipeline's do")


def _check_alike(name: str, texts: Sequence[str], expected: Sequence[str]) -> None:
    """
    See that the texts are the pipeline's but for some characters, each on its own.

    In bfloat16 that is what random weights leave; a model that was trained says the same in the tests.
    """
    matchers = [SequenceMatcher(None, *pair, autojunk=False) for pair in zip(texts, expected, strict=True)]
    common = sum(block.size for matcher in matchers for block in matcher.get_matching_blocks())
    _check_most(name, common, texts, expected, least=0.9)


def _check_most(name: str, common: int, texts: Sequence[str], expected: Sequence[str], *, least: float) -> None:
    n_characters = sum(map(len, expected))
    if common < least * n_characters:
        raise AssertionError(
            f"{name} has only {common} of {n_characters} characters in common with the pipeline: "
            f"{texts[0]!r:.200} instead of {expected[0]!r:.200}"
        )
