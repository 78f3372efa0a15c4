"""transformers without its advice and progress bars, while we call it and in our thread only."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hfasr._forks import ForkedLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["quiet"]

_ADVICE = (
    "Support for mismatched key_padding_mask",  # WavLM's own mask in a batch
    r"std\(\): degrees of freedom",  # word times of a text of one token
    "__array_wrap__ must accept",  # word times of long files in a batch: NumPy about torch
)

_is_quiet: ContextVar[bool] = ContextVar("hfasr_transformers_quiet", default=False)
_lock = ForkedLock()
_hooked = False


class _Quiet(logging.Filter):
    """Lets everything through but what transformers says inside `quiet`."""

    def filter(self, record: logging.LogRecord) -> bool:
        # A handler of the user's own may hang at other loggers as well, ours among them.
        theirs = record.name.partition(".")[0] == "transformers"
        return not (theirs and _is_quiet.get()) or record.levelno >= logging.ERROR


_FILTER = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """
    Keep transformers' warnings and progress bars off the user's screen inside the block.

    Neither its verbosity nor its switch for progress bars is touched: other threads, and the
    user's own calls, show what they always did.
    """
    _install()
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)


def _install() -> None:
    global _hooked  # noqa: PLW0603  # transformers has one hook per process, and so have we
    from transformers.utils import logging as theirs

    with _lock:
        for message in _ADVICE:
            _ignore(message)
        for handler in logging.getLogger("transformers").handlers:
            handler.addFilter(_FILTER)  # a second time changes nothing
        if not _hooked and hasattr(theirs, "set_tqdm_hook"):
            previous = theirs.set_tqdm_hook(None)
            theirs.set_tqdm_hook(_hook(previous))
            _hooked = True


def _ignore(message: str) -> None:
    # Not warnings.catch_warnings, which is no more than a switch for the whole process, nor filterwarnings
    # each time, which makes Python forget which warnings it has shown.
    if not any(
        kind == "ignore" and known is not None and known.pattern == message for kind, known, *_ in warnings.filters
    ):
        warnings.filterwarnings("ignore", message)


def _hook(previous: Callable[..., Any] | None) -> Callable[..., Any]:
    def make_bar(factory: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        if _is_quiet.get():
            settings = settings | {"disable": True}
        return factory(*args, **settings) if previous is None else previous(factory, args, settings)

    return make_bar
