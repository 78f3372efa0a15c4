"""
Engines on this machine, found by name.

An engine is registered as an entry point of the group ``hfasr.backends``: a callable that takes
the model (or ``None``) and returns a `hfasr.Backend`. The built-in ones register the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfasr.errors import BackendLoadError, BackendNotFoundError, BackendNotInstalledError, HfasrError
from hfasr.types import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["available", "check_name", "load"]

logger = logging.getLogger(__name__)

GROUP = "hfasr.backends"

_BUILT_IN = {"pocketsphinx": "hfasr.backends.pocketsphinx:PocketSphinx"}
"""Where our own engines are, for a program that was packed without its packages' metadata."""


def available() -> tuple[str, ...]:
    """
    Return the names that `load` knows, sorted. Whether their packages are installed shows on loading.

    Example:
        >>> "pocketsphinx" in available()
        True
    """
    return tuple(sorted(_entry_points()))


def check_name(name: str) -> None:
    """
    See that there is a backend called *name*, without loading it.

    Raises:
        BackendNotFoundError: There is none.
    """
    if name not in _BUILT_IN and name not in _entry_points():  # the first look costs nothing, the second 38 ms
        raise BackendNotFoundError(f"no backend is called {name[:60]!r}; there is: {', '.join(available())}")


def load(name: str, model: str | None = None) -> Backend:
    """
    Return the engine *name*, set up for *model*.

    Args:
        name: One of `available`.

        model: Hub id or folder, as the engine takes it; ``None``: its own choice.

    Raises:
        BackendNotFoundError: No engine of that name is registered.
        BackendNotInstalledError: The packages that it needs are not installed.
        BackendLoadError: It could not be set up, or is no `hfasr.Backend`.

    Example:
        >>> load("abacus")
        Traceback (most recent call last):
        ...
        hfasr.errors.BackendNotFoundError: no backend is called 'abacus'; there is: pocketsphinx
    """
    check_name(name)
    entry_point = _entry_points()[name]
    try:
        engine = entry_point.load()(model)
    except HfasrError:
        raise
    except ImportError as error:
        raise BackendNotInstalledError(
            f"backend {name!r} needs a package that is not installed ({error}); install {_origin(entry_point)} again, "
            "with the extras that it asks for"
        ) from error
    except Exception as error:
        raise BackendLoadError(
            f"backend {name!r} of {_origin(entry_point)} could not be loaded: {type(error).__name__}: {error}; "
            "mend or uninstall it"
        ) from error
    if not isinstance(engine, Backend):
        raise BackendLoadError(
            f"backend {name!r} of {_origin(entry_point)} gave a {type(engine).__name__}, "
            "which is not an hfasr.Backend; mend or uninstall it"
        )
    return engine


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import EntryPoint, entry_points  # 38 ms: only where an engine is asked for by name

    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _origin(point), point.value)):
        first = found.setdefault(point.name, point)
        if first.value != point.value and point.name not in _BUILT_IN:
            logger.warning(
                "backend %r is registered by %s and by %s; the first is used",
                point.name,
                _origin(first),
                _origin(point),
            )
    # Nobody else's package takes over a name of ours.
    return found | {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}


def _origin(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else "hfasr"
