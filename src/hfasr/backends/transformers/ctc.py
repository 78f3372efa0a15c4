"""Models with a CTC head: Wav2Vec2, HuBERT, WavLM, MMS, Parakeet-CTC and their kin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hfasr.grouping import segments_of
from hfasr.types import Transcript

from .adapters import Adapters
from .ctc_text import Frames, spell, words_of
from .family import Family
from .windows import windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .asked import Asked
    from .batches import Batches
    from .loading import Checkpoint
    from .windows import Window

__all__ = ["CTC"]


class CTC(Family):
    """A loaded model, greedy: its best token at every frame."""

    def __init__(self, checkpoint: Checkpoint, batches: Batches) -> None:
        super().__init__(checkpoint, batches)
        self._adapters = Adapters(checkpoint)
        self._samples_per_frame = _samples_per_frame(checkpoint)
        if not 1 <= self._samples_per_frame <= self._rate:
            raise TypeError(f"a frame of {self._samples_per_frame} samples")
        self._front_end = _front_end(checkpoint.model)
        # Where it is not known how a model pads, and where convolutions on top of the encoder would take
        # what stands behind a clip for a part of it.
        unknown = self._front_end is None and self._model.main_input_name == "input_values"
        self._one_by_one = unknown or getattr(self._model.config, "add_adapter", False)

    def transcribe(self, waveforms: Sequence[npt.NDArray[np.float32]], asked: Asked) -> list[Transcript]:
        """Transcribe *waveforms*, each of shape ``(n_samples,)``, float32."""
        if asked.task == "translate":
            asked.unused("task='translate'", "is beyond a CTC model")
        if asked.prompt:
            asked.unused("prompt", "is beyond a CTC model")
        for name in asked.generation:
            asked.unused(f"generation_parameters[{name[:40]!r}]", "is beyond a CTC model, which does not generate")
        language = self._adapters.use(asked)
        parts = [
            (index, window)
            for index, waveform in enumerate(waveforms)
            for window in windows(len(waveform), self._rate, self._samples_per_frame)
        ]
        clips = [waveforms[index][window.first : window.end] for index, window in parts]
        heard = self._batches.run(
            [len(clip) / self._rate for clip in clips],
            lambda batch: self._hear([clips[number] for number in batch]),
            asked.check,
        )
        pieces: list[list[Frames]] = [[] for _ in waveforms]
        for (index, window), frames in zip(parts, heard, strict=True):
            pieces[index].append(_kept(frames, window))
        return [
            self._transcript(_joined(piece), len(waveform) / self._rate, asked, language)
            for piece, waveform in zip(pieces, waveforms, strict=True)
        ]

    def fetch(self, language: str | None, *, download: bool) -> None:
        """Get the file of *language* ahead, where the model has one for each."""
        self._adapters.fetch(language, download=download)

    def _transcript(self, frames: Frames, duration: float, asked: Asked, language: str | None) -> Transcript:
        text, tokens = spell(frames, self._tokenizer, blank=self._blank())
        words = words_of(tokens, self._tokenizer, self._samples_per_frame / self._rate) if asked.timestamps else []
        segments = segments_of(words, asked.timestamps)
        return Transcript(text, segments, language=language, duration=duration)

    def _blank(self) -> int | None:
        # A tokenizer without one cannot tell: the model was trained with its config's then.
        ours: int | None = self._tokenizer.pad_token_id
        theirs: int | None = self._model.config.pad_token_id
        return theirs if ours is None else ours

    def _hear(self, clips: list[npt.NDArray[np.float32]]) -> list[Frames]:
        if len(clips) > 1 and self._one_by_one:
            return [frames for clip in clips for frames in self._hear([clip])]
        inputs = self._inputs(clips)
        with torch.inference_mode():
            logits = self._model(**inputs).logits.float()
            probabilities, ids = logits.softmax(-1).max(-1)
        counts = self._frame_counts(clips, inputs, ids.shape[1])
        rows = zip(ids.cpu().numpy(), probabilities.cpu().numpy(), counts, strict=True)
        return [Frames(row_ids[:n], row_probabilities[:n]) for row_ids, row_probabilities, n in rows]

    def _inputs(self, clips: list[npt.NDArray[np.float32]]) -> dict[str, Any]:
        if self._front_end is None:
            features = self._features(
                clips, sampling_rate=self._rate, return_tensors="pt", padding=True, return_attention_mask=True
            )
            return self._placed(features)
        # Each alone: beside a longer clip, an extractor without a mask would count the padding as sound.
        alone = [self._features(clip, sampling_rate=self._rate)["input_values"][0] for clip in clips]
        lengths = [len(samples) for samples in alone]
        samples = torch.zeros(len(clips), max(lengths))
        for row, values in zip(samples, alone, strict=True):
            row[: len(values)] = torch.from_numpy(np.asarray(values, np.float32))
        inputs = {"input_values": samples.to(self._device, self._dtype)}
        self._front_end.lengths = None
        if min(lengths) < max(lengths):
            self._front_end.lengths = lengths
            mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
            inputs["attention_mask"] = mask.to(self._device, torch.long)
        return inputs

    def _frame_counts(
        self, clips: Sequence[npt.NDArray[np.float32]], inputs: dict[str, Any], n_frames: int
    ) -> list[int]:
        """Return how many of *n_frames* frames are each clip's own."""
        mask = inputs.get("attention_mask")
        if self._front_end is not None:
            lengths = torch.tensor([len(clip) for clip in clips])
            return [int(n) for n in self._model._get_feat_extract_output_lengths(lengths)]  # noqa: SLF001  # no public name
        if mask is None:
            return [n_frames] * len(clips)
        if hasattr(self._model, "_get_output_attention_mask"):  # Parakeet and its kin
            mask = self._model._get_output_attention_mask(mask, target_length=n_frames)  # noqa: SLF001  # no public name
            return [int(n) for n in mask.sum(-1)]
        counts = mask.sum(-1)
        if mask.shape[1] != n_frames:  # Wav2Vec2-BERT with an adapter
            counts = self._model._get_feat_extract_output_lengths(counts)  # noqa: SLF001  # no public name
        return [int(n) for n in counts]


class _EachAlone(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """
    A front end of convolutions that sees each clip without the padding after it.

    So a clip has the same features in a batch as alone, also with the group norm over time that
    wav2vec2-base and hubert-base have.
    """

    def __init__(self, convolutions: nn.Module) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.lengths: list[int] | None = None

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return features of shape ``(n_clips, n_channels, n_frames)``."""
        if self.lengths is None:
            return self.convolutions(samples)
        alone = [self.convolutions(row[None, :length])[0] for row, length in zip(samples, self.lengths, strict=True)]
        # With time before channels, as the layers after it take them.
        return nn.utils.rnn.pad_sequence([features.T for features in alone], batch_first=True).transpose(1, 2)


def _front_end(model: Any) -> _EachAlone | None:
    """Put `_EachAlone` into a model of the Wav2Vec2 kind; ``None`` where it is another."""
    base = model.base_model
    convolutions = getattr(base, "feature_extractor", None)
    if not (
        model.main_input_name == "input_values"
        and isinstance(convolutions, nn.Module)
        and hasattr(convolutions, "conv_layers")
        and hasattr(model, "_get_feat_extract_output_lengths")
    ):
        return None
    base.feature_extractor = front_end = _EachAlone(convolutions)
    return front_end


def _samples_per_frame(checkpoint: Checkpoint) -> int:
    config = checkpoint.model.config
    # Convolutions on top of the encoder, of which fine-tuned XLS-R and Wav2Vec2-BERT often have one.
    adapter: int = config.adapter_stride**config.num_adapter_layers if getattr(config, "add_adapter", False) else 1
    if checkpoint.model.main_input_name == "input_values":
        return int(config.inputs_to_logits_ratio) * adapter
    hop = int(getattr(checkpoint.feature_extractor, "hop_length", 160))
    encoder = getattr(config, "encoder_config", config)
    factor: int = getattr(encoder, "subsampling_factor", getattr(checkpoint.feature_extractor, "stride", 1))
    return hop * factor * adapter


def _kept(frames: Frames, window: Window) -> Frames:
    end = None if window.keep is None else window.skip + window.keep
    return Frames(frames.ids[window.skip : end], frames.probabilities[window.skip : end])


def _joined(pieces: Sequence[Frames]) -> Frames:
    return Frames(
        np.concatenate([piece.ids for piece in pieces]), np.concatenate([piece.probabilities for piece in pieces])
    )
