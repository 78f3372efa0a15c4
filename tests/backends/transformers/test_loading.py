"""A model from a folder: what it becomes, and what is said where it cannot be one."""

from __future__ import annotations

import gc
import json
import logging
import pickle
import shutil
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import hfasr
from hfasr.backends.transformers import packed
from hfasr.backends.transformers.devices import Dtypes, choose_device, choose_dtypes, is_out_of_memory
from hfasr.backends.transformers.loading import Checkpoint, load_checkpoint
from hfasr.backends.transformers.quiet import quiet
from hfasr.backends.transformers.recognise import Kind, kind_of
from hfasr.backends.transformers.settings import Settings
from tests import tiny
from tests.backends.transformers.hub import Hub, Repository

TinyModel = Callable[..., Path]
Weights = dict[str, torch.Tensor]

FAMILIES = [
    ((tiny.tiny_ctc, "wav2vec2"), "ctc", "Wav2Vec2ForCTC"),
    ((tiny.tiny_ctc, "hubert"), "ctc", "HubertForCTC"),
    ((tiny.tiny_ctc, "wavlm"), "ctc", "WavLMForCTC"),
    ((tiny.tiny_mms,), "ctc", "Wav2Vec2ForCTC"),
    ((tiny.tiny_parakeet, "ctc"), "ctc", "ParakeetForCTC"),
    ((tiny.tiny_parakeet, "tdt"), "transducer", "ParakeetForTDT"),
    ((tiny.tiny_whisper,), "whisper", "WhisperForConditionalGeneration"),
    ((tiny.tiny_moonshine,), "seq2seq", "MoonshineForConditionalGeneration"),
    ((tiny.tiny_speech2text,), "seq2seq", "Speech2TextForConditionalGeneration"),
]


@pytest.fixture
def ctc(tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A tiny CTC model's folder, which the test may change."""
    return Path(shutil.copytree(tiny_model(tiny.tiny_ctc), tmp_path / "ctc"))


@pytest.fixture
def whisper(tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A tiny Whisper's folder, which the test may change."""
    return Path(shutil.copytree(tiny_model(tiny.tiny_whisper), tmp_path / "whisper"))


def load(folder: Path | str, *, download: bool = False, **settings: Any) -> Checkpoint:
    return load_checkpoint(Settings(str(folder), **settings), download=download)


def refused(message: str, folder: Path | str, error: type[Exception] = hfasr.BackendLoadError, **settings: Any) -> None:
    """See that it is refused with *message*, in one line that ends in a remedy."""
    with pytest.raises(error, match=message) as caught:
        load(folder, **settings)
    assert "; " in str(caught.value)


def configure(folder: Path, **changes: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return folder


def reweigh(folder: Path, change: Callable[[Weights], Weights]) -> Path:
    file = folder / "model.safetensors"
    weights = change(load_file(file))
    file.unlink()  # it may be mapped into memory
    save_file(weights, file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("made", "kind", "architecture"), FAMILIES)
def test_families(
    made: tuple[Any, ...],
    kind: str,
    architecture: str,
    tiny_model: TinyModel,
    unplug: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every family is told from its config and loads without a socket, silently and ready to run."""
    if made[0] is tiny.tiny_speech2text:
        pytest.importorskip("sentencepiece")
    folder = tiny_model(*made)
    capfd.readouterr()
    unplug()
    loaded = load(folder)
    assert (loaded.kind, type(loaded.model).__name__) == (kind, architecture)
    assert (loaded.device.type, loaded.dtypes.sums, loaded.sampling_rate) == ("cpu", torch.float32, 16_000)
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert callable(loaded.feature_extractor)
    assert loaded.tokenizer.decode([]) == ""
    assert (loaded.snapshot.folder, loaded.snapshot.commit) == (folder, None)
    assert capfd.readouterr() == ("", "")


def test_from_the_hub(tiny_model: TinyModel, hub: Hub, unplug: Callable[[], None]) -> None:
    """A model of the Hub is fetched once, and loads from the cache without a socket ever after."""
    hub.repositories["org/whisper"] = Repository(tiny_model(tiny.tiny_whisper))
    loaded = load("org/whisper", download=True)
    assert loaded.snapshot.commit == "a" * 40
    unplug()
    assert load("org/whisper").snapshot == loaded.snapshot


def test_unfit_model_of_the_hub(tiny_model: TinyModel, hub: Hub) -> None:
    """A model that cannot transcribe is refused before its weights are fetched."""
    hub.repositories["org/xlsr"] = Repository(tiny_model(tiny.pretrained_encoder))
    refused("has no head for speech recognition", "org/xlsr", download=True)
    assert hub.downloads() == ["config.json"]


def test_damaged_download(tiny_model: TinyModel, hub: Hub) -> None:
    """Of a damaged model of the Hub the folder to delete is named, and deleting it helps."""
    hub.repositories["org/ctc"] = Repository(tiny_model(tiny.tiny_ctc))
    loaded = load("org/ctc", download=True)
    weights = (loaded.snapshot.folder / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:1_000])
    del loaded
    with pytest.raises(
        hfasr.BackendLoadError, match=r"is damaged .*; delete .*models--org--ctc and load it again"
    ) as caught:
        load("org/ctc", download=True)
    shutil.rmtree(str(caught.value).split("; delete ")[1].split(" and load")[0])
    assert load("org/ctc", download=True).kind == "ctc"


@pytest.mark.parametrize(
    ("architecture", "model_type", "said"),
    [
        ("Wav2Vec2ForPreTraining", "wav2vec2", "was pretrained without transcripts and has no head"),
        ("Wav2Vec2Model", "wav2vec2", "was pretrained without transcripts and has no head"),
        ("HubertModel", "hubert", "was pretrained without transcripts and has no head"),
        ("Wav2Vec2ForSequenceClassification", "wav2vec2", "sorts audio into classes and does not transcribe"),
        ("WhisperForAudioClassification", "whisper", "sorts audio into classes and does not transcribe"),
        ("WavLMForXVector", "wavlm", "sorts audio into classes and does not transcribe"),
        ("VoxtralForConditionalGeneration", "voxtral", "answers a chat with audio in it"),
        ("Qwen3ASRForConditionalGeneration", "qwen3_asr", "answers a chat with audio in it"),
        ("GraniteSpeechForConditionalGeneration", "granite_speech", "answers a chat with audio in it"),
        ("BertForMaskedLM", "bert", "is no speech-recognition model of transformers"),
        ("LlamaForCausalLM", "llama", "is no speech-recognition model of transformers"),
        ("VitsModel", "vits", "is no speech-recognition model of transformers"),
        ("DiaForConditionalGeneration", "dia", "is no speech-recognition model of transformers"),
        ("SpeechT5ForTextToSpeech", "speecht5", "is no speech-recognition model of transformers"),
        ("NewForCTC", "new_type", f"is of the type 'new_type', which transformers {transformers.__version__} does not"),
        ("Wav2Vec2ForCTC", None, "names no model_type"),
    ],
)
def test_not_a_recogniser(architecture: str, model_type: str | None, said: str, ctc: Path) -> None:
    """What does not transcribe, or not in our way, is said to be what it is."""
    refused(said, configure(ctc, architectures=[architecture], model_type=model_type))


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}, "whisper"),
        ({"model_type": "whisper"}, "whisper"),
        ({"model_type": "wav2vec2", "architectures": None}, "ctc"),
        ({"model_type": "wav2vec2-bert", "architectures": ["Wav2Vec2BertForCTC"]}, "ctc"),
        ({"model_type": "parakeet_rnnt", "architectures": ["ParakeetForRNNT"]}, "transducer"),
        ({"model_type": "speech-encoder-decoder", "architectures": ["SpeechEncoderDecoderModel"]}, "seq2seq"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "x.C", "AutoModelForCTC": "x.M"}}, "ctc"),
    ],
)
def test_kinds(config: dict[str, Any], kind: str) -> None:
    """The way to transcribe is told from config.json alone."""
    assert kind_of("org/model", config, trust_remote_code=True) == kind


@pytest.mark.parametrize("architectures", [None, [], [5], "Wav2Vec2ForCTC"])
def test_odd_architectures(architectures: object, ctc: Path) -> None:
    """Where config.json names no class, or nonsense, the type decides."""
    assert load(configure(ctc, architectures=architectures)).kind == "ctc"


REMOTE = """
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

class OwnConfig(Wav2Vec2Config):
    model_type = "own"

class OwnForCTC(Wav2Vec2ForCTC):
    config_class = OwnConfig
"""


def test_remote_code(ctc: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code of a repository runs with trust_remote_code=True only."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (ctc / "own.py").write_text(REMOTE, encoding="utf-8")
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCTC": "own.OwnForCTC"}
    configure(ctc, model_type="own", architectures=["OwnForCTC"], auto_map=names)
    refused("needs Python code of its own repository; read it, and pass trust_remote_code=True if you trust it", ctc)
    assert not (tmp_path / "modules").exists()
    assert type(load(ctc, trust_remote_code=True).model).__name__ == "OwnForCTC"


def test_remote_code_of_another_kind(ctc: Path) -> None:
    """Code that offers no recogniser is refused before it runs."""
    configure(ctc, model_type="own", auto_map={"AutoModel": "own.Model"})
    refused("offers neither AutoModelForCTC nor AutoModelForSpeechSeq2Seq", ctc, trust_remote_code=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {k: v for k, v in w.items() if "lm_head" not in k}, "has no head for speech recognition"),
        (
            lambda w: {k: v for k, v in w.items() if "encoder.layers.1" not in k},
            r"16 of the weights .* are missing .*layers\.1",
        ),
        (lambda w: w | {"lm_head.bias": w["lm_head.bias"][:5].clone()}, r"not of the shapes .*\(lm_head\.bias\)"),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[Weights], Weights], said: str, ctc: Path) -> None:
    """A model never runs with random weights."""
    refused(said, reweigh(ctc, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda w: {k: v for k, v in w.items() if "masked_spec_embed" not in k},
        lambda w: w | {"quantizer.codevectors": torch.zeros(3)},
        lambda w: {
            k.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): v
            for k, v in w.items()
        },
    ],
)
def test_weights_that_differ_harmlessly(change: Callable[[Weights], Weights], ctc: Path) -> None:
    """What only training uses, what is too much, and the names of older versions change nothing."""
    before = load(ctc).model.state_dict()
    after = load(reweigh(ctc, change)).model.state_dict()
    for name in before:
        assert "masked_spec_embed" in name or torch.equal(before[name], after[name]), name


@pytest.mark.parametrize("n_bytes", [0, 4, 100, 5_000, -100])
def test_cut_off_weights(n_bytes: int, ctc: Path) -> None:
    """Weights that were cut off are said to be damaged."""
    file = ctc / "model.safetensors"
    file.write_bytes(file.read_bytes()[:n_bytes])
    refused(r"^a file of the model .* is damaged \(.*header.*\); see that every file of it is there and whole", ctc)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"<html>not found</html>", "is damaged"),
        ("processor_config.json", b"{", "the feature extractor .* could not be loaded"),
        ("processor_config.json", None, "the feature extractor .* could not be loaded"),
        ("tokenizer_config.json", b"{", "the tokenizer .* could not be loaded"),
        ("vocab.json", None, "the tokenizer .* could not be loaded"),
        ("vocab.json", b"{}", "the tokenizer .* knows 5 tokens and the model 32: files of it are missing"),
        ("config.json", b"{", "the config.json of .* cannot be read"),
        ("config.json", b'{"model_type": "wav2vec2", "num_hidden_layers": "many"}', "could not be loaded"),
    ],
)
def test_damaged_files(name: str, content: bytes | None, said: str, ctc: Path) -> None:
    """Of a damaged or missing file at least the part of the model is named."""
    if content is None:
        (ctc / name).unlink()
    else:
        (ctc / name).write_bytes(content)
    refused(said, ctc)


def test_empty_tokenizer(whisper: Path) -> None:
    """A Whisper without its tokenizer's files is refused: transformers would make every text empty."""
    (whisper / "tokenizer.json").unlink()
    refused("knows 11 tokens and the model 1768: files of it are missing, or belong to another model", whisper)


def test_processor_that_needs_another_package(ctc: Path) -> None:
    """A model with a language model beside it runs without, where the decoder's package is not installed."""
    file = ctc / "processor_config.json"
    text = file.read_text(encoding="utf-8").replace("Wav2Vec2Processor", "Wav2Vec2ProcessorWithLM")
    file.write_text(text, encoding="utf-8")
    loaded = load(ctc)
    assert type(loaded.feature_extractor).__name__ == "Wav2Vec2FeatureExtractor"
    assert type(loaded.tokenizer).__name__ == "Wav2Vec2CTCTokenizer"


def test_tokenizer_that_needs_another_package(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that this model needs and others do not is named."""

    def fail(*args: object, **settings: object) -> None:
        raise ImportError("Speech2TextTokenizer requires the SentencePiece library\nmore")

    for name in ("AutoProcessor", "AutoTokenizer"):
        monkeypatch.setattr(getattr(transformers, name), "from_pretrained", fail)
    with pytest.raises(
        hfasr.BackendNotInstalledError, match=r"needs a package .*: Speech2TextTokenizer requires the Sent"
    ):
        load(tiny_model(tiny.tiny_ctc))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("evil"),)


def test_pickled_weights(ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickled weights load on request only, and even then a pickle runs no code."""
    monkeypatch.chdir(tmp_path)
    weights = load_file(ctc / "model.safetensors")
    (ctc / "model.safetensors").unlink()
    torch.save(weights, ctc / "pytorch_model.bin")
    refused("are pickled, and loading a pickle can run any code", ctc)
    assert load(ctc, use_safetensors=False).kind == "ctc"
    (ctc / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    refused("could not be loaded", ctc, use_safetensors=False)
    assert not Path("evil").exists()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtype(dtype: str, tiny_model: TinyModel) -> None:
    """The model computes in the numbers that were asked for, whatever it was stored in."""
    loaded = load(tiny_model(tiny.tiny_whisper), dtype=dtype)
    wanted = getattr(torch, dtype)
    assert {weight.dtype for weight in loaded.model.parameters()} == {wanted}
    assert loaded.dtypes == Dtypes(wanted, wanted)


@pytest.mark.parametrize("can", [True, False])
def test_dtype_of_products(can: bool, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CTC model in bfloat16 on a CPU keeps its sums in float32, where the processor can multiply so."""
    monkeypatch.setattr(packed, "can_pack", lambda dtype: can)
    loaded = load(tiny_model(tiny.tiny_ctc), dtype="bfloat16")
    sums = torch.float32 if can else torch.bfloat16
    assert {weight.dtype for weight in loaded.model.parameters()} == {sums}
    assert loaded.dtypes == Dtypes(sums, torch.bfloat16)


@pytest.mark.parametrize(
    ("device", "kind", "tiles", "can", "sums", "products"),
    [
        ("cuda", "ctc", True, True, torch.float16, torch.float16),
        ("cuda", "whisper", False, False, torch.float16, torch.float16),
        ("mps", "ctc", True, True, torch.float32, torch.float32),
        ("cpu", "ctc", True, True, torch.float32, torch.bfloat16),
        ("cpu", "ctc", True, False, torch.float32, torch.float32),
        ("cpu", "ctc", False, True, torch.float32, torch.float32),
        ("cpu", "ctc", None, True, torch.float32, torch.float32),
        ("cpu", "whisper", True, True, torch.float32, torch.float32),
        ("cpu", "seq2seq", True, True, torch.float32, torch.float32),
        ("cpu", "transducer", True, True, torch.float32, torch.float32),
    ],
)
def test_automatic_dtype(
    device: str,
    kind: Kind,
    tiles: bool | None,
    can: bool,
    sums: torch.dtype,
    products: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CUDA computes in float16; CTC models multiply in bfloat16 where a CPU has tiles for it; the rest is float32."""
    monkeypatch.setattr(packed, "can_pack", lambda dtype: can)
    name = "_is_amx_tile_supported"
    if tiles is None:  # a torch that cannot tell
        monkeypatch.delattr(torch.cpu, name, raising=False)
    else:
        monkeypatch.setattr(torch.cpu, name, lambda: tiles, raising=False)
    assert choose_dtypes("auto", torch.device(device), kind) == Dtypes(sums, products)


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(2, True, "cuda"), (0, True, "mps"), (0, False, "cpu")])
def test_automatic_device(cuda: int, mps: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA goes before MPS, and the CPU is always there."""
    equip(monkeypatch, cuda, mps)
    assert choose_device("auto") == torch.device(chosen)


def equip(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("device", "n_cuda", "version", "said"),
    [
        ("cuda", 0, None, "this torch was built without CUDA"),
        ("cuda", 0, "13.0", "torch finds no CUDA device"),
        ("cuda:3", 2, "13.0", "there is cuda:0 to cuda:1"),
        ("cuda:1", 1, "13.0", "there is cuda:0 only"),
        ("mps", 0, None, "torch finds no Metal device"),
    ],
)
def test_absent_device(
    device: str, n_cuda: int, version: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is not here is refused with the reason, before anything is fetched."""
    equip(monkeypatch, n_cuda)
    monkeypatch.setattr(torch.version, "cuda", version)
    with pytest.raises(
        hfasr.BackendLoadError, match=f"^device='{device}' is not usable here: {said}; use device='cpu'"
    ):
        load("org/model", device=device, download=True)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB)"),
    ],
)
def test_out_of_memory(error: Exception, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that does not fit into memory says so, and the error does not keep the part that was loaded."""
    assert is_out_of_memory(error)
    parts: list[weakref.ref[Any]] = []

    def fail(self: Any, *args: object) -> None:
        parts.append(weakref.ref(self))
        raise error

    monkeypatch.setattr(transformers.Wav2Vec2ForCTC, "to", fail)
    with pytest.raises(
        hfasr.BackendLoadError, match="does not fit into the memory of cpu; use a smaller model"
    ) as caught:
        load(tiny_model(tiny.tiny_ctc))
    gc.collect()
    assert caught.value is not None
    assert [part() for part in parts] == [None]


def test_failing_device(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails is told from a model that is damaged."""

    def fail(self: Any, *args: object) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered\nmore")

    monkeypatch.setattr(transformers.Wav2Vec2ForCTC, "to", fail)
    refused("^cpu failed while it took the model .*device-side assert triggered", tiny_model(tiny.tiny_ctc))


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")])
def test_not_out_of_memory(error: Exception) -> None:
    """Other failures are not taken for a want of memory."""
    assert not is_out_of_memory(error)


def test_freed(tiny_model: TinyModel) -> None:
    """A checkpoint that nobody holds is freed: nothing here keeps the model."""
    loaded = load(tiny_model(tiny.tiny_whisper))
    model = weakref.ref(loaded.model)
    del loaded
    gc.collect()
    assert model() is None


def test_threads(tiny_model: TinyModel) -> None:
    """Models of several types and data types load in threads at once, each in its own."""
    wanted = [(tiny.tiny_ctc, "float16"), (tiny.tiny_whisper, "float32"), (tiny.tiny_moonshine, "bfloat16")] * 3
    with ThreadPoolExecutor(4) as threads:
        loaded = list(threads.map(lambda one: load(tiny_model(one[0]), dtype=one[1]), wanted))
    assert [next(one.model.parameters()).dtype for one in loaded] == [getattr(torch, dtype) for _, dtype in wanted]
    assert torch.get_default_dtype() == torch.float32


def test_quiet_is_ours_alone(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Inside `quiet` transformers says nothing but errors; outside, and in other threads, what it always did."""
    theirs = transformers.utils.logging
    logger = theirs.get_logger("transformers.hfasr_test")
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("transformers").addHandler(handler)

    def speak(name: str) -> None:
        logger.warning("advice %s", name)
        for _ in theirs.tqdm(range(1), desc=f"bar {name}"):
            pass

    before = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    try:
        speak("before")
        with quiet():
            assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == before
            speak("inside")
            logger.error("trouble")
            with ThreadPoolExecutor(1) as threads:
                threads.submit(speak, "elsewhere").result()
        speak("after")
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    said = capfd.readouterr().err
    for name in ("before", "elsewhere", "after"):
        assert f"advice {name}" in said
        assert f"bar {name}" in said
    assert "inside" not in said
    assert "trouble" in said
    assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == before


BROKEN = {
    "no torch": ("sys.modules['torch'] = None", "BackendNotInstalledError", "needs torch, which is not installed; run: pip"),
    "broken torch": (
        "package('torch', 'raise OSError(\"libtorch.so: cannot open shared object file\")')",
        "BackendNotInstalledError",
        "cannot be imported (OSError: libtorch.so: cannot open shared object file); install them again: pip install",
    ),
    "torchaudio for another torch": (
        "package('torchaudio', 'raise OSError(\"libc10_cuda.so: cannot open shared object file\")')",
        "BackendNotInstalledError",
        "torchaudio does not fit the torch that is installed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_installation(case: str, tmp_path: Path) -> None:
    """Packages that are missing or do not fit each other are named with the command that helps, before any download."""
    do, error, message = BROKEN[case]
    program = f"""
import importlib.metadata, pathlib, sys
def package(name, code):
    folder = pathlib.Path({str(tmp_path)!r}, name)
    folder.mkdir()
    (folder / "__init__.py").write_text(code)
    (folder.parent / (name + "-99.0.dist-info")).mkdir()
    (folder.parent / (name + "-99.0.dist-info") / "METADATA").write_text("Name: " + name + "\\nVersion: 99.0\\n")
    sys.path.insert(0, str(folder.parent))
{do}
from hfasr.backends.transformers.loading import load_checkpoint
from hfasr.backends.transformers.settings import Settings
try:
    load_checkpoint(Settings("org/model"), download=True)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.startswith(error), done.stdout
    assert message in done.stdout


def test_no_warning(tiny_model: TinyModel) -> None:
    """Loading raises no Python warning, so that a caller may turn warnings into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factory in (tiny.tiny_ctc, tiny.tiny_whisper, tiny.tiny_moonshine):
            load(tiny_model(factory))
