"""The engine: loads a model when it is needed, hands it clean audio, and checks what comes back."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._forks import ForkedLock
from hfasr.errors import AudioError, BackendError, HfasrError
from hfasr.types import Transcript

from .asked import Asked
from .failures import first_line
from .settings import DEFAULT_MODEL, BatchSize, Settings, check_installed
from .tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from hfasr.types import Audio, TranscribeOptions

    from .family import Family
    from .loading import Checkpoint

__all__ = ["Transformers"]

MIN_DURATION_S = 0.1
"""Shorter clips are empty: no word is that short, and some models fail below 0.06 s."""

USUAL_RATE_HZ = 16_000


class Transformers:
    """
    Any speech-recognition model of transformers, as a `hfasr.Backend`.

    CTC models (Wav2Vec2, HuBERT, WavLM, MMS, Parakeet-CTC, …), Whisper and distil-Whisper with files of
    any length, Speech2Text, Moonshine and Parakeet-TDT. The model is fetched and loaded at the first
    use, or by `preload`; after `close` the next use loads it again. Threads may share one engine: they
    take turns.

    Args:
        model: Hub id or a folder; ``None`` is ``"openai/whisper-large-v3"``.

        revision: Branch, tag or commit of the model on the Hub.

        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"``: the fastest that is here.

        dtype: ``"float32"``, ``"float16"``, ``"bfloat16"``; ``"auto"``: float16 on CUDA, bfloat16 for CTC
            models on a CPU that multiplies it in tiles (AMX), else float32. A CTC model in bfloat16 on a
            CPU multiplies in it and sums in float32.

        batch_size: Clips that the model takes at once, 1 or more; ``"auto"``: what suits the device. Where
            memory does not suffice, fewer are taken.

        trust_remote_code: Whether Python code of the model's repository may run here.

        use_safetensors: Whether weights must be safetensors; ``False``: pickled ones, which can run any
            code, are loaded where there are no others.

        token: What the Hub is shown; ``None``: the token of the environment or the login.

    Raises:
        BackendNotInstalledError: transformers or torch is missing.
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that the engine does not take.

    Example:
        >>> Transformers("openai/whisper-tiny", device="cpu")  # nothing is loaded yet
        Transformers('openai/whisper-tiny', device='cpu')

    .. versionadded:: 0.1.0
    """

    name = "transformers"

    def __init__(
        self,
        model: str | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: BatchSize = "auto",
        trust_remote_code: bool = False,
        use_safetensors: bool = True,
        token: str | None = None,
    ) -> None:
        self._settings = Settings(
            model=DEFAULT_MODEL if model is None else model,
            revision=revision,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
            use_safetensors=use_safetensors,
            token=token,
        )
        check_installed()
        self._loaded: tuple[Checkpoint, Family] | None = None
        self._lock = ForkedLock()

    @property
    def model(self) -> str:
        """Hub id or folder."""
        return self._settings.model

    @property
    def revision(self) -> str | None:
        """Commit of the model that is loaded, where known."""
        loaded = self._loaded
        return None if loaded is None else loaded[0].snapshot.commit

    @property
    def sampling_rate(self) -> int:
        """Rate that the model wants, Hz; known once it is loaded, 16000 until then."""
        loaded = self._loaded  # it may not load here: a mere isinstance(engine, Backend) reads this
        return USUAL_RATE_HZ if loaded is None else loaded[0].sampling_rate

    @property
    def max_duration_s(self) -> float | None:
        """Longest audio that the model takes, seconds, known once it is loaded; ``None``: any."""
        loaded = self._loaded
        return None if loaded is None else loaded[1].max_duration_s

    def preload(self, *, download: bool = True, language: str | None = None) -> None:
        """
        Load the model now, and fetch it where need be.

        Args:
            download: Whether the Hub may be asked; without, no socket is opened.

            language: Where the model has a file for each language, this one's is fetched as well.

        Raises:
            BackendNotInstalledError: A package is missing or broken.
            BackendLoadError: The model cannot be had, is no speech recogniser, is damaged, or does not fit.
        """
        _, family = self._load(download=download)
        family.fetch(language, download=download)

    def transcribe(
        self,
        batch: Sequence[Audio],
        options: TranscribeOptions,
        *,
        check: Callable[[], object] = lambda: None,
        download: bool = True,
    ) -> list[Transcript]:
        """
        Transcribe each of *batch*; see `hfasr.Backend`.

        Args:
            batch: Waveforms of shape ``(n_samples,)``, float32 in [-1, 1], at `sampling_rate`.

            options: What was asked for.

            check: Called before each batch of the model; what it raises ends the run.

            download: Whether the Hub may be asked; without, no socket is opened.

        Raises:
            AudioError: A waveform that is not ``(n_samples,)`` at `sampling_rate`.
            InvalidOptionError: A value in ``generation_parameters`` that cannot be.
            BackendLoadError: The model could not be loaded.
            BackendError: The model failed, or memory does not suffice for a single clip.
        """
        checkpoint, family = self._load(download=download)
        rate = checkpoint.sampling_rate
        asked = Asked.of(options)
        asked.check, asked.download = check, download
        results = [Transcript("", duration=len(self._checked(audio, rate)) / rate) for audio in batch]
        # A model asked to transcribe nothing makes something up.
        spoken = [
            index
            for index, audio in enumerate(batch)
            if len(audio.waveform) >= MIN_DURATION_S * rate and audio.waveform.any()
        ]
        if spoken:
            from .quiet import quiet

            with self._lock, quiet():
                try:
                    heard = family.transcribe([batch[index].waveform for index in spoken], asked)
                except HfasrError:
                    raise
                except Exception as error:
                    raise self._failed(error) from error
            for index, transcript in zip(spoken, heard, strict=True):
                results[index] = tidy(transcript)
        warnings = tuple(dict.fromkeys(asked.warnings))
        return [replace(result, warnings=(*warnings, *result.warnings)) for result in results]

    def close(self) -> None:
        """Free the model. May be called twice."""
        # Without the lock: whoever transcribes keeps the model until then, and nobody waits for them here.
        had_one, self._loaded = self._loaded is not None, None
        if had_one:
            gc.collect()  # a model's parts refer to each other
            import torch

            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def __repr__(self) -> str:
        default = Settings()
        shown = {name: getattr(self._settings, name) for name in default.__slots__ if name not in {"model", "token"}}
        changed = [f", {name}={value!r}" for name, value in shown.items() if value != getattr(default, name)]
        return f"{type(self).__name__}({self._settings.model!r}{''.join(changed)})"

    def _failed(self, error: Exception) -> BackendError:
        return BackendError(
            f"the model {self._settings.model!r} failed ({type(error).__name__}: {first_line(error):.200}); try "
            "batch_size=1 or device='cpu', or choose another model"
        )

    def _checked(self, audio: Audio, rate: int) -> npt.NDArray[np.float32]:
        if audio.sampling_rate != rate or audio.waveform.ndim != 1:
            raise AudioError(
                f"{self._settings.model} takes mono samples at {rate} Hz, not shape {audio.waveform.shape} at "
                f"{audio.sampling_rate} Hz; let a client convert them"
            )
        return audio.waveform

    def _load(self, *, download: bool) -> tuple[Checkpoint, Family]:
        loaded = self._loaded
        if loaded is not None:  # without a wait for who is transcribing
            return loaded
        with self._lock:
            if self._loaded is None:
                from .families import make_family
                from .loading import load_checkpoint

                checkpoint = load_checkpoint(self._settings, download=download)
                self._loaded = checkpoint, make_family(checkpoint, self._settings.batch_size)
            return self._loaded
