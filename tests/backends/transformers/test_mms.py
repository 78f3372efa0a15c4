"""MMS: adapters and vocabularies change with the language of a call, and are fetched once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from hfasr import ASRClient, Audio, BackendLoadError
from tests import tiny
from tests.backends.transformers.hub import Hub, Repository
from tests.backends.transformers.kit import RATE, Pipeline, engine, hear, sound, words

if TYPE_CHECKING:
    from hfasr.backends.transformers import Transformers

TinyModel = Callable[..., Path]

CLIP = sound(2.5)
LANGUAGES = ("eng", "fra", "cmn-script_simplified")


@pytest.fixture(scope="module")
def folder(tiny_model: TinyModel) -> Path:
    return tiny_model(tiny.tiny_mms, LANGUAGES)


@pytest.fixture(scope="module")
def longer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a language that has fewer letters than its own."""
    copy = Path(shutil.copytree(folder, tmp_path_factory.mktemp("mms") / "model"))
    file = copy / "vocab.json"
    vocabularies = json.loads(file.read_text(encoding="utf-8"))
    n_letters = 20
    vocabularies["haw"] = {token: i for token, i in vocabularies["eng"].items() if i < n_letters}
    file.write_text(json.dumps(vocabularies), encoding="utf-8")
    weights = load_file(copy / "adapter.fra.safetensors")
    for name in ("lm_head.weight", "lm_head.bias"):
        weights[name] = weights[name][:n_letters].contiguous()
    save_file(weights, copy / "adapter.haw.safetensors")
    return copy


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, str]:
    """Each language's text, as the pipeline has it."""
    pipeline = Pipeline(folder)
    texts = {}
    for language in LANGUAGES:
        pipeline.tokenizer.set_target_lang(language)
        pipeline.model.load_adapter(language, local_files_only=True)
        texts[language] = pipeline.text(CLIP)
    assert len(set(texts.values())) == len(LANGUAGES)
    return texts


@pytest.fixture
def mms(folder: Path) -> Transformers:
    return engine(folder)


@pytest.fixture
def on_hub(hub: Hub, folder: Path) -> str:
    """Put the model on a Hub and return its name there."""
    hub.repositories["org/mms"] = Repository(folder)
    return "org/mms"


def test_bfloat16(folder: Path, expected: dict[str, str]) -> None:
    """In bfloat16, too, each call has the text of its language, there and back, but for some letters."""
    mms = engine(folder, dtype="bfloat16")
    for code in (*LANGUAGES, *LANGUAGES):
        text = hear(mms, CLIP, language=code)[0].text
        alike = {one: SequenceMatcher(None, text, expected[one], autojunk=False).ratio() for one in LANGUAGES}
        assert max(alike, key=lambda one: alike[one]) == code
        assert alike[code] > 0.9


def test_languages(mms: Transformers, expected: dict[str, str]) -> None:
    """Each call has the text of its language, there and back; without one it is the model's own."""
    for asked, code in (
        ("en", "eng"),
        ("fr", "fra"),
        ("eng", "eng"),
        ("fra", "fra"),
        ("zh", "cmn-script_simplified"),
        ("cmn-script_simplified", "cmn-script_simplified"),
        (None, "eng"),
        ("fr-CA", "fra"),
        (None, "eng"),
        (None, "eng"),
    ):
        transcript = hear(mms, CLIP, language=asked)[0]
        assert (transcript.text, transcript.language, transcript.warnings) == (expected[code], code, ())


def test_fewer_letters(longer: Path, expected: dict[str, str]) -> None:
    """Languages have as many letters as they have: the head grows and shrinks with them."""
    pipeline = Pipeline(longer)
    pipeline.tokenizer.set_target_lang("haw")
    pipeline.model.load_adapter("haw", local_files_only=True)
    hawaiian = pipeline.text(CLIP)
    mms = engine(longer)
    for language, text in (("haw", hawaiian), ("en", expected["eng"]), ("haw", hawaiian), ("fr", expected["fra"])):
        assert hear(mms, CLIP, language=language)[0].text == text


def test_own_weights(folder: Path, tmp_path: Path, expected: dict[str, str]) -> None:
    """A fine-tuned model's own language needs no file of its own, also after another one."""
    copy = Path(shutil.copytree(folder, tmp_path / "mms"))
    (copy / "adapter.eng.safetensors").unlink()
    mms = engine(copy)
    mms.preload(download=False, language="eng")
    for language, code in ((None, "eng"), ("fr", "fra"), ("en", "eng")):
        assert hear(mms, CLIP, language=language)[0].text == expected[code]


def test_batch_and_words(mms: Transformers, expected: dict[str, str]) -> None:
    """Word times and batches have the language's letters too."""
    batch = hear(mms, CLIP, sound(1.0), CLIP, language="fr", return_timestamps="word")
    for transcript in (batch[0], batch[2]):
        assert transcript.text == expected["fra"]
        assert "".join(word for word, *_ in words(transcript)) == expected["fra"].replace(" ", "")


def test_unknown_language(mms: Transformers, expected: dict[str, str]) -> None:
    """A language that the model has not is not used, and that is said; the model's own is."""
    for language in ("de", "Klingon"):
        transcript = hear(mms, CLIP, language=language)[0]
        assert (transcript.text, transcript.language) == (expected["eng"], "eng")
        assert transcript.warnings == (f"transformers: language={language!r} is none of this model's; it was not used",)


def test_one_language_only(tiny_model: TinyModel) -> None:
    """A model with one vocabulary says that it cannot choose."""
    plain = engine(tiny_model(tiny.tiny_ctc))
    told = hear(plain, CLIP, language="fr")[0]
    assert told.text == hear(plain, CLIP)[0].text
    assert len(told.warnings) == 1
    assert told.warnings[0].startswith("transformers: language='fr' is beyond this model")


@pytest.mark.parametrize(
    "broken",
    [None, b"not weights", save({"lm_head.weight": torch.zeros(32, 32)}), save({"lm_head.bias": torch.zeros(32)})],
    ids=["missing", "damaged", "of-another-model", "without-a-head"],
)
def test_adapter_that_cannot_be_had(
    broken: bytes | None, folder: Path, tmp_path: Path, expected: dict[str, str]
) -> None:
    """A missing or damaged adapter is named; other languages work before and after."""
    copy = Path(shutil.copytree(folder, tmp_path / "mms"))
    file = copy / "adapter.fra.safetensors"
    file.unlink() if broken is None else file.write_bytes(broken)
    mms = engine(copy)
    assert hear(mms, CLIP)[0].text == expected["eng"]
    for _ in range(2):
        with pytest.raises(
            BackendLoadError, match=r"^the adapter for language 'fra' could not be loaded: .*; choose another"
        ):
            hear(mms, CLIP, language="fr")
        assert hear(mms, CLIP)[0].text == expected["eng"]
    assert hear(mms, CLIP, language="zh")[0].text == expected["cmn-script_simplified"]


def test_weights_are_the_files(mms: Transformers, folder: Path) -> None:
    """After a call the model holds just the weights of that language's file."""
    hear(mms, CLIP, language="fr")
    checkpoint, _ = mms._loaded or pytest.fail("not loaded")
    held = checkpoint.model._get_adapters()
    wanted = load_file(folder / "adapter.fra.safetensors")
    assert set(held) == set(wanted)
    assert all(held[name].equal(weights) for name, weights in wanted.items())


def test_fetched_ahead(hub: Hub, on_hub: str, unplug: Callable[[], None], expected: dict[str, str]) -> None:
    """What ``preload`` has fetched for a language needs no network later; the other languages are not fetched."""
    first = engine(on_hub)  # type: ignore[arg-type]  # a name on the Hub
    first.preload(language="fr")
    assert [name for name in hub.downloads() if name.startswith("adapter")] == ["adapter.fra.safetensors"]
    first.close()
    unplug()
    second = engine(on_hub)  # type: ignore[arg-type]  # the same
    second.preload(download=False, language="fr")
    assert hear(second, CLIP, language="fr")[0].text == expected["fra"]
    with pytest.raises(BackendLoadError, match="not on this machine"):
        second.preload(download=False, language="zh")


def test_fetched_when_asked_for(hub: Hub, on_hub: str, expected: dict[str, str]) -> None:
    """A call in another language fetches its file, once."""
    mms = engine(on_hub)  # type: ignore[arg-type]  # a name on the Hub
    for language in ("fra", "eng", "fra"):
        assert hear(mms, CLIP, language=language)[0].text == expected[language]
    assert hub.downloads().count("adapter.fra.safetensors") == 1


def test_local_only(on_hub: str, unplug: Callable[[], None], folder: Path) -> None:
    """A client that may not use the network runs what is here, and says what is not, beside one that may."""
    clip = Audio(CLIP, RATE)
    as_clients_have_it = engine(folder, dtype="auto")
    expected = {code: hear(as_clients_have_it, CLIP, language=code)[0].text for code in LANGUAGES}
    assert len(set(expected.values())) == len(LANGUAGES)
    with (
        ASRClient(on_hub, backend="transformers") as free,
        ASRClient(on_hub, backend="transformers", local_only=True) as bound,
    ):
        assert free.transcribe(clip, language="eng").text == expected["eng"]
        assert free.transcribe(clip, language="fra").text == expected["fra"]
        unplug()
        assert bound.transcribe(clip, language="eng").text == expected["eng"]
        assert bound.transcribe(clip, language="fra").text == expected["fra"]
        with pytest.raises(BackendLoadError, match="adapter"):
            bound.transcribe(clip, language="zh")
        assert bound.transcribe(clip, language="fra").text == expected["fra"]
