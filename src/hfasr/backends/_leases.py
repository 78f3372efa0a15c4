"""Engines that several users share: made once, closed by the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from hfasr._forks import ForkedLock
from hfasr.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from hfasr.types import Audio, Backend, TranscribeOptions, Transcript

__all__ = ["Lease", "accepted", "identity", "lease"]


class _Engine:
    """One engine, how many leases it has, and the lock under which that changes."""

    __slots__ = ("__weakref__", "backend", "closed", "leases", "lock")

    def __init__(self) -> None:
        self.lock = ForkedLock()
        self.backend: Backend | None = None
        self.leases = 0
        self.closed = False


# Weak: an engine whose leases were all forgotten instead of closed goes away with them, and one
# that could not be made leaves nothing behind.
_engines: WeakValueDictionary[Hashable, _Engine] = WeakValueDictionary()
_engines_lock = ForkedLock()


class Lease:
    """
    A share in an engine, which is a `hfasr.Backend` itself.

    It has what the engine has, whatever that is beyond the protocol. The engine is closed with
    its last lease; a closed lease raises `hfasr.BackendError`.
    """

    _engine: _Engine | None = None

    def __init__(self, engine: _Engine, name: str) -> None:
        self.name = name
        self._engine = engine

    @property
    def sampling_rate(self) -> int:
        """Rate that the engine wants, Hz."""
        return self._backend().sampling_rate

    @property
    def max_duration_s(self) -> float | None:
        """Longest audio that it takes at once, seconds; ``None``: any."""
        return self._backend().max_duration_s

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions, **beyond: Any) -> list[Transcript]:
        """
        Transcribe each of *batch*; see `hfasr.Backend`.

        Args:
            batch: Waveforms of shape ``(n_samples,)``, float32 in [-1, 1], at `sampling_rate`.

            options: What was asked for.

            **beyond: Keywords beyond the protocol; the engine is given those that it takes.

        Raises:
            BackendError: This lease is closed, or what the engine raises.
        """
        transcribe: Callable[..., list[Transcript]] = self._backend().transcribe
        return transcribe(batch, options, **accepted(transcribe, beyond))

    def close(self) -> None:
        """Give the share back; the engine is closed with its last one. May be called twice."""
        engine: _Engine | None = vars(self).pop("_engine", None)  # in one step: threads may close at once
        if engine is None:
            return
        with engine.lock:  # whoever loads the same engine now waits until this one has been freed
            engine.leases -= 1
            if engine.leases == 0 and engine.backend is not None:
                backend, engine.backend = engine.backend, None
                try:
                    backend.close()
                finally:
                    engine.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        # Only what the engine has is here: `preload`, `model` and `revision` are optional.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._backend(), name)

    def __repr__(self) -> str:
        return f"<{'closed ' if self._engine is None else ''}lease of {self.name}>"

    def _backend(self) -> Backend:
        engine = self._engine
        backend = None if engine is None else engine.backend
        if backend is None:
            raise BackendError(f"this {self.name} engine was closed; load it again with hfasr.backends.load")
        return backend


def lease(key: Hashable, name: str, make: Callable[[], Backend]) -> Lease:
    """
    Return a lease of the engine *key*, made by *make* where there is none.

    Of threads that ask for one engine at once one makes it and the others wait. Where *make*
    raises, so does this, and the next to ask tries again.
    """
    while True:
        with _engines_lock:
            engine = _engines.get(key)
            if engine is None or engine.closed:
                engine = _engines[key] = _Engine()
        with engine.lock:
            if engine.closed:  # by its last lease, while this waited
                continue
            if engine.backend is None:
                engine.backend = make()
            engine.leases += 1
            return Lease(engine, name)


def accepted(method: Callable[..., object], offered: Mapping[str, object]) -> dict[str, object]:
    """
    Return what of *offered* can be told to an engine's *method*, beyond the protocol.

    Example:
        >>> accepted(lambda batch, options, *, check: None, {"check": len, "download": True})
        {'check': <built-in function len>}
    """
    import inspect

    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # not written in Python
        return {}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {name: value for name, value in offered.items() if takes_all or name in parameters}


def identity(value: object) -> Hashable:
    """
    Return what tells *value* from others: equal values of one type are the same, ``1`` and ``True`` are not.

    What cannot be compared by value is itself only, as long as it lives.

    Example:
        >>> identity({"a": [1]}) == identity({"a": [1]}), identity([1]) == identity([True])
        (True, False)
    """
    if isinstance(value, dict):
        return dict, frozenset((identity(key), identity(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(identity(item) for item in value)
    if isinstance(value, set | frozenset):
        return type(value), frozenset(identity(item) for item in value)
    try:
        hash(value)
    except TypeError:
        return _Itself(value)
    return type(value), value


class _Itself:
    """Stands for one object, and keeps it alive, so that no other takes its place."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)
