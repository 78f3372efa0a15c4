"""
Linear layers laid out for the processor once, when the model is loaded.

PyTorch multiplies float32 matrices with MKL, which uses half the width of an AMD processor's
vectors; oneDNN, which PyTorch carries as well, uses all of it, and is faster still on weights that it
has laid out itself. Measured on two cores of an AMD EPYC (Zen 5), torch 2.13: 2.2 to 2.6 times as
fast for the layers of Whisper and Wav2Vec2, results equal to 1e-5 of their size.

A model in float32 may multiply in bfloat16, whose products oneDNN sums in float32: on a processor
with tiles for it (AMX) that was six times as fast as float32. Sums across layers and norms stay in
float32 then, which halves the error of a model that is bfloat16 throughout and costs no time.

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

__all__ = ["can_pack", "is_plain_gelu", "lay_out", "multiply", "pack_linears"]

logger = logging.getLogger(__name__)

_ADAPTED = ("lm_head", "adapter")  # MMS exchanges these for each language
_READS_WEIGHTS = ("WavLMAttention",)  # hands its layers' weights to a function instead of calling the layers

_STAYS_NARROW = {name: frozenset({"q_proj", "k_proj", "v_proj"}) for name in ("HubertAttention", "Wav2Vec2Attention")}
"""Layers by their parent's class whose results only go into a product again, and are left in its type."""


def can_pack(dtype: torch.dtype) -> bool:
    """Tell whether this processor and this build of PyTorch multiply in *dtype* by packed weights."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.is_available():
        return False
    try:
        multiply(torch.zeros(1, 16, dtype=dtype), lay_out(torch.zeros(16, 16), dtype), None)
    except (AttributeError, RuntimeError) as error:
        logger.info("layers stay as they are: %s", error)
        return False
    return True


def lay_out(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return *weight*, of shape ``(n_outputs, n_inputs)``, for `multiply`, in *dtype*."""
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype).contiguous(), None)  # noqa: SLF001  # no public name
    return packed


def multiply(
    inputs: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False
) -> torch.Tensor:
    """Return ``inputs @ weight.T + bias``, through the exact GELU where *gelu*; all of one type."""
    function, how = ("gelu", "none") if gelu else ("none", "")
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, function, [], how)  # noqa: SLF001  # no public name
    return result


def is_plain_gelu(activation: Any) -> bool:
    """
    Tell whether *activation* is the exact GELU, which `multiply` can do in passing.

    Example:
        >>> from transformers.activations import ACT2FN
        >>> is_plain_gelu(ACT2FN["gelu"]), is_plain_gelu(ACT2FN["gelu_new"])
        (True, False)
    """
    return type(activation).__name__ == "GELUActivation" and getattr(activation, "act", None) is nn.functional.gelu


class PackedLinear(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """
    A linear layer for inference.

    Args:
        linear: The layer.

        dtype: What it multiplies in.

        gelu: Whether the exact GELU follows.

        narrow: Whether results stay in *dtype*; else they are of their inputs' type.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, *, gelu: bool = False, narrow: bool = False) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.packed = lay_out(linear.weight, dtype)
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)
        self._dtype = dtype
        self._gelu = gelu
        self._narrow = narrow

    @property
    def weight(self) -> torch.Tensor:
        """The weights as they were, for code that looks at them; slow."""
        return self.packed.to_dense()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return ``inputs @ weight.T + bias``, through the GELU where there is one."""
        result = multiply(inputs.to(self._dtype), self.packed, self.bias, gelu=self._gelu)
        return result if self._narrow else result.to(inputs.dtype)


def pack_linears(model: Any, dtype: torch.dtype) -> int:
    """
    Replace the linear layers of *model*, on a CPU, by packed ones that multiply in *dtype*.

    An output layer that shares its weights with an embedding gets a copy of its own (80 MB with the
    shape of Whisper tiny): it is most of a decoding step, and four to five times as fast so. Where
    `can_pack` says no, nothing is changed.

    Returns:
        How many layers were replaced.
    """
    if dtype not in {torch.float32, torch.bfloat16} or not can_pack(dtype):
        return 0
    n_uses = Counter(module.weight.data_ptr() for module in model.modules() if type(module) is nn.Linear)
    found = [
        (parent, name, child)
        for path, parent in model.named_modules()
        if type(parent).__name__ not in _READS_WEIGHTS
        for name, child in parent.named_children()
        if type(child) is nn.Linear
        and child.weight.dtype in {torch.float32, dtype}
        and n_uses[child.weight.data_ptr()] == 1
        and not any(part in f"{path}.{name}" for part in _ADAPTED)
    ]
    n_packed = len(found)
    while found:  # each layer's own weights are freed before the next one's are laid out
        parent, name, child = found.pop()
        gelu = _takes_gelu(parent, name)
        narrow = gelu or name in _STAYS_NARROW.get(type(parent).__name__, ())
        setattr(parent, name, PackedLinear(child, dtype, gelu=gelu, narrow=narrow))
        if gelu:
            parent.intermediate_act_fn = nn.Identity()
    return n_packed


def _takes_gelu(parent: nn.Module, name: str) -> bool:
    """Tell whether the GELU of a feed-forward layer of the Wav2Vec2 kind follows, and nothing between."""
    return (
        name == "intermediate_dense"
        and type(parent).__name__.endswith("FeedForward")
        and is_plain_gelu(getattr(parent, "intermediate_act_fn", None))
    )
