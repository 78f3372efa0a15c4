"""The options of the engine, checked before anything is imported or fetched."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hfasr.errors import BackendNotInstalledError

__all__ = ["DEFAULT_MODEL", "INSTALL", "BatchSize", "Settings", "check_installed"]

DEFAULT_MODEL = "openai/whisper-large-v3"
INSTALL = 'pip install "hfasr[transformers]"'

BatchSize: TypeAlias = int | Literal["auto"]

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
_DTYPES = ("auto", "float32", "float16", "bfloat16")
# What git allows in a name, less what no name of the Hub has.
_REVISION = re.compile(r"(?!.*\.\.)[\w][\w./+-]{0,254}")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What an engine is made with.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that the engine does not take.

    Example:
        >>> Settings("openai/whisper-tiny", device="cuda:1").dtype
        'auto'
        >>> Settings(device="gpu")
        Traceback (most recent call last):
        ...
        ValueError: device must be "auto", "cpu", "cuda", "cuda:0" (or another number) or "mps", not 'gpu'
    """

    model: str = DEFAULT_MODEL
    """Hub id, or a folder."""

    revision: str | None = None
    """Branch, tag or commit of the model; ``None``: its main branch."""

    device: str = "auto"
    """``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"``: the fastest that is here."""

    dtype: str = "auto"
    """
    ``"float32"``, ``"float16"``, ``"bfloat16"``; ``"auto"``: float16 on CUDA, bfloat16 for CTC models on a
    CPU that multiplies it in tiles (AMX), else float32.
    """

    batch_size: BatchSize = "auto"
    """Clips that the model takes at once, 1 or more; ``"auto"``: what suits the device."""

    trust_remote_code: bool = False
    """Whether Python code of the model's repository may run here."""

    use_safetensors: bool = True
    """Whether weights must be safetensors; ``False``: pickled ones are loaded where there are no others."""

    token: str | None = field(default=None, repr=False)
    """What the Hub is shown; ``None``: the token of the environment or the login."""

    def __post_init__(self) -> None:
        for name in ("model", "device", "dtype"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a string, not {type(getattr(self, name)).__name__}")
        for name in ("trust_remote_code", "use_safetensors"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r:.60}")
        if not self.model.strip():
            raise ValueError("model must not be empty; name a model of the Hub or a folder")
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(
                f'device must be "auto", "cpu", "cuda", "cuda:0" (or another number) or "mps", not {self.device!r:.60}'
            )
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(map(repr, _DTYPES))}, not {self.dtype!r:.60}")
        self._check_revision()
        self._check_batch_size()
        if self.token is not None and not isinstance(self.token, str):
            raise TypeError(f"token must be a string or None, not {type(self.token).__name__}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise ValueError("token holds white space or characters that HTTP cannot carry; copy it again")

    def _check_revision(self) -> None:
        if self.revision is None:
            return
        if not isinstance(self.revision, str):
            raise TypeError(f"revision must be a string or None, not {type(self.revision).__name__}")
        if not _REVISION.fullmatch(self.revision):
            raise ValueError(f"revision must be the name of a branch or tag, or a commit, not {self.revision!r:.60}")

    def _check_batch_size(self) -> None:
        size = self.batch_size
        if size == "auto":
            return
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f'batch_size must be "auto" or a whole number of 1 or more, not {size!r:.60}')
        if size < 1:
            raise ValueError(f'batch_size must be "auto" or a whole number of 1 or more, not {size}')


def check_installed() -> None:
    """
    See that transformers and torch are installed, without importing them.

    Raises:
        BackendNotInstalledError: One of them is missing.
    """
    missing = [package for package in ("transformers", "torch") if not _is_there(package)]
    if missing:
        raise BackendNotInstalledError(f"the backend 'transformers' needs {' and '.join(missing)}; run: {INSTALL}")


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a module that was put into sys.modules without a spec
        return False
