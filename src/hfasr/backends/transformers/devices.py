"""Where a model runs, in which numbers, and whether memory ran out there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hfasr.errors import BackendLoadError

if TYPE_CHECKING:
    import torch

    from .recognise import Kind

__all__ = ["Dtypes", "choose_device", "choose_dtypes", "is_out_of_memory"]


class Dtypes(NamedTuple):
    """What a model computes in."""

    sums: torch.dtype
    """Its inputs, what layers add and norms take."""

    products: torch.dtype
    """What its large layers multiply in."""


def choose_device(name: str) -> torch.device:
    """
    Return the device *name*, or the fastest one for ``"auto"``.

    Raises:
        BackendLoadError: It is not on this machine.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    problem = None
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if n_devices == 0:
            problem = "torch finds no CUDA device" if torch.version.cuda else "this torch was built without CUDA"
        elif (device.index or 0) >= n_devices:
            problem = f"there is cuda:0{f' to cuda:{n_devices - 1}' if n_devices > 1 else ' only'}"
    elif device.type == "mps" and not torch.backends.mps.is_available():
        problem = "torch finds no Metal device"
    if problem is not None:
        raise BackendLoadError(f"device={name!r} is not usable here: {problem}; use device='cpu' or 'auto'")
    return device


def choose_dtypes(name: str, device: torch.device, kind: Kind) -> Dtypes:
    """
    Return the data type *name*, or the one that suits *device* and *kind* for ``"auto"``.

    A CTC model in bfloat16 on a CPU multiplies in it and sums in float32, where the processor can.
    """
    import torch

    from .packed import can_pack

    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
    elif device.type == "cuda":
        # Half the memory and twice the speed where the hardware computes in it; published Whisper
        # models are stored in float16.
        dtype = torch.float16
    else:
        # Only CTC: its frames are told apart one by one. What generates goes on from its last token, so
        # that one which is decided otherwise changes all that follow.
        fast = device.type == "cpu" and kind == "ctc" and _has_tiles() and can_pack(torch.bfloat16)
        dtype = torch.bfloat16 if fast else torch.float32
    if dtype == torch.bfloat16 and device.type == "cpu" and kind == "ctc" and can_pack(dtype):
        return Dtypes(sums=torch.float32, products=dtype)
    return Dtypes(sums=dtype, products=dtype)


def _has_tiles() -> bool:
    """Tell whether the processor multiplies bfloat16 in tiles (AMX), which is many times as fast as float32."""
    import torch

    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)  # no public name
    return ask is not None and bool(ask())


def is_out_of_memory(error: BaseException) -> bool:
    """
    Tell whether *error* says that memory ran out, on whichever device.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("bad shape"))
        (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # What torch's allocators say on the CPU, on MPS, and through libraries that wrap the error.
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in said for words in ("out of memory", "can't allocate memory", "not enough memory")
    )
