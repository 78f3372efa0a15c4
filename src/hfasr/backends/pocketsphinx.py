"""
CMU PocketSphinx: small, offline, English.

Its wheel carries the ``en-us`` model, so that it needs no network, no token and no download.
It understands clear, close speech; expect far more errors than from a model of the Hub.

Source:
    https://github.com/cmusphinx/pocketsphinx (version 5).
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any

from hfasr._forks import ForkedLock
from hfasr.errors import AudioError, BackendError, BackendLoadError, BackendNotInstalledError
from hfasr.grouping import segments_of
from hfasr.types import Transcript, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from hfasr.types import Audio, TranscribeOptions

__all__ = ["PocketSphinx"]

MODEL = "en-us"
SAMPLING_RATE_HZ = 16_000

_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")  # <s>, </s>, <sil>, [NOISE], [SPEECH], ++UM++
_VARIANT = re.compile(r"\(\d+\)$")  # and(2): the second pronunciation of "and"


class PocketSphinx:
    """
    The engine, as a `hfasr.Backend`.

    The model is loaded at the first use, or by `preload`; after `close` the next use loads it
    again. Threads may share one engine: they take turns.

    Args:
        model: ``"en-us"`` or ``None``, which is the same.

    Raises:
        BackendNotInstalledError: The package is missing.
        BackendLoadError: Another *model*.

    Example:
        >>> PocketSphinx().sampling_rate
        16000

    .. versionadded:: 0.1.0
    """

    name = "pocketsphinx"
    sampling_rate = SAMPLING_RATE_HZ
    max_duration_s = None
    model = MODEL
    revision = None  # it is part of the package

    def __init__(self, model: str | None = None) -> None:
        if model not in {None, MODEL}:
            raise BackendLoadError(f"pocketsphinx has no model {model!r}; leave it out or name {MODEL!r}")
        try:
            self._module: Any = importlib.import_module("pocketsphinx")
        except ImportError as error:
            raise BackendNotInstalledError(
                f'pocketsphinx cannot be imported ({error}); run: pip install "hfasr[offline]"'
            ) from error
        self._decoder: Any = None
        self._lock = ForkedLock()

    def preload(self, *, download: bool = True) -> None:  # noqa: ARG002  # the same for every engine
        """
        Load the model now instead of at the first use.

        Args:
            download: Makes no difference: the model came with the package.

        Raises:
            BackendLoadError: It could not be loaded.
        """
        with self._lock:
            self._loaded()

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        """
        Transcribe each of *batch*; see `hfasr.Backend`.

        Raises:
            AudioError: A waveform that is not ``(n_samples,)`` at 16000 Hz.
            BackendLoadError: The model could not be loaded.
            BackendError: The engine failed.
        """
        warnings = _warnings(options)
        timestamps = options.get("return_timestamps", False)
        return [self._transcribe(audio, timestamps, warnings) for audio in batch]

    def close(self) -> None:
        """Free the model. May be called twice."""
        with self._lock:
            self._decoder = None

    def _transcribe(self, audio: Audio, timestamps: bool | str, warnings: tuple[str, ...]) -> Transcript:
        if audio.sampling_rate != SAMPLING_RATE_HZ or audio.waveform.ndim != 1:
            raise AudioError(
                f"pocketsphinx takes mono samples at {SAMPLING_RATE_HZ} Hz, not shape {audio.waveform.shape} "
                f"at {audio.sampling_rate} Hz; let a client convert them"
            )
        duration = len(audio.waveform) / SAMPLING_RATE_HZ
        words = self._decode(_pcm(audio.waveform), duration)
        segments = segments_of(words, timestamps)
        text = " ".join(word.word for word in words)
        return Transcript(text, segments, language="en", duration=duration, warnings=warnings)

    def _decode(self, samples: npt.NDArray[np.int16], duration: float) -> list[Word]:
        if not samples.any():  # in digital silence, which no microphone gives, it hears "dog"
            return []
        with self._lock:
            decoder = self._loaded()
            try:
                decoder.reinit_feat()  # the last speaker's cepstral mean would spoil this one
                decoder.start_utt()
                # All at once: fed in blocks, it normalises by what it has heard so far, and the word
                # error rate of a clip measured so went from 0.23 to 1.
                decoder.process_raw(samples.tobytes(), full_utt=True)
                decoder.end_utt()
                spoken = decoder.seg() if decoder.hyp() is not None else ()
                frames_per_s = decoder.config["frate"]
                return [
                    Word(
                        start=segment.start_frame / frames_per_s,
                        end=min((segment.end_frame + 1) / frames_per_s, duration),
                        word=_VARIANT.sub("", segment.word),
                        confidence=min(max(segment.prob, 0.0), 1.0),
                    )
                    for segment in spoken
                    if not _FILLER.fullmatch(segment.word)
                ]
            except RuntimeError as error:
                self._decoder = None  # in the middle of an utterance it takes no other
                raise BackendError(f"pocketsphinx failed: {error}; try another backend") from error

    def _loaded(self) -> Any:
        if self._decoder is None:
            try:
                self._decoder = self._module.Decoder(samprate=SAMPLING_RATE_HZ, loglevel="FATAL", logfn=os.devnull)
            except (RuntimeError, ValueError) as error:
                raise BackendLoadError(
                    f'pocketsphinx could not load its model: {error}; reinstall it: pip install "hfasr[offline]"'
                ) from error
        return self._decoder


def _pcm(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    import numpy as np

    return np.rint(np.clip(waveform, -1.0, 1.0) * 32_767).astype("<i2")


def _warnings(options: TranscribeOptions) -> tuple[str, ...]:
    warnings = []
    language = options.get("language")
    if language and re.split("[-_]", language.lower())[0] not in {"en", "eng", "english"}:
        warnings.append(f"pocketsphinx understands English only; language={language!r} was not used")
    if options.get("task") == "translate":
        warnings.append("pocketsphinx cannot translate; task='translate' was not used")
    warnings += [
        f"pocketsphinx takes no {name}; it was not used"
        for name in ("prompt", "generation_parameters", "extra_parameters")
        if options.get(name)
    ]
    return tuple(warnings)
