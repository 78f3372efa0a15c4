"""What both clients share: the settings, checking what is asked for, and making a client from another."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ._core.clock import SystemClock
from ._core.config import HOSTED, Config
from ._core.shared import Shared
from .types import Backend, Chunking, RetryPolicy, TranscribeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._batch.opening import Order
    from ._core.clock import Clock
    from ._core.config import Channels, DialectName
    from ._core.io import AsyncIO, BlockingIO
    from ._long.plan import StreamAsk
    from .audio import UploadFormat
    from .types import Attempt

__all__ = ["BaseClient", "with_options_shown"]

_DEFAULT_RETRY = RetryPolicy()
_DEFAULT_CHUNKING = Chunking()

_DEFAULTS = {"return_timestamps": False, "on_chunk_error": "raise"}
"""Of the options that are not ``None`` by default."""

F = TypeVar("F", bound="Callable[..., Any]")


def with_options_shown(method: F) -> F:
    """Let ``help()`` show the keywords of `TranscribeOptions` one by one."""
    plain = inspect.signature(method)
    kept = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shown = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_DEFAULTS.get(name),
            annotation=getattr(kind, "__forward_arg__", kind),  # what was written, since annotations here are text
        )
        for name, kind in TranscribeOptions.__annotations__.items()
    ]
    method.__signature__ = plain.replace(parameters=[*kept, *shown])  # type: ignore[attr-defined]  # functions take attributes
    return method


class BaseClient:
    """What both colours share: the settings, and making a client from another."""

    _io: Any  # of the class's own colour

    def __init__(
        self,
        model: str | None = None,
        *,
        backend: str | Backend = HOSTED,
        fallback: str | Backend | Sequence[str | Backend] = (),
        provider: str | Sequence[str] = "auto",
        base_url: str | None = None,
        dialect: DialectName = "auto",
        router_url: str | None = None,
        token: str | None = None,
        bill_to: str | None = None,
        timeout: float = 60.0,
        deadline: float | None = None,
        retry: RetryPolicy = _DEFAULT_RETRY,
        chunking: Chunking = _DEFAULT_CHUNKING,
        upload: UploadFormat = "auto",
        channels: Channels = "mix",
        allow_private_urls: bool = False,
        allow_paths: bool = True,
        revision: str | None = None,
        local_only: bool = False,
        on_attempt: Callable[[Attempt], object] | None = None,
        http_client: Any = None,
    ) -> None:
        self._settings: dict[str, Any] = {
            "model": model,
            "backend": backend,
            "fallback": fallback,
            "provider": provider,
            "base_url": base_url,
            "dialect": dialect,
            "router_url": router_url,
            "token": token,
            "bill_to": bill_to,
            "timeout": timeout,
            "deadline": deadline,
            "retry": retry,
            "chunking": chunking,
            "upload": upload,
            "channels": channels,
            "allow_private_urls": allow_private_urls,
            "allow_paths": allow_paths,
            "revision": revision,
            "local_only": local_only,
            "on_attempt": on_attempt,
        }
        self._config = Config(**self._settings)
        self._shared = Shared()
        self._parent: BaseClient | None = None
        self._closed = False
        self._io = self._make_io(http_client, SystemClock())

    def _make_io(self, http_client: Any, clock: Clock) -> BlockingIO | AsyncIO:  # noqa: ARG002  # the colours use both
        raise TypeError("use ASRClient or AsyncASRClient")

    def with_options(self, **changes: Any) -> Self:
        """
        Return a client with other settings that shares this one's connections and engines.

        Closing it leaves the shared connections open; closing this one closes them. A *token* that
        was passed for one server does not go along to another: with a new *base_url* or
        *router_url*, pass it again.

        Args:
            **changes: Any arguments of the constructor, except *http_client*.

        Raises:
            TypeError: An unknown setting, or a value of the wrong type.
            ValueError: A value that is out of range.

        Example:
            >>> from hfasr import ASRClient
            >>> asr = ASRClient()
            >>> patient = asr.with_options(deadline=600)
        """
        unknown = changes.keys() - self._settings.keys()
        if unknown:
            raise TypeError(f"with_options() cannot change {', '.join(sorted(unknown))}")
        settings = {**self._settings, **changes}
        if "token" not in changes and any(
            name in changes and changes[name] != self._settings[name] for name in ("base_url", "router_url")
        ):
            settings["token"] = None
        made = object.__new__(type(self))
        changed = {"_settings": settings, "_config": Config(**settings), "_parent": self}
        vars(made).update({**vars(self), **changed})
        return made

    def _order(self, audios: object, options: TranscribeOptions, *, allow_async: bool, **settings: Any) -> Order:
        """Check everything that a batch is asked for, before anything is opened."""
        from ._batch.opening import Order
        from ._batch.settings import BatchSettings, check_inputs
        from ._core.options import check_options
        from ._core.routes import plan

        check_inputs(audios, allow_async=allow_async)
        check_options(options)
        plan(self._config, options.get("model"))
        return Order(
            io=self._io,
            config=self._config,
            shared=self._shared,
            audios=audios,
            options=options,
            settings=BatchSettings(**settings),
            check_open=self._check_open,
        )

    def _stream_ask(self, audio: Any, options: TranscribeOptions) -> StreamAsk:
        """Check everything that a stream is asked for, before anything is opened."""
        from ._core.options import check_options
        from ._core.routes import plan
        from ._long.plan import StreamAsk

        check_options(options)
        plan(self._config, options.get("model"))
        if self._config.channels == "split":
            raise ValueError(
                'transcribe_stream gives one channel or the mix: use channels=0, or transcribe() with channels="split"'
            )
        return StreamAsk(self._io, self._config, self._shared, audio, options, self._check_open)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed; make a new one, or move the call inside its `with` block")
        if self._parent is not None:
            self._parent._check_open()  # noqa: SLF001  # one of us

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the token nor connections travel: the other process finds its own. Nor does on_attempt, which as
        # a rule holds what cannot: a queue, a file, a meter. To send it where it can would hide where it cannot.
        return _unpickle, (type(self), {**self._settings, "token": None, "on_attempt": None})


def _unpickle(cls: type[BaseClient], settings: dict[str, Any]) -> BaseClient:
    return cls(**settings)
