"""
Linear layers laid out for the processor once, when the model is loaded.

PyTorch multiplies float32 matrices with MKL, which uses half the width of an AMD processor's
vectors; oneDNN, which PyTorch carries as well, uses all of it, and is faster still on weights that it
has laid out itself. Measured on two cores of an AMD EPYC (Zen 5), torch 2.13: 2.2 to 2.6 times as
fast for the layers of Whisper and Wav2Vec2, results equal to 1e-5 of their size.

Source:
    torch.ops.mkldnn, the operators to which ``torch.compile`` freezes linear layers on a CPU.
"""

from __future__ import annotations

import logging
import platform
from collections import Counter
from typing import Any

import torch
from torch import nn

__all__ = ["pack_linears"]

logger = logging.getLogger(__name__)

_ADAPTED = ("lm_head", "adapter")  # MMS exchanges these for each language
_READS_WEIGHTS = ("WavLMAttention",)  # hands its layers' weights to a function instead of calling the layers


class PackedLinear(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """A linear layer for inference."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)  # noqa: SLF001  # no public name
        self.bias = None if linear.bias is None else linear.bias.detach()

    @property
    def weight(self) -> torch.Tensor:
        """The weights as they were, for code that looks at them; slow."""
        return self.packed.to_dense()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return ``inputs @ weight.T + bias``."""
        return torch.ops.mkldnn._linear_pointwise(inputs, self.packed, self.bias, "none", [], "")  # noqa: SLF001  # no public name


def pack_linears(model: Any) -> int:
    """
    Replace the linear layers of *model* (on a CPU, in float32) by packed ones, and return their number.

    An output layer that shares its weights with an embedding gets a copy of its own (80 MB with the
    shape of Whisper tiny): it is most of a decoding step, and four to five times as fast so. Where
    this processor or this build of PyTorch cannot do it, nothing is changed.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.is_available():
        return 0
    n_uses = Counter(module.weight.data_ptr() for module in model.modules() if type(module) is nn.Linear)
    found = [
        (parent, name, child)
        for path, parent in model.named_modules()
        if type(parent).__name__ not in _READS_WEIGHTS
        for name, child in parent.named_children()
        if type(child) is nn.Linear
        and child.weight.dtype == torch.float32
        and n_uses[child.weight.data_ptr()] == 1
        and not any(part in f"{path}.{name}" for part in _ADAPTED)
    ]
    try:
        for _, _, child in found[:1]:
            PackedLinear(child)(torch.zeros(1, child.in_features))
    except (AttributeError, RuntimeError) as error:
        logger.info("linear layers stay as they are: %s", error)
        return 0
    n_packed = len(found)
    while found:  # each layer's own weights are freed before the next one's are laid out
        parent, name, child = found.pop()
        setattr(parent, name, PackedLinear(child))
    return n_packed
