"""torch and transformers, imported; what is wrong with an installation, said in one sentence."""

from __future__ import annotations

import importlib
import traceback

from hfasr.errors import BackendNotInstalledError

from .failures import causes, first_line
from .settings import INSTALL

__all__ = ["import_libraries"]

_USED = (
    "AutoModelForCTC",
    "AutoModelForSpeechSeq2Seq",
    "AutoProcessor",
    "AutoFeatureExtractor",
    "AutoTokenizer",
)


def import_libraries() -> None:
    """
    Import what loading a model needs: before anything is fetched, so that a broken installation costs no download.

    Raises:
        BackendNotInstalledError: A package is missing, or is there and cannot be imported.
    """
    try:
        importlib.import_module("torch")
        transformers = importlib.import_module("transformers")
        for name in _USED:
            getattr(transformers, name)  # imported at the first look
        importlib.import_module("transformers.models.auto.modeling_auto")
        # Here and not at the first clip, so that a package that does not fit is found while loading.
        importlib.import_module("transformers.audio_utils")
    except ModuleNotFoundError as error:
        raise BackendNotInstalledError(
            f"the backend 'transformers' needs {error.name or 'a package'}, which is not installed; run: {INSTALL}"
        ) from error
    except Exception as error:
        raise _broken_install(error) from error


def _broken_install(error: Exception) -> BackendNotInstalledError:
    said = [f"{type(cause).__name__}: {first_line(cause)}" for cause in causes(error)]
    for package in ("torchaudio", "torchcodec", "torchvision"):  # not needed here, but imported where they are
        if any(package in one or f"lib{package}" in one for one in said) or _is_in_traceback(error, package):
            return BackendNotInstalledError(
                f"{package} does not fit the torch that is installed, and transformers fails on it ({said[-1]:.160}); "
                f"run: pip uninstall {package} (hfasr needs none), or install the build that fits"
            )
    return BackendNotInstalledError(
        f"torch or transformers is installed but cannot be imported ({said[-1]:.240}); install them again: {INSTALL}"
    )


def _is_in_traceback(error: BaseException, package: str) -> bool:
    return any(
        f"{package}/" in frame.filename.replace("\\", "/")
        for cause in causes(error)
        for frame in traceback.extract_tb(cause.__traceback__)
    )
