"""Whisper: languages, tasks, prompts, beams, checkpoints of all ages, and what ``generate`` leaves behind."""

from __future__ import annotations

import gc
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hfasr
from hfasr import Audio, InvalidOptionError, Transcript
from tests import tiny
from tests.backends.transformers.kit import RATE, Pipeline, engine, hear, sound, words

if TYPE_CHECKING:
    from hfasr.backends.transformers import Transformers

TinyModel = Callable[..., Path]
Edit = Callable[..., Path]

CLIP = sound(3.0)
TOKENS = 12
CODES = ("en", "fr", "de", "jw", "no", "tl", "haw")
ALL_WINDOWS_S = 70.0


@pytest.fixture(scope="module")
def folder(tiny_model: TinyModel) -> Path:
    return tiny_model(tiny.tiny_whisper, languages=CODES)


@pytest.fixture(scope="module")
def whisper(folder: Path) -> Transformers:
    return engine(folder, batch_size=3)


@pytest.fixture(scope="module")
def english(tiny_model: TinyModel) -> Transformers:
    return engine(tiny_model(tiny.tiny_whisper, languages=()))


@pytest.fixture
def edited(folder: Path, tmp_path: Path) -> Edit:
    """Give a function that copies the model with other generation settings; ``None`` takes one out."""

    def edit(**changes: Any) -> Path:
        copy = tmp_path / "edited"
        shutil.copytree(folder, copy)
        file = copy / "generation_config.json"
        settings = json.loads(file.read_text(encoding="utf-8")) | changes
        kept = {name: value for name, value in settings.items() if value is not None}
        file.write_text(json.dumps(kept), encoding="utf-8")
        return copy

    return edit


def say(model: Transformers, *, seconds: float = 3.0, **options: Any) -> Transcript:
    return hear(model, sound(seconds), **{"tokens": TOKENS, **options})[0]


def advice(transcript: Transcript) -> list[str]:
    """The warnings but the one that a babbling model always gets."""
    return [warning for warning in transcript.warnings if "did not come to an end" not in warning]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("fr", "fr"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("French", "fr"),
        ("fr-CA", "fr"),
        ("DE", "de"),
        ("jv", "jw"),  # Whisper's own code for Javanese
        ("jav", "jw"),
        ("nb", "no"),
        ("nor", "no"),
        ("fil", "tl"),
        ("haw", "haw"),
    ],
)
def test_language(language: str, code: str, whisper: Transformers, folder: Path) -> None:
    """A language may be given by any of its codes or its English name; the text is the pipeline's for it."""
    transcript = say(whisper, language=language)
    assert transcript.language == code
    assert advice(transcript) == []
    assert transcript.text == Pipeline(folder, tokens=TOKENS).text(CLIP, generate={"language": code})


def test_language_is_heard(whisper: Transformers) -> None:
    """Without a language, and with one that the model does not know, the one that it hears is used and named."""
    heard = say(whisper)
    assert heard.language in CODES
    assert heard.text == say(whisper, language=heard.language).text
    for unknown in ("sw", "Klingon", "x" * 99):
        transcript = say(whisper, language=unknown)
        assert (transcript.text, transcript.language) == (heard.text, heard.language)
        assert [warning[:26] for warning in advice(transcript)] == [f"transformers: language={unknown!r:.40}"[:26]]
        assert "is none of this model's; it was not used" in advice(transcript)[0]


def test_each_clip_its_language(whisper: Transformers) -> None:
    """In a batch each clip has the language that it has alone."""
    seeds = range(8)
    alone = [hear(whisper, sound(2.0, seed=seed), tokens=TOKENS)[0] for seed in seeds]
    together = hear(whisper, *(sound(2.0, seed=seed) for seed in seeds), tokens=TOKENS)
    assert [(one.text, one.language) for one in together] == [(one.text, one.language) for one in alone]


def test_task(whisper: Transformers, folder: Path) -> None:
    """A translation is the pipeline's; to transcribe is what it does anyway."""
    pipeline = Pipeline(folder, tokens=TOKENS)
    plain, translated = say(whisper), say(whisper, task="translate")
    assert translated.text != plain.text
    assert translated.text == pipeline.text(CLIP, generate={"task": "translate"})
    assert say(whisper, task="transcribe").text == plain.text == pipeline.text(CLIP)
    both: dict[str, Any] = {"language": "fr", "task": "translate"}
    assert say(whisper, **both).text == pipeline.text(CLIP, generate=both)


def test_english_only(english: Transformers) -> None:
    """A model that knows English only says so when asked for more."""
    plain = say(english)
    assert (plain.language, advice(plain)) == ("en", [])
    assert say(english, language="English", task="transcribe") == plain
    unfit: tuple[tuple[dict[str, Any], str], ...] = (
        ({"language": "fr"}, "transformers: language='fr' is none of this model's"),
        ({"task": "translate"}, "transformers: task='translate' is beyond this model, which knows English only"),
    )
    for options, start in unfit:
        transcript = say(english, **options)
        assert (transcript.text, transcript.language) == (plain.text, "en")
        assert advice(transcript) == [f"{start}; it was not used"]


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_prompt(timestamps: Any, whisper: Transformers, folder: Path) -> None:
    """A prompt changes what is heard as it does in the pipeline, and is itself no part of it."""
    pipeline = Pipeline(folder, tokens=TOKENS)
    ids = pipeline.tokenizer.get_prompt_ids("BAD CAB", return_tensors="pt")
    transcript = say(whisper, prompt="BAD CAB", return_timestamps=timestamps)
    assert (
        transcript.text
        == pipeline.text(
            CLIP, generate={"prompt_ids": ids}, **({"return_timestamps": timestamps} if timestamps else {})
        )
        .replace("BAD CAB", "")
        .strip()
    )
    assert transcript.text != say(whisper, return_timestamps=timestamps).text
    assert "BAD" not in transcript.text
    assert not any("BAD" in word.word for word in transcript.words)


def test_prompt_is_text(whisper: Transformers) -> None:
    """Commands in a prompt do nothing; one that is nothing else is no prompt."""
    plain = say(whisper, language="en", prompt="bad cab")
    assert say(whisper, language="en", prompt="<|fr|><|translate|>bad cab<|endoftext|>") == plain
    assert say(whisper, prompt="<|translate|> <|0.00|>") == say(whisper)


@pytest.mark.parametrize("seconds", [3.0, ALL_WINDOWS_S])
def test_long_prompt(seconds: float, whisper: Transformers) -> None:
    """Of a prompt that is too long the end counts, and there is room left for a text."""
    long = say(whisper, seconds=seconds, prompt="cab " * 1000 + "bad", return_timestamps=True)
    assert long.text == say(whisper, seconds=seconds, prompt="cab " * 200 + "bad", return_timestamps=True).text
    assert long.text != say(whisper, seconds=seconds, prompt="bad " * 200, return_timestamps=True).text
    with_a_lot = say(whisper, prompt="cab " * 1000, tokens=1000)
    assert with_a_lot.warnings[-1].endswith(f"cut after {448 - 4 - 223} tokens")


def test_confidence(whisper: Transformers) -> None:
    """A word's confidence is the mean of the probabilities that the model gave its tokens when they were chosen."""
    import torch

    transcript = say(whisper, return_timestamps="word", language="en")
    confidences = [word.confidence for word in transcript.words]
    assert confidences
    assert all(confidence is not None and 0 <= confidence <= 1 for confidence in confidences)
    checkpoint, _ = whisper._loaded or pytest.fail("not loaded")
    features = checkpoint.feature_extractor(CLIP, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        answer = checkpoint.model.generate(
            **features, language="en", return_timestamps=True, max_new_tokens=TOKENS, num_beams=1, output_scores=True,
            return_dict_in_generate=True, return_segments=True,
        )  # fmt: skip
    result = answer["segments"][0][0]["result"]
    spoken = result["sequences"][-len(result["probabilities"]) :].tolist()
    letters = [
        probability
        for token, probability in zip(spoken, result["probabilities"], strict=True)
        if token < checkpoint.tokenizer.eos_token_id
    ]
    spelled = "".join(word.word for word in transcript.words)
    assert spelled.isascii()  # so each of its letters is a token
    left = iter(letters)
    means = [sum(next(left) for _ in word.word) / len(word.word) for word in transcript.words]
    assert confidences == pytest.approx(means, rel=1e-4)


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_beams(timestamps: Any, whisper: Transformers, folder: Path) -> None:
    """Beams give the pipeline's text; their scores are sums over whole texts, so no word has a confidence."""
    beams = {"num_beams": 2}
    transcript = say(whisper, generation_parameters=beams, return_timestamps=timestamps)
    settings = {"return_timestamps": timestamps} if timestamps else {}
    assert transcript.text == Pipeline(folder, tokens=TOKENS).text(CLIP, generate=beams, **settings)
    assert advice(transcript) == []
    assert all(word.confidence is None for word in transcript.words)
    assert bool(transcript.words) is (timestamps == "word")


@pytest.mark.parametrize("timestamps", [False, "word"])
def test_temperatures(timestamps: Any, whisper: Transformers) -> None:
    """A list of temperatures is tried in its order: the first that is good enough is taken."""
    accepted = {"temperature": [0.0, 0.9], "logprob_threshold": -1e6}
    plain = say(whisper, return_timestamps=timestamps)
    assert say(whisper, return_timestamps=timestamps, generation_parameters=accepted) == plain
    never = {"temperature": [0.0, 0.9], "logprob_threshold": 0.0}  # no text is this sure
    assert say(whisper, return_timestamps=timestamps, generation_parameters=never).text != plain.text


def test_unknown_parameter(whisper: Transformers) -> None:
    """A name that transformers does not know is not used, and that is said."""
    transcript = say(whisper, generation_parameters={"numbeams": 2})
    assert transcript.text == say(whisper).text
    assert advice(transcript) == ["transformers: generation_parameters['numbeams'] is not known here; it was not used"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 0},
        {"temperature": -1.0},
        {"cache_implementation": "paper"},
        {"prompt_condition_type": "sometimes"},
        {"suppress_tokens": "all"},
    ],
    ids=repr,
)
def test_wrong_parameter(wrong: dict[str, Any], whisper: Transformers, folder: Path, tone_model: Path) -> None:
    """A value that cannot be is the caller's fault: it is raised, also by a client that has another way left."""
    with pytest.raises(InvalidOptionError, match=r"^generation_parameters"):
        say(whisper, generation_parameters=wrong)
    with (
        hfasr.ASRClient(str(folder), backend="transformers", fallback=f"transformers:{tone_model}") as asr,
        pytest.raises(InvalidOptionError, match=r"^generation_parameters"),
    ):
        asr.transcribe(Audio(CLIP, RATE), generation_parameters={"max_new_tokens": TOKENS, **wrong})


@pytest.mark.parametrize(
    "missing",
    [
        ("lang_to_id", "task_to_id", "is_multilingual"),
        ("alignment_heads",),
        ("no_timestamps_token_id",),
        ("prev_sot_token_id",),
        (
            "lang_to_id",
            "task_to_id",
            "is_multilingual",
            "alignment_heads",
            "no_timestamps_token_id",
            "prev_sot_token_id",
        ),
    ],
    ids=lambda names: names[0] if len(names) < 6 else "all",
)
def test_older_checkpoints(missing: tuple[str, ...], edited: Edit, whisper: Transformers) -> None:
    """What the settings of an older checkpoint lack is found: it does all that a new one does."""
    old = engine(edited(**dict.fromkeys(missing)))
    asked: tuple[dict[str, Any], ...] = (
        {},
        {"language": "fr", "task": "translate"},
        {"prompt": "bad", "return_timestamps": True},
        {"return_timestamps": "word"},
        {"seconds": ALL_WINDOWS_S, "generation_parameters": {"condition_on_prev_tokens": True}},
    )
    for options in asked:
        assert say(old, **options) == say(whisper, **options), options


def test_no_settings_at_all(folder: Path, tmp_path: Path, whisper: Transformers) -> None:
    """A checkpoint from before there were generation settings takes a language and gives word times."""
    copy = tmp_path / "old"
    shutil.copytree(folder, copy)
    (copy / "generation_config.json").unlink()
    old = engine(copy)
    assert say(old, language="fr", prompt="bad").text == say(whisper, language="fr", prompt="bad").text
    assert say(old, return_timestamps="word").words


def test_forced_language(edited: Edit, whisper: Transformers) -> None:
    """A fine-tuned checkpoint that is set to a language and a task keeps to each until it is told another."""
    checkpoint, _ = whisper._loaded or pytest.fail("not loaded")
    french, translate = checkpoint.tokenizer.convert_tokens_to_ids(["<|fr|>", "<|translate|>"])
    tuned = engine(edited(forced_decoder_ids=[[1, french], [2, translate]]))
    assert say(tuned) == say(whisper, language="fr", task="translate")
    assert say(tuned, task="transcribe") == say(whisper, language="fr", task="transcribe")
    assert say(tuned, language="de") == say(whisper, language="de", task="translate")
    assert say(tuned, language="xx").language == "fr"


def test_chosen_language(edited: Edit, whisper: Transformers) -> None:
    """A fine-tuned checkpoint may also name its language and its task."""
    tuned = engine(edited(forced_decoder_ids=None, language="french", task="translate"))
    assert say(tuned) == say(whisper, language="fr", task="translate")
    assert say(tuned, language="de", task="transcribe") == say(whisper, language="de", task="transcribe")


def test_nothing_chosen(edited: Edit, whisper: Transformers) -> None:
    """A checkpoint that is set to no task gives what the pipeline gives; with a language or a task it is told which."""
    folder = edited(forced_decoder_ids=None)
    tuned = engine(folder)
    assert say(tuned).text == Pipeline(folder, tokens=TOKENS).text(CLIP)
    asked: tuple[dict[str, Any], ...] = ({"language": "fr"}, {"task": "transcribe"}, {"task": "translate"})
    for options in asked:
        assert say(tuned, **options) == say(whisper, **options)


def test_a_call_leaves_nothing(whisper: Transformers, english: Transformers) -> None:
    """After a call with word times, beams or a wrong value, a plain one gives what it gave before."""
    for model in (whisper, english):
        before = say(model)
        checkpoint, _ = model._loaded or pytest.fail("not loaded")
        attention = checkpoint.model.config._attn_implementation
        settings = checkpoint.model.generation_config.to_dict()
        say(model, return_timestamps="word")
        say(model, generation_parameters={"num_beams": 2}, prompt="bad", task="translate", language="en")
        with pytest.raises(InvalidOptionError):
            say(model, generation_parameters={"cache_implementation": "paper"}, return_timestamps="word")
        assert checkpoint.model.config._attn_implementation == attention != "eager"
        assert checkpoint.model.generation_config.to_dict() == settings
        assert say(model) == before


@pytest.mark.parametrize(("seconds", "least"), [(3.0, 1), (ALL_WINDOWS_S, 3)])
@pytest.mark.parametrize("timestamps", [False, "word"])
def test_windows_are_encoded_once(seconds: float, least: int, timestamps: Any, folder: Path) -> None:
    """Each window goes through the encoder once, though its language is asked for as well."""
    model = engine(folder)
    model.preload(download=False)
    checkpoint, _ = model._loaded or pytest.fail("not loaded")
    inputs: list[Any] = []
    checkpoint.model.get_encoder().conv1.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    say(model, seconds=seconds, return_timestamps=timestamps)
    assert len(inputs) >= least
    assert not any(a.equal(b) for n, a in enumerate(inputs) for b in inputs[:n])


def test_nothing_is_kept(whisper: Transformers) -> None:
    """No tensor outlives a call, whether it was asked for word times or failed."""
    import torch

    def n_tensors() -> int:
        gc.collect()
        return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())

    say(whisper, seconds=ALL_WINDOWS_S, return_timestamps="word")  # the first call fills caches
    before = n_tensors()
    kept = [say(whisper, seconds=ALL_WINDOWS_S, return_timestamps="word") for _ in range(2)]
    with pytest.raises(InvalidOptionError):
        say(whisper, generation_parameters={"suppress_tokens": "all"})
    assert n_tensors() == before
    assert len(pickle.dumps(kept)) < 10_000


def test_attentions_go_at_once(whisper: Transformers) -> None:
    """While a long file is worked on, no attentions, caches and scores of the windows before are held."""
    checkpoint, _ = whisper._loaded or pytest.fail("not loaded")
    held: list[set[str]] = []
    original = checkpoint.model._retrieve_segment

    def note(*args: Any, **settings: Any) -> Any:
        held.extend(set(output) for output in settings["seek_outputs"])
        return original(*args, **settings)

    checkpoint.model._retrieve_segment = note
    try:
        say(whisper, seconds=ALL_WINDOWS_S, return_timestamps="word")
    finally:
        del checkpoint.model._retrieve_segment
    assert len(held) > 2
    assert set().union(*held) <= {"sequences", "token_timestamps", "probabilities"}


def test_words_stay_in_order(whisper: Transformers) -> None:
    """Of a file of several windows, no word begins before the one that it follows, nor ends before it begins."""
    for seed in range(3):
        transcript = hear(whisper, sound(50.0, seed=seed), tokens=TOKENS, return_timestamps="word")[0]
        times = [time for _, start, end in words(transcript) for time in (start, end) if time is not None]
        assert len(times) == 2 * len(transcript.words) > 4
        assert times == sorted(times)
        assert max(times) <= 50.0
