"""Those who watch a call from outside: a function of the caller's, told of each attempt, and spans."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Self

from . import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from hfasr.types import Attempt, Transcript

    from .context import CallContext
    from .shared import Shared

__all__ = ["Watched", "tell"]

logger = logging.getLogger("hfasr")


def tell(hook: Callable[[Attempt], object], attempt: Attempt, shared: Shared) -> None:
    """Call *hook*; what it raises is the log's, since nothing that was transcribed may be lost to it."""
    try:
        returned = hook(attempt)
    except Exception as error:  # noqa: BLE001  # of the caller's own function, which may raise anything
        _complain(shared, f"raised {type(error).__name__}{_place(error)}")
        return
    if inspect.iscoroutine(returned):
        returned.close()
        _complain(shared, "returned a coroutine, which nobody awaits")


def _complain(shared: Shared, what: str) -> None:
    if not shared.hook_failed:  # a batch may have a million attempts
        shared.hook_failed = True
        logger.warning("on_attempt %s; the call goes on, and further ones are not logged", what)


def _place(error: Exception) -> str:
    """Say where *error* was raised: its message may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    file = trace.tb_frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f" ({file}, line {trace.tb_lineno})"


class Watched:
    """
    Around a call, a part of one, or a stream: its span; and at the end, whatever that is, the last attempt is told of.

    A context manager, within which the span is the current one; or `begin` and `end` by hand, where what it is
    around is not one stretch of one thread or task.

    Args:
        name: The span's; ``None``: there is none of its own.

        attributes: Gives the span's; called where there is one.

        call: Whose attempts belong to it.
    """

    def __init__(
        self, name: str | None, attributes: Callable[[], Mapping[str, Any]], call: CallContext | None = None
    ) -> None:
        self._name = name
        self._attributes = attributes
        self._call = call
        self._token: Any = None
        self._error: BaseException | None = None
        self.span: Any = None
        """Of OpenTelemetry; ``None``: nobody wants one."""

    def begin(self) -> Self:
        if self._name is not None:
            call = self._call
            self.span = telemetry.start(self._name, self._attributes, None if call is None else call.span)
            if call is not None and self.span is not None:
                call.span = self.span
        return self

    def answered(self, transcript: Transcript, *, recalled: bool = False) -> None:
        """Say how *transcript* came about; *recalled*: it was known already."""
        if self.span is not None:
            telemetry.describe(self.span, transcript)
            if recalled:
                self.span.set_attribute("hfasr.recalled", True)

    def failed(self, error: BaseException) -> None:
        """Say that it failed, though nothing is raised here."""
        if self.span is not None:
            self._error = error

    def end(self, error: BaseException | None = None) -> None:
        """End the span. What is called again does nothing."""
        span, self.span = self.span, None
        if span is not None:
            telemetry.end(span, error or self._error)
        self._error = None

    def __enter__(self) -> Self:
        self.begin()
        if self.span is not None:
            self._token = telemetry.attach(self.span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._call is not None:
                self._call.tell()
        finally:
            if self._token is not None:
                telemetry.detach(self._token)
            self.end(error)
