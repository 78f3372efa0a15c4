"""Which routes a call may take, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hfasr._hosted.hf import HFDialect
from hfasr._hosted.openai import OpenAIDialect
from hfasr._hosted.servers import endpoint_server, is_hugging_face, openai_server, origin, router_server

from .config import DEFAULT_MODEL, HOSTED, is_server

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Dialect, Server
    from hfasr.types import Backend

    from .config import Config, DialectName

__all__ = ["DIALECTS", "HostedRoute", "LocalRoute", "Route", "plan"]

DIALECTS: dict[str, Dialect] = {"hf": HFDialect(), "openai": OpenAIDialect()}


@dataclass(frozen=True, slots=True)
class HostedRoute:
    """A server, and what it may be shown."""

    name: str
    """For messages and `Attempt.route`."""

    provider: str | None
    """For `Provenance.provider`."""

    base_url: str
    """Where the server's protocol begins; the token goes to this origin alone."""

    model: str | None
    """Hub id; ``None``: whatever that server runs."""

    dialect: DialectName
    """What it speaks; ``"auto"``: to be found out."""

    behind_router: bool
    """Whether *base_url* is the router's."""

    explicit_token: str | None = field(repr=False)
    """A token that the caller passed for this very server."""

    @property
    def finds_token(self) -> bool:
        """Whether a token from the environment or the login may go there."""
        return self.explicit_token is None and is_hugging_face(self.base_url)

    @property
    def needs_token(self) -> bool:
        """Whether nothing can be had there without one."""
        return self.behind_router and is_hugging_face(self.base_url)

    @property
    def credential(self) -> str | None:
        """What tells whether two routes are paid by the same account; ``None``: no account."""
        return self.explicit_token or ("found" if self.finds_token else None)

    def server(self, dialect: str, prefix: str | None = None) -> Server:
        """Return the server's address in *dialect*."""
        if self.behind_router:
            return router_server(self.base_url, self.name, self.model or DEFAULT_MODEL)
        if dialect == "openai":
            return openai_server(self.base_url, self.model, prefix=prefix)
        return endpoint_server(self.base_url, self.model)


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """An engine on this machine."""

    name: str
    """The engine's name."""

    model: str | None
    """Hub id or folder; ``None``: the engine's own default."""

    backend: Backend | None
    """The engine itself, where the caller passed one."""

    revision: str | None = None
    """Branch, tag or commit of *model* to load; ``None``: the engine's own choice."""

    token: str | None = field(default=None, repr=False)
    """A token that the caller passed for Hugging Face, to fetch *model* with."""


Route: TypeAlias = HostedRoute | LocalRoute


def plan(config: Config, model: str | None) -> tuple[Route, ...]:
    """Return the routes of a call for *model* (``None``: the client's), in order."""
    wanted = model or config.model
    first: tuple[Route, ...]
    if config.backend != HOSTED:
        first = (_engine(config.backend, wanted, config, own_revision=config.revision),)
    elif config.local_only:
        first = ()
    elif config.base_url is not None:
        first = (_own_server(config.base_url, wanted, config, config.dialect),)
    else:
        first = tuple(_behind_router(name, wanted or DEFAULT_MODEL, config) for name in config.providers)
    # A fallback that names no model of its own gets the call's, where the caller chose one.
    fallbacks = [spec for spec in config.fallbacks if not (config.local_only and is_server(spec))]
    return (*first, *(_fallback(spec, wanted, config) for spec in fallbacks))


def _behind_router(provider: str, model: str, config: Config) -> HostedRoute:
    route = HostedRoute(provider, provider, str(config.router_url), model, "hf", True, config.token)
    route.server("hf")  # a model id that cannot be one is refused before anything is read or sent
    return route


def _own_server(base_url: str, model: str | None, config: Config, dialect: DialectName) -> HostedRoute:
    # A token is passed for one server: a fallback elsewhere does not get it.
    primary = _primary(config)
    same = origin(base_url) == origin(primary) or (is_hugging_face(base_url) and is_hugging_face(primary))
    return HostedRoute(base_url, base_url, base_url, model, dialect, False, config.token if same else None)


def _fallback(spec: str | Backend, model: str | None, config: Config) -> Route:
    if isinstance(spec, str) and is_server(spec):
        return _own_server(spec.rstrip("/"), model, config, "auto")
    if isinstance(spec, str):
        from hfasr.backends import takes_models

        if not takes_models(spec):  # else the way out would fail on the call's model, when it is needed
            return LocalRoute(spec, None, None)
    return _engine(spec, model, config)


def _engine(spec: str | Backend, model: str | None, config: Config, *, own_revision: str | None = None) -> LocalRoute:
    """Return the route to an engine; *own_revision* is that of a model which *spec* itself names."""
    if not isinstance(spec, str):
        return LocalRoute(spec.name, model, spec)
    name, _, own_model = spec.partition(":")
    revision = own_revision if own_model else config.revision
    token = config.token if is_hugging_face(_primary(config)) else None  # it was passed for another server
    return LocalRoute(name, own_model or model, None, revision, token)


def _primary(config: Config) -> str:
    """Return the server for which a token was passed."""
    return config.base_url or str(config.router_url)
