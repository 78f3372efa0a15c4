"""
The convolutions of Wav2Vec2 and its kin as products of matrices, laid out for the processor once.

With time before channels a convolution is one product: its inputs are the windows of the frames,
which overlap in memory, and a norm over channels or a GELU finds all that it needs in one place. The
model's own has channels before time, and turns every result around. What was measured stands in
docs/architecture.md.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .packed import can_pack, is_plain_gelu, lay_out, multiply

__all__ = ["pack_front_end"]

logger = logging.getLogger(__name__)

BLOCK_FRAMES = 96
"""
Frames that go through all convolutions together: the widest result (12 MB in float32 with the usual
shape) hardly leaves the processor's caches, and memory does not grow with the clip.
"""

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1}
"""Of the largest value, by which a packed part may differ from the model's own on trial."""


def pack_front_end(model: Any, dtype: torch.dtype) -> int:
    """
    Replace the convolutions of *model*, in float32 on a CPU, by packed ones that multiply in *dtype*.

    Those before the encoder and the one that tells it positions are each tried beside the model's own;
    one that is built in another way, or gives something else, stays as it is.

    Args:
        model: A model of the Wav2Vec2 kind; any other is left alone.

        dtype: ``torch.float32`` or ``torch.bfloat16``.

    Returns:
        How many of the two were replaced.
    """
    if dtype not in _TOLERANCE or not can_pack(dtype):
        return 0
    base = model.base_model
    places = (
        (base, "feature_extractor", "conv_layers", PackedConvolutions),
        (getattr(base, "encoder", None), "pos_conv_embed", "conv", PackedPositions),
    )
    n_packed = 0
    for parent, name, mark, make in places:
        own = getattr(parent, name, None)
        if not (isinstance(own, nn.Module) and hasattr(own, mark)) or next(own.parameters()).dtype != torch.float32:
            continue
        try:
            packed = make(own, dtype)
            _try_out(packed, own, dtype)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            logger.info("%s stays as it is: %s", name, error)
        else:
            setattr(parent, name, packed)
            n_packed += 1
    return n_packed


def _try_out(packed: Any, own: nn.Module, dtype: torch.dtype) -> None:
    inputs = torch.randn(packed.trial_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = packed(inputs), own(inputs)
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise ValueError(f"{found.dtype} {tuple(found.shape)} instead of {expected.dtype} {tuple(expected.shape)}")
    off, largest = float((found - expected).abs().max()), float(expected.abs().max())
    if not off <= _TOLERANCE[dtype] * largest:
        raise ValueError(f"off by {off:.3g} of {largest:.3g}")


class PackedConvolutions(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """
    From samples to features; takes the place of ``Wav2Vec2FeatureEncoder``.

    The first layer and its norm are in float32 always: bfloat16 would leave 8 bits of the sound.

    Args:
        own: The model's own.

        dtype: What all layers but the first multiply in.

    Raises:
        TypeError: It is built in another way.
    """

    def __init__(self, own: Any, dtype: torch.dtype) -> None:
        super().__init__()
        first, *others = own.conv_layers
        norm = getattr(first, "layer_norm", None)
        self._over_time = _NormOverTime(first.conv, norm) if isinstance(norm, nn.GroupNorm) else None
        self.conv_layers = [_layer(first, torch.float32), *(_layer(layer, dtype) for layer in others)]
        self._stride = math.prod(layer.stride for layer in self.conv_layers)
        self._field = 1
        for layer in reversed(self.conv_layers):
            self._field = (self._field - 1) * layer.stride + layer.kernel
        self.trial_shape = (1, self._field + 2 * self._stride)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """
        Return features of shape ``(n_clips, n_channels, n_frames)``, float32, time before channels in memory.

        Raises:
            ValueError: *samples*, of shape ``(n_clips, n_samples)``, are less than one frame.
        """
        n_frames = (samples.shape[1] - self._field) // self._stride + 1
        if n_frames < 1:
            raise ValueError(f"{samples.shape[1]} samples are less than a frame, which is {self._field}")
        return torch.stack([self._features(clip.contiguous(), n_frames) for clip in samples]).transpose(1, 2)

    def _features(self, samples: torch.Tensor, n_frames: int) -> torch.Tensor:
        first, *others = self.conv_layers
        if self._over_time is not None:
            first = self._over_time.fold(first, samples)
        size = math.ceil(n_frames / math.ceil(n_frames / BLOCK_FRAMES))
        blocks = []
        for begin in range(0, n_frames, size):
            last = min(begin + size, n_frames) - 1
            frames = samples[begin * self._stride : last * self._stride + self._field, None]
            for layer in (first, *others):
                frames = layer(frames)
            blocks.append(frames)
        return torch.cat(blocks).float()


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution, the norm over channels that it may have, and the GELU."""

    packed: torch.Tensor
    bias: torch.Tensor | None
    norm: nn.LayerNorm | None
    kernel: int
    stride: int
    dtype: torch.dtype

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """From ``(n_frames, n_inputs)`` to ``(n_windows, n_outputs)``; *frames* are contiguous."""
        frames = frames.to(self.dtype)
        windows = _windows(frames, self.kernel, self.stride)
        if self.norm is None:
            return multiply(windows, self.packed, self.bias, gelu=True)
        # The norm takes its weights in float32 beside inputs in bfloat16, and computes in float32.
        return nn.functional.gelu(self.norm(multiply(windows, self.packed, self.bias)))


def _layer(own: Any, dtype: torch.dtype) -> _Layer:
    convolution, norm = own.conv, getattr(own, "layer_norm", None)
    usual = type(convolution) is nn.Conv1d and convolution.padding_mode == "zeros"
    if not usual or (convolution.padding, convolution.dilation, convolution.groups) != ((0,), (1,), 1):
        raise TypeError("another kind of convolution")
    if not is_plain_gelu(own.activation):
        raise TypeError("another activation")
    if not (norm is None or isinstance(norm, nn.GroupNorm | nn.LayerNorm)):
        raise TypeError("another norm")
    return _Layer(
        packed=lay_out(_rows(convolution), dtype),
        bias=None if convolution.bias is None else convolution.bias.detach().to(dtype),
        norm=norm if isinstance(norm, nn.LayerNorm) else None,
        kernel=convolution.kernel_size[0],
        stride=convolution.stride[0],
        dtype=dtype,
    )


class _NormOverTime:
    """
    The norm of each channel over a whole clip, as wav2vec2-base and hubert-base have it after their first layer.

    A channel is a weighted sum of a window's samples, so its mean and variance follow from those of
    the samples: they are known before the convolution, and the norm becomes a part of its weights.
    """

    def __init__(self, convolution: nn.Conv1d, norm: nn.GroupNorm) -> None:
        if norm.num_groups != norm.num_channels or norm.weight is None:
            raise TypeError("another norm over time")
        self._weight = _rows(convolution).double()
        self._norm = norm

    def fold(self, layer: _Layer, samples: torch.Tensor) -> _Layer:
        """Return *layer* with the norm of *samples*, of shape ``(n_samples,)``, in it."""
        windows = _windows(samples[:, None], layer.kernel, layer.stride).double()
        mean = windows.mean(0)
        covariance = windows.T @ windows / len(windows) - torch.outer(mean, mean)
        variance = ((self._weight @ covariance) * self._weight).sum(1).clamp_min(0.0)
        scale = self._norm.weight * torch.rsqrt(variance + self._norm.eps)
        weight = (self._weight * scale[:, None]).float()
        # A bias of the convolution shifts all of a channel, so the norm takes it away.
        bias = (self._norm.bias - self._weight @ mean * scale).float()
        return replace(layer, packed=lay_out(weight, layer.dtype), bias=bias)


class PackedPositions(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """
    The convolution that tells the encoder positions; takes the place of ``Wav2Vec2PositionalConvEmbedding``.

    It stays a convolution, as it has groups, but with time before channels. Its weights are not laid out
    ahead: how oneDNN wants them depends on the clip's length, and turning them over took it 0.25 s.

    Args:
        own: The model's own.

        dtype: What it multiplies in.

    Raises:
        TypeError: It is built in another way.
    """

    def __init__(self, own: Any, dtype: torch.dtype) -> None:
        super().__init__()
        convolution = own.conv
        usual = (convolution.stride, convolution.dilation) == ((1,), (1,)) and convolution.padding_mode == "zeros"
        if not usual or not is_plain_gelu(own.activation) or getattr(own, "batch_norm", None) is not None:
            raise TypeError("another kind of convolution, norm or activation")
        weight = convolution.weight.detach()[:, :, None]
        self._weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self._bias = None if convolution.bias is None else convolution.bias.detach().to(dtype)
        self._padding = (0, convolution.padding[0])
        self._groups = convolution.groups
        self.trial_shape = (2, 7, convolution.in_channels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return what is to be added to *frames*, of shape ``(n_clips, n_frames, n_channels)``; the same shape."""
        images = frames.to(self._weight.dtype).contiguous().transpose(1, 2)[:, :, None]
        positions = nn.functional.conv2d(images, self._weight, self._bias, padding=self._padding, groups=self._groups)
        # With a kernel of even width there is one more at the end.
        positions = positions[:, :, 0, : frames.shape[1]].transpose(1, 2)
        return nn.functional.gelu(positions.to(frames.dtype))


def _rows(convolution: nn.Conv1d) -> torch.Tensor:
    """Return the weights of shape ``(n_outputs, kernel * n_inputs)``, time before channels."""
    return convolution.weight.detach().transpose(1, 2).flatten(1)


def _windows(frames: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Return the windows of *frames*, of shape ``(n_frames, n_channels)``, each as one row; nothing is copied."""
    n_frames, n_channels = frames.shape
    n_windows = (n_frames - kernel) // stride + 1
    return frames.as_strided((n_windows, kernel * n_channels), (stride * n_channels, 1))
