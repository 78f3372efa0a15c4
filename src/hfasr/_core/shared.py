"""What the calls of one client share, and the clients made from it by `with_options`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Ask, Form, Server
    from hfasr.types import Backend

    from .routes import LocalRoute

__all__ = ["Shared"]

_MAX_LEARNED = 512


class Shared:
    """
    Engines that are loaded, the token that was found, and what servers taught.

    Safe from many threads: what is learned twice is learned alike.
    """

    def __init__(self) -> None:
        self.dialects: dict[str, tuple[str, str | None]] = {}
        self._forms: dict[tuple[str, str, str], Form] = {}
        self._engines: dict[tuple[str, str | None], Backend] = {}
        self._lock = threading.Lock()
        self._token: str | None = None

    def learned_form(self, server: Server, ask: Ask) -> Form | None:
        """Return the form in which *server* took the same ask before."""
        return self._forms.get((server.url, server.model, repr(ask)))

    def learn_form(self, server: Server, ask: Ask, form: Form) -> None:
        """Remember that *server* takes *ask* in *form*, so that the next call spares a refusal."""
        if len(self._forms) >= _MAX_LEARNED:
            self._forms.clear()
        self._forms[server.url, server.model, repr(ask)] = form

    def found_token(self) -> str | None:
        """Return the token of the environment or the login. Blocks: it may read files and refresh."""
        if self._token is None:
            from huggingface_hub import constants, get_token

            if not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
                self._token = get_token()
        return self._token

    @property
    def token_is_known(self) -> bool:
        """Whether `found_token` answers at once."""
        return self._token is not None

    def forget_token(self) -> None:
        """Look again the next time: the token was refused, and may have been replaced."""
        self._token = None

    def engine(self, route: LocalRoute) -> Backend:
        """
        Return *route*'s engine, loading it where needed. Blocks.

        Raises:
            BackendError: It cannot be found or loaded.
        """
        if route.backend is not None:
            return route.backend
        key = (route.name, route.model)
        with self._lock:
            engine = self._engines.get(key)
            if engine is None:
                from hfasr.backends import load

                engine = self._engines[key] = load(route.name, route.model)
        return engine

    def close(self) -> None:
        """Close the engines that were loaded here; the caller's own stay open."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.close()
