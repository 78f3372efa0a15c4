"""
Engines on this machine, found by name.

An engine is registered as an entry point of the group ``hfasr.backends``: a callable that takes
the model (or ``None``), and options by keyword if it likes, and returns a `hfasr.Backend`. The
built-in ones register the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hfasr.errors import BackendLoadError, BackendNotFoundError, BackendNotInstalledError, HfasrError
from hfasr.types import Backend

from ._leases import Lease, accepted, identity, lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint

__all__ = ["Lease", "accepted", "available", "check_name", "load", "takes_models", "takes_option"]

logger = logging.getLogger(__name__)

GROUP = "hfasr.backends"

_BUILT_IN = {
    "pocketsphinx": "hfasr.backends.pocketsphinx:PocketSphinx",
    "transformers": "hfasr.backends.transformers:Transformers",
}
"""Where our own engines are, for a program that was packed without its packages' metadata."""

_OWN_MODEL = frozenset({"pocketsphinx"})


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


def takes_models(name: str) -> bool:
    """
    Whether the engine *name* runs models that a caller names, rather than one of its own.

    Example:
        >>> takes_models("transformers"), takes_models("pocketsphinx")
        (True, False)
    """
    return name not in _OWN_MODEL


def takes_option(name: str, option: str) -> bool:
    """
    Whether the built-in engine *name* takes *option*, without making one.

    Of others nobody knows what they mean by a name: a token is not shown to them.

    Example:
        >>> takes_option("transformers", "token"), takes_option("pocketsphinx", "token")
        (True, False)
    """
    known = _options(_find(name).load()) if name in _BUILT_IN else None
    return known is not None and option in known


def load(name: str, model: str | None = None, **options: Any) -> Lease:
    """
    Return the engine *name*, set up for *model*; there is one per process and set of arguments.

    All who load the same engine share it, each with a lease of its own: close it, or use it as a
    context manager. The engine is freed with its last lease. Safe from many threads.

    Args:
        name: One of `available`.

        model: Hub id or folder, as the engine takes it; ``None``: its own choice.

        **options: What else the engine takes, such as ``device="cpu"``.

    Returns:
        A `hfasr.Backend`, with everything else that the engine has.

    Raises:
        BackendNotFoundError: No engine of that name is registered.
        BackendNotInstalledError: The packages that it needs are not installed.
        BackendLoadError: It could not be set up, takes no such option, or is no `hfasr.Backend`.
        TypeError: An option of a built-in engine has a value of another type than it takes.
        ValueError: An option of a built-in engine has a value that it does not take.

    Example:
        >>> with load("pocketsphinx") as engine:
        ...     engine.sampling_rate
        16000
        >>> load("abacus")
        Traceback (most recent call last):
        ...
        hfasr.errors.BackendNotFoundError: no backend is called 'abacus'; there is: pocketsphinx, transformers
    """
    check_name(name)
    key = (name, identity(model), identity(options))
    return lease(key, name, lambda: _make(name, model, options))


def _make(name: str, model: str | None, options: Mapping[str, Any]) -> Backend:
    entry_point = _find(name)
    origin = _origin(entry_point)
    try:
        make = entry_point.load()
        _check_options(name, make, options)
        engine = make(model, **options)
    except HfasrError:
        raise
    except ImportError as error:
        raise BackendNotInstalledError(
            f"backend {name!r} needs a package that is not installed ({error}); install {origin} again, "
            "with the extras that it asks for"
        ) from error
    except Exception as error:
        if name in _BUILT_IN and isinstance(error, TypeError | ValueError):
            raise  # our own engines say what is wrong with an option's value
        raise BackendLoadError(
            f"backend {name!r} of {origin} could not be loaded: {type(error).__name__}: {error}; mend or uninstall it"
        ) from error
    if not isinstance(engine, Backend):
        raise BackendLoadError(
            f"backend {name!r} of {origin} gave a {type(engine).__name__}, "
            "which is not an hfasr.Backend; mend or uninstall it"
        )
    return engine


def _check_options(name: str, make: Callable[..., object], options: Iterable[str]) -> None:
    known = _options(make)
    unknown = [option for option in options if known is not None and option not in known]
    if unknown:
        raise BackendLoadError(
            f"backend {name!r} takes no option {', '.join(map(repr, unknown))}; "
            + (f"it takes: {', '.join(known)}" if known else "leave it out")
        )


def _options(make: Callable[..., object]) -> list[str] | None:
    """Return the names of the options that *make* takes; ``None``: any, or nobody knows."""
    import inspect

    try:
        parameters = list(inspect.signature(make).parameters.values())
    except (TypeError, ValueError):  # made in C, or no callable at all: the call will tell
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter.name for parameter in parameters[1:] if parameter.kind in named]  # the first is the model


def _find(name: str) -> EntryPoint:
    from importlib.metadata import EntryPoint

    return EntryPoint(name, _BUILT_IN[name], GROUP) if name in _BUILT_IN else _entry_points()[name]


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
