"""What a repository or folder holds, told from the names of its files and from its config.json."""

from __future__ import annotations

import importlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hfasr.errors import BackendLoadError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["PICKLED", "SAFETENSORS", "Kind", "check_files", "kind_of", "weight_patterns"]

Kind: TypeAlias = Literal["ctc", "whisper", "seq2seq", "transducer"]
"""The ways in which a model of transformers is made to transcribe."""

# Not "*.safetensors": whisper-large-v3 has its weights a second time in float32, and MMS over a
# thousand adapters beside them.
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")

_OTHERS = (
    ("hyperparams.yaml", "a SpeechBrain model"),
    ("meta.yaml", "an ESPnet model"),
    ("*.nemo", "a NeMo model"),
    ("model_index.json", "a Diffusers model"),
    ("adapter_config.json", "an adapter (PEFT), not a whole model: merge it into its base model"),
    ("*.gguf", "a GGUF model"),
    ("ggml-*.bin", "a whisper.cpp model"),
    ("*.onnx", "an ONNX model"),
    ("weights.npz", "an MLX model"),
    ("weights.*.safetensors", "an MLX model"),
    ("weights.safetensors", "an MLX model"),
    ("model.bin", "a CTranslate2 (faster-whisper) model"),
    ("tf_model.h5", "a TensorFlow model"),
    ("flax_model.msgpack", "a Flax model"),
    ("config.yaml", "a model of another library"),
)
"""What a file tells, the surest first; looked at where transformers' own files are missing."""

_NOT_FOR_SPEECH = frozenset({"dia", "pop2piano", "seamless_m4t", "seamless_m4t_v2", "vibevoice"})
"""Types that transformers lists with the speech recognisers, but which make sound, or make it as well."""


def weight_patterns(names: Collection[str], *, use_safetensors: bool) -> tuple[str, ...]:
    """Return the patterns of the weights to load, out of files called *names*."""
    if use_safetensors or _any(names, SAFETENSORS):
        return SAFETENSORS
    return PICKLED


def check_files(model: str, names: Collection[str], *, use_safetensors: bool) -> None:
    """
    See that files called *names* are a model of transformers.

    Args:
        model: Its name, for the messages.

        names: Paths inside the repository or folder, with ``/``.

        use_safetensors: Whether pickled weights are refused.

    Raises:
        BackendLoadError: They are a model of another library, or have no weights that may be loaded.
    """
    if "config.json" in names:
        if _any(names, weight_patterns(names, use_safetensors=use_safetensors)):
            return
        if _any(names, PICKLED):
            raise BackendLoadError(
                f"the weights of {model!r} are pickled, and loading a pickle can run any code; choose a model with "
                "safetensors, or pass use_safetensors=False if you trust its author"
            )
    base_names = {name.rsplit("/", 1)[-1] for name in names}
    for pattern, what in _OTHERS:
        if _any(base_names, (pattern,)):
            raise BackendLoadError(
                f"{model!r} is {what} ({pattern}), which the backend 'transformers' cannot run; choose a "
                "speech-recognition model in the format of transformers"
            )
    missing = "weights" if "config.json" in names else "config.json"
    raise BackendLoadError(
        f"{model!r} holds no {missing}, so it is no model of transformers; check the name, or choose another model"
    )


def kind_of(model: str, config: Mapping[str, Any], *, trust_remote_code: bool) -> Kind:
    """
    Return how the model with *config* transcribes.

    Args:
        model: Its name, for the messages.

        config: What its config.json holds.

        trust_remote_code: Whether code of the repository may run.

    Raises:
        BackendLoadError: It does not transcribe, or only with code that may not run.
    """
    tables = _tables()
    model_type = config.get("model_type")
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else None
    remote = config.get("auto_map")
    if isinstance(remote, dict) and model_type not in _known_types():
        return _kind_of_remote(model, remote, trust_remote_code=trust_remote_code)
    if not isinstance(model_type, str):
        raise BackendLoadError(
            f"the config.json of {model!r} names no model_type, so it is no model of transformers; choose another"
        )
    wanted = architecture or model_type
    kinds: tuple[tuple[Kind, str], ...] = (
        ("ctc", "CTC"),
        ("transducer", "TDT"),
        ("transducer", "RNNT"),
        ("seq2seq", "SPEECH_SEQ_2_SEQ"),
    )
    if model_type not in _NOT_FOR_SPEECH and not _lists(tables["MULTIMODAL_LM"], wanted):
        for kind, table in kinds:
            if _lists(tables[table], wanted):
                return "whisper" if kind == "seq2seq" and model_type == "whisper" else kind
    raise BackendLoadError(f"{model!r} {_what_else(tables, model_type, wanted)}")


def _kind_of_remote(model: str, remote: Mapping[str, Any], *, trust_remote_code: bool) -> Kind:
    if not trust_remote_code:
        raise BackendLoadError(
            f"{model!r} needs Python code of its own repository; read it, and pass trust_remote_code=True if you "
            "trust it, or choose another model"
        )
    kinds: dict[str, Kind] = {"AutoModelForCTC": "ctc", "AutoModelForSpeechSeq2Seq": "seq2seq"}
    for name, kind in kinds.items():
        if name in remote:
            return kind
    raise BackendLoadError(
        f"the code of {model!r} offers neither AutoModelForCTC nor AutoModelForSpeechSeq2Seq; choose another model"
    )


def _what_else(tables: Mapping[str, Mapping[str, Any]], model_type: str, wanted: str) -> str:
    """Say what a model is that does not transcribe, or not in our way."""
    from transformers import __version__

    if model_type not in _known_types():
        return (
            f"is of the type {model_type!r}, which transformers {__version__} does not know; upgrade transformers, or "
            "choose another model"
        )
    if _lists(tables["MULTIMODAL_LM"], wanted):
        return (
            f"({wanted}) answers a chat with audio in it, which the backend 'transformers' does not do; "
            "use a server for it (base_url), or choose a CTC, Whisper, seq2seq or transducer model"
        )
    if "Classification" in wanted or "XVector" in wanted:
        return f"({wanted}) sorts audio into classes and does not transcribe; choose a speech-recognition model"
    if model_type in tables["CTC"]:
        return (
            f"({wanted}) was pretrained without transcripts and has no head for speech recognition; fine-tune it "
            "first, or choose a model that is"
        )
    return f"({wanted}) is no speech-recognition model of transformers; choose one that is"


def _tables() -> dict[str, Mapping[str, Any]]:
    """Return transformers' own tables: for each task which type has which class."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    names = ("CTC", "TDT", "RNNT", "SPEECH_SEQ_2_SEQ", "MULTIMODAL_LM")
    return {name: getattr(auto, f"MODEL_FOR_{name}_MAPPING_NAMES", {}) for name in names}  # some came with 5.x


def _known_types() -> Collection[str]:
    types: Collection[str] = importlib.import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES
    return types


def _lists(mapping: Mapping[str, Any], wanted: str) -> bool:
    # Some types stand there with several classes.
    classes = {name for names in mapping.values() for name in ((names,) if isinstance(names, str) else names)}
    return wanted in classes or wanted in mapping


def _any(names: Collection[str], patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
