"""Where a model runs, in which numbers, and whether memory ran out there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.errors import BackendLoadError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "choose_dtype", "is_out_of_memory"]


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


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the data type *name*, or the one that suits *device* for ``"auto"``."""
    import torch

    if name == "auto":
        # Half the memory and twice the speed where the hardware computes in it; published Whisper
        # models are stored in float16.
        return torch.float16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


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
