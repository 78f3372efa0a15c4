"""A client's settings, checked once, when the client is made."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from hfasr._hosted.servers import DEFAULT_MODEL, ROUTER_URL, check_url
from hfasr.types import Attempt, Backend, Chunking, RetryPolicy

if TYPE_CHECKING:
    from hfasr.audio import UploadFormat

__all__ = ["DEFAULT_MODEL", "HOSTED", "PROVIDERS", "Channels", "Config", "DialectName", "is_server", "seconds_above_0"]

HOSTED = "hosted"
PROVIDERS = ("hf-inference",)
"""Providers behind the router, in the order in which ``"auto"`` prefers them."""

Channels: TypeAlias = Literal["mix", "split"] | int
DialectName: TypeAlias = Literal["auto", "hf", "openai"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """See `ASRClient` for what each setting means."""

    model: str | None = None
    backend: str | Backend = HOSTED
    fallback: str | Backend | Sequence[str | Backend] = ()
    provider: str | Sequence[str] = "auto"
    base_url: str | None = None
    dialect: DialectName = "auto"
    router_url: str | None = None
    token: str | None = field(default=None, repr=False)
    bill_to: str | None = None
    timeout: float = 60.0
    deadline: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    chunking: Chunking = field(default_factory=Chunking)
    upload: UploadFormat = "auto"
    channels: Channels = "mix"
    allow_private_urls: bool = False
    allow_paths: bool = True
    revision: str | None = None
    local_only: bool = False
    on_attempt: Callable[[Attempt], object] | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # a frozen dataclass normalises its own fields so
        _string_or_none("model", self.model)
        _string_or_none("revision", self.revision)
        if not isinstance(self.backend, str | Backend) or self.backend == "":
            raise TypeError('backend must be "hosted", the name of an engine, or a Backend object')
        _known(self.backend)
        set_(self, "fallback", _fallbacks(self.fallback))
        set_(self, "provider", _providers(self.provider))
        if self.base_url is not None:
            set_(self, "base_url", check_url(self.base_url, "base_url"))
        router_url = self.router_url or os.environ.get("HFASR_ROUTER_URL") or ROUTER_URL
        set_(self, "router_url", check_url(router_url, "router_url"))
        _one_of("dialect", self.dialect, get_args(DialectName))
        _one_of("upload", self.upload, ("auto", "original", "flac", "wav", "opus"))
        _header_value("token", self.token)
        _header_value("bill_to", self.bill_to)
        seconds_above_0("timeout", self.timeout)
        if self.deadline is not None:
            seconds_above_0("deadline", self.deadline)
        if not isinstance(self.retry, RetryPolicy):
            raise TypeError("retry must be a hfasr.RetryPolicy, like RetryPolicy(max_attempts=3)")
        if not isinstance(self.chunking, Chunking):
            raise TypeError("chunking must be a hfasr.Chunking, like Chunking(chunk_length_s=20)")
        if self.channels not in ("mix", "split") and (  # a list has no hash
            isinstance(self.channels, bool) or not isinstance(self.channels, int) or self.channels < 0
        ):
            raise ValueError(
                f'channels must be "mix", "split" or the number of one channel, from 0, not {self.channels!r}'
            )
        if not isinstance(self.local_only, bool):  # "no" would be true, 0 would let audio out
            raise TypeError(f"local_only must be True or False, not {type(self.local_only).__name__}")
        _hook(self.on_attempt)
        if self.local_only and not self._has_engine:
            raise ValueError(
                'local_only=True leaves no route, since servers are left out: choose backend="transformers", '
                "or another engine, or name one in fallback="
            )

    @property
    def _has_engine(self) -> bool:
        """Whether a route leads to an engine on this machine."""
        return self.backend != HOSTED or any(not is_server(spec) for spec in self.fallbacks)

    @property
    def fallbacks(self) -> tuple[str | Backend, ...]:
        """The fallbacks, as a tuple."""
        return self.fallback  # type: ignore[return-value]  # made a tuple above

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers, as a tuple."""
        return self.provider  # type: ignore[return-value]  # made a tuple above

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.shown().items())

    def shown(self) -> dict[str, Any]:
        """Return what differs from the defaults and is no secret."""
        default = Config()
        names = [name for name in self.__dataclass_fields__ if name != "token"]
        shown = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(default, name)}
        if self.on_attempt is not None:  # a partial's repr shows what it was given
            shown["on_attempt"] = getattr(self.on_attempt, "__qualname__", type(self.on_attempt).__name__)
        return {**shown, "token": "***"} if self.token else shown


def is_server(spec: str | Backend) -> bool:
    """Whether a fallback is a server's URL, and not an engine."""
    return isinstance(spec, str) and "://" in spec


def seconds_above_0(name: str, value: object) -> float:
    """
    Return *value* as seconds.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not finite, or not above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be seconds above 0, not {value!r}")
    return float(value)


def _string_or_none(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, not {type(value).__name__}")
    if value == "":
        raise ValueError(f"{name} must not be empty; leave it out for the default")


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {str(value)[:50]!r}")


def _hook(hook: object) -> None:
    """See that *hook* can be called from either colour."""
    if hook is None:
        return
    if not callable(hook):
        raise TypeError(f"on_attempt must be a function of one Attempt, not {type(hook).__name__}")
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004  # its type is what is looked at
        raise TypeError(
            "on_attempt must be a plain function: nobody would await it, as it is called in the middle of a request; "
            "let it put the Attempt into a queue, and await there"
        )


def _header_value(name: str, value: object) -> None:
    """Refuse what no header can carry, without quoting it: it may be a secret."""
    _string_or_none(name, value)
    if isinstance(value, str) and not (value.isascii() and value.isprintable() and value.strip() == value):
        raise ValueError(f"{name} holds white space or characters that HTTP cannot carry; copy it again")


def _providers(provider: object) -> tuple[str, ...]:
    if provider == "auto":
        return PROVIDERS[:1]
    names = (provider,) if isinstance(provider, str) else tuple(provider) if isinstance(provider, Sequence) else ()
    if not names:
        raise ValueError(f'provider must be "auto", or one or more of {", ".join(PROVIDERS)}')
    for name in names:
        if name not in PROVIDERS:
            raise ValueError(
                f"provider {str(name)[:50]!r} is not known; use auto or {', '.join(PROVIDERS)}, "
                "or base_url= for a server of your own"
            )
    return tuple(dict.fromkeys(names))


def _fallbacks(fallback: object) -> tuple[str | Backend, ...]:
    single = isinstance(fallback, str | Backend)
    routes = (fallback,) if single else tuple(fallback) if isinstance(fallback, Sequence) else None
    if routes is None:
        raise TypeError("fallback must be the name of an engine, a server's URL, a Backend, or a sequence of them")
    for route in routes:
        if not isinstance(route, str | Backend) or route == "":
            raise TypeError(f"fallback holds {route!r:.60}, which is neither an engine's name, a URL nor a Backend")
        if route == HOSTED:
            raise ValueError('fallback cannot be "hosted": name a server\'s URL or an engine')
        if isinstance(route, str) and is_server(route):
            check_url(route, "fallback")
        else:
            _known(route)
    return routes


def _known(backend: str | Backend) -> None:
    """Refuse an engine's misspelt name here, and not in the outage that it was meant for."""
    if isinstance(backend, str) and backend != HOSTED:
        from hfasr.backends import check_name

        check_name(backend.partition(":")[0])
