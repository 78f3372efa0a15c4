"""What the calls of one client share, and the clients made from it by `with_options`."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._forks import renew_in_child
from hfasr.errors import AuthenticationError, BackendError

from .breaker import Breaker

if TYPE_CHECKING:
    from hfasr._hosted.dialect import Ask, Form, Server
    from hfasr.types import Backend

    from .gather import Gatherer
    from .local import LocalAnswer
    from .routes import LocalRoute

__all__ = ["Shared"]

_MAX_LEARNED = 512
_REFUSED_S = 600.0
"""
How long a length that was refused is not sent again, seconds: a refusal may have been a slip, or a limit that was
raised since, and to find out costs one upload.
"""


class Shared:
    """
    Engines that are loaded and the lines before them, the token that was found, what servers taught, which routes fail.

    Safe from many threads: what is learned twice is learned alike.
    """

    def __init__(self) -> None:
        self.dialects: dict[str, tuple[str, str | None]] = {}
        self.known_token: str | None = None
        self.breaker = Breaker()
        self.hook_failed = False  # on_attempt did, which is said once
        self._gatherer: Gatherer[LocalAnswer] | None = None
        self._forms: dict[tuple[str, str | None, str], Form] = {}
        self._longest: dict[tuple[str, str | None], tuple[float, float]] = {}  # seconds, and until when
        self._engines: dict[tuple[str | None, ...], Backend] = {}
        self._closed = False
        self._lock = threading.Lock()
        renew_in_child(self)

    def renew(self) -> None:
        """Go on in a forked child; see `hfasr._forks`."""
        self._lock = threading.Lock()
        self.breaker.renew()
        if self._gatherer is not None:
            self._gatherer.renew()

    @property
    def gatherer(self) -> Gatherer[LocalAnswer]:
        """The lines before engines; made when the first engine runs, as most clients have none."""
        from .gather import Gatherer

        with self._lock:
            if self._gatherer is None:
                self._gatherer = Gatherer()
            return self._gatherer

    def learned_form(self, server: Server, ask: Ask) -> Form | None:
        """Return the form in which *server* took the same ask before."""
        return self._forms.get(_lesson(server, ask)) if self._forms else None

    def learn_form(self, server: Server, ask: Ask, form: Form) -> None:
        """Remember that *server* takes *ask* in *form*, so that the next call spares a refusal."""
        if len(self._forms) >= _MAX_LEARNED:
            self._forms.clear()
        self._forms[_lesson(server, ask)] = form

    def longest_s(self, server: Server, now: float) -> float | None:
        """Return the longest audio, seconds, that *server* may take after what it has refused; ``None``: any."""
        seconds, until = self._longest.get((server.url, server.model), (None, now))
        return seconds if now < until else None

    def learn_longest(self, server: Server, seconds: float, now: float) -> None:
        """Remember for a while that *server* has refused longer audio than *seconds*, so that no more of it is sent."""
        if len(self._longest) >= _MAX_LEARNED:
            self._longest.clear()
        known = self.longest_s(server, now)
        shortest = seconds if known is None else min(seconds, known)
        self._longest[server.url, server.model] = shortest, now + _REFUSED_S

    def find_token(self) -> str | None:
        """
        Return the token of the environment or the login. Blocks: it may read files and refresh.

        Raises:
            AuthenticationError: What was found cannot be read, or is no token.
        """
        from huggingface_hub import constants, get_token

        if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
            return None
        try:
            token = get_token()
        except Exception as error:
            raise AuthenticationError(
                f"the Hugging Face token cannot be read ({type(error).__name__}): run `hf auth login` again, "
                "or set HF_TOKEN",
                status_code=401,
            ) from error
        if token is not None and not (token.isascii() and token.isprintable()):
            raise AuthenticationError(
                "the Hugging Face token that was found holds characters that no header can carry: "
                "run `hf auth login` again",
                status_code=401,
            )
        self.known_token = token
        return token

    def forget_token(self) -> None:
        """Look again the next time: the token was refused, and may have been replaced."""
        self.known_token = None

    def engine(self, route: LocalRoute) -> Backend:
        """
        Return *route*'s engine, loading it where needed. Blocks.

        Raises:
            BackendError: It cannot be found or loaded, or the client has been closed.
        """
        if route.backend is not None:
            return route.backend
        key = (route.name, route.model, route.revision, route.token)
        with self._lock:
            if key in self._engines:
                return self._engines[key]
            if self._closed:
                raise _closed()
        from hfasr.backends import load, takes_option

        options = {"revision": route.revision}
        if takes_option(route.name, "token"):  # most engines have no use for one
            options["token"] = route.token
        # Without the lock, since it may take long. Threads that load at once get leases of one engine.
        lease = load(route.name, route.model, **{name: v for name, v in options.items() if v is not None})
        with self._lock:
            kept = None if self._closed else self._engines.setdefault(key, lease)
        if kept is not lease:
            lease.close()
        if kept is None:
            raise _closed()
        return kept

    def close(self) -> None:
        """Give back the engines that were loaded here; the caller's own, and what others hold, stay open."""
        with self._lock:
            self._closed = True
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.close()


def _closed() -> BackendError:
    return BackendError("this client was closed while a call was under way; make a new one")


def _lesson(server: Server, ask: Ask) -> tuple[str, str | None, str]:
    # The text of a prompt changes from call to call, and no server refuses it for what it says.
    return server.url, server.model, repr(replace(ask, prompt=ask.prompt and "…"))
