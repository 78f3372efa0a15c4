"""A model and its processor, loaded from a folder, checked and ready on its device."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hfasr._forks import ForkedLock
from hfasr.errors import BackendError, BackendLoadError, BackendNotInstalledError, HfasrError

from .devices import choose_device, choose_dtypes, is_out_of_memory
from .failures import causes, first_line
from .fetch import resolve
from .libraries import import_libraries
from .quiet import quiet
from .recognise import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from .devices import Dtypes
    from .fetch import Snapshot
    from .recognise import Kind
    from .settings import Settings

__all__ = ["Checkpoint", "load_checkpoint"]

_AUTO_CLASS: dict[Kind, str] = {
    "ctc": "AutoModelForCTC",
    "whisper": "AutoModelForSpeechSeq2Seq",
    "seq2seq": "AutoModelForSpeechSeq2Seq",
}

# Used in training only, and absent from many published checkpoints.
_HARMLESS = ("masked_spec_embed",)

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 48_000
WHISPER_WINDOW_S = 30

# transformers builds models in a data type that it sets for the whole process.
_one_at_a_time = ForkedLock()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that is ready to transcribe."""

    kind: Kind
    """How it is made to transcribe."""

    model: Any
    """The `transformers.PreTrainedModel`, in evaluation mode, without gradients."""

    processor: Any
    """The model's processor, or a pair of `feature_extractor` and `tokenizer` where it has none."""

    feature_extractor: Any
    """Makes the model's input from samples."""

    tokenizer: Any
    """Makes text from the model's output."""

    device: torch.device
    """Where the model is."""

    dtypes: Dtypes
    """What it computes in; loaded in that of its sums."""

    sampling_rate: int
    """Rate of the samples that it wants, Hz."""

    snapshot: Snapshot
    """Where it came from."""


def load_checkpoint(settings: Settings, *, download: bool) -> Checkpoint:
    """
    Load a model, fetching it first where it must and may be.

    Args:
        settings: What to load, and how.

        download: Whether the Hub may be asked; without, no socket is opened.

    Raises:
        BackendNotInstalledError: A package is missing or broken.
        BackendLoadError: The model is not here, is no speech recogniser, is damaged, or does not fit.
    """
    import_libraries()
    device = choose_device(settings.device)
    recognise = partial(kind_of, settings.model, trust_remote_code=settings.trust_remote_code)
    snapshot = resolve(settings, download=download, check=recognise)
    config = snapshot.config()
    kind = recognise(config)
    dtypes = choose_dtypes(settings.dtype, device, kind)
    _check_side_doors(config, snapshot)
    try:
        processor, model = _load(kind, snapshot, settings, device, dtypes.sums)
    except HfasrError:
        raise
    except Exception as error:
        # Else the error would keep what was loaded of the model, where memory may have run out.
        traceback.clear_frames(error.__traceback__)
        raise _explained(error, snapshot, device) from error
    _check_numbers(processor, kind, snapshot)
    return Checkpoint(
        kind=kind,
        model=model,
        processor=processor,
        feature_extractor=processor.feature_extractor,
        tokenizer=processor.tokenizer,
        device=device,
        dtypes=dtypes,
        sampling_rate=int(processor.feature_extractor.sampling_rate),
        snapshot=snapshot,
    )


def _check_side_doors(config: Mapping[str, Any], snapshot: Snapshot) -> None:
    """Refuse what makes transformers load other weights than those that were looked at."""
    if "transformers_weights" in config:
        raise BackendLoadError(
            f"the config.json of {snapshot.model!r} names weights of its own choice (transformers_weights), which "
            "need not be safetensors; take that out, or choose another model"
        )
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = snapshot.folder / name
        if path.is_file() and b"audio_tokenizer" in path.read_bytes():
            raise BackendLoadError(
                f"the {name} of {snapshot.model!r} loads a second model (audio_tokenizer), which is not done here; "
                "choose another model"
            )


def _check_numbers(processor: Any, kind: Kind, snapshot: Snapshot) -> None:
    """Refuse settings that would make memory or time without end of a small clip."""
    features = processor.feature_extractor
    rate = getattr(features, "sampling_rate", None)
    if isinstance(rate, bool) or not isinstance(rate, int) or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise BackendLoadError(
            f"the model {snapshot.model!r} asks for a sampling rate of {rate!r:.40}, which is none of speech "
            f"({MIN_RATE_HZ} to {MAX_RATE_HZ} Hz); mend its preprocessor_config.json, or choose another model"
        )
    if kind == "whisper" and getattr(features, "n_samples", None) != WHISPER_WINDOW_S * rate:
        raise BackendLoadError(
            f"the model {snapshot.model!r} is a Whisper with other windows than 30 s; mend its "
            "preprocessor_config.json, or choose another model"
        )


def _load(
    kind: Kind, snapshot: Snapshot, settings: Settings, device: torch.device, dtype: torch.dtype
) -> tuple[Any, Any]:
    with _one_at_a_time, quiet():
        processor = _load_processor(snapshot, settings)
        model = _load_model(kind, snapshot, settings, dtype)
        _check_vocabulary(processor.tokenizer, model, snapshot)
        return processor, model.eval().requires_grad_(requires_grad=False).to(device)


def _load_processor(snapshot: Snapshot, settings: Settings) -> Any:
    import transformers

    how = {"local_files_only": True, "trust_remote_code": settings.trust_remote_code}
    try:
        processor = transformers.AutoProcessor.from_pretrained(snapshot.folder, **how)
        if hasattr(processor, "feature_extractor") and hasattr(processor, "tokenizer"):
            return processor
    except (ImportError, LookupError, OSError, TypeError, ValueError):
        # Such as a processor with a language model, for which pyctcdecode would be needed; what is
        # truly wrong shows below.
        pass
    return SimpleNamespace(
        feature_extractor=_load_part("feature extractor", transformers.AutoFeatureExtractor, snapshot, how),
        tokenizer=_load_part("tokenizer", transformers.AutoTokenizer, snapshot, how),
    )


def _load_part(what: str, auto_class: Any, snapshot: Snapshot, how: Mapping[str, Any]) -> Any:
    try:
        return auto_class.from_pretrained(snapshot.folder, **how)
    except ImportError:
        raise
    except Exception as error:
        raise BackendLoadError(
            f"the {what} of {snapshot.model!r} could not be loaded ({type(error).__name__}: "
            f"{first_line(error):.120}); {_check_the_files(snapshot)}"
        ) from error


def _load_model(kind: Kind, snapshot: Snapshot, settings: Settings, dtype: torch.dtype) -> Any:
    import transformers

    auto_class = getattr(transformers, _AUTO_CLASS.get(kind) or _transducer_class(snapshot.config()))
    is_pickled = not any(path.name.startswith("model") for path in snapshot.folder.glob("*.safetensors"))
    model, report = auto_class.from_pretrained(
        snapshot.folder,
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=settings.trust_remote_code,
        use_safetensors=settings.use_safetensors or not is_pickled,
        ignore_mismatched_sizes=True,  # refused below, in our words
        output_loading_info=True,
    )
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(_HARMLESS))
    if missing:
        raise BackendLoadError(_what_is_missing(snapshot, missing))
    if report["mismatched_keys"]:
        raise BackendLoadError(
            f"the weights of {settings.model!r} are not of the shapes that its config.json names "
            f"({min(key for key, *_ in report['mismatched_keys'])}); {_check_the_files(snapshot)}"
        )
    return model


def _transducer_class(config: Mapping[str, Any]) -> str:
    from transformers.models.auto import modeling_auto

    is_tdt = config.get("model_type") in modeling_auto.MODEL_FOR_TDT_MAPPING_NAMES
    return "AutoModelForTDT" if is_tdt else "AutoModelForRNNT"


def _what_is_missing(snapshot: Snapshot, names: Sequence[str]) -> str:
    if names[0].startswith(("lm_head.", "ctc_head.")):
        return (
            f"{snapshot.model!r} has no head for speech recognition ({names[0]} is not in its weights); fine-tune it "
            "first, or choose a model that is"
        )
    return (
        f"{len(names)} of the weights of {snapshot.model!r} are missing (the first is {names[0]}), and random ones "
        f"would take their place; {_check_the_files(snapshot)}"
    )


def _check_vocabulary(tokenizer: Any, model: Any, snapshot: Snapshot) -> None:
    # Without its files Whisper's tokenizer is an empty one, which would turn every token into nothing.
    n_outputs = getattr(model.config, "vocab_size", None)
    if isinstance(n_outputs, int) and 2 * len(tokenizer) < n_outputs:
        raise BackendLoadError(
            f"the tokenizer of {snapshot.model!r} knows {len(tokenizer)} tokens and the model {n_outputs}: files of it "
            f"are missing, or belong to another model; {_check_the_files(snapshot)}"
        )


def _explained(error: Exception, snapshot: Snapshot, device: torch.device) -> BackendError:
    chain = list(causes(error))
    names = {type(cause).__name__ for cause in chain}
    model, said = snapshot.model, first_line(error)
    if any(is_out_of_memory(cause) for cause in chain):
        return BackendLoadError(
            f"the model {model!r} does not fit into the memory of {device}; use a smaller model, another device, or "
            "dtype='float16'"
        )
    if any(isinstance(cause, ImportError) for cause in chain):
        return BackendNotInstalledError(
            f"the model {model!r} needs a package that is not installed: {said:.240}; install it"
        )
    if "SafetensorError" in names or any(isinstance(cause, EOFError | json.JSONDecodeError) for cause in chain):
        return BackendLoadError(f"a file of the model {model!r} is damaged ({said:.160}); {_check_the_files(snapshot)}")
    if "AcceleratorError" in names:
        return BackendLoadError(f"{device} failed while it took the model {model!r} ({said:.160}); use device='cpu'")
    return BackendLoadError(
        f"the model {model!r} could not be loaded ({type(error).__name__}: {said:.200}); {_check_the_files(snapshot)}"
    )


def _check_the_files(snapshot: Snapshot) -> str:
    if snapshot.commit is None:
        return "see that every file of it is there and whole, or choose another model"
    # The snapshot's own folder holds links only.
    return f"delete {snapshot.folder.parents[1]} and load it again, or choose another model"
