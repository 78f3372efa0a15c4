"""What a function that watches a call is told, and how a span is kept around one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from hfasr._core import watch
from hfasr._core.shared import Shared
from hfasr._core.watch import Watched
from tests.core.spans_kit import Provider
from tests.core.test_telemetry_exactly import ATTEMPT, start, transcript

if TYPE_CHECKING:
    from hfasr import Attempt


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return Provider().install(monkeypatch)


def test_told() -> None:
    """A function is told of the attempt itself; what it returns is nobody's."""
    told: list[Attempt] = []
    shared = Shared()
    watch.tell(lambda attempt: told.append(attempt) or "x", ATTEMPT, shared)  # type: ignore[func-returns-value]
    assert told == [ATTEMPT]
    assert not shared.hook_failed


def test_complaint(caplog: pytest.LogCaptureFixture) -> None:
    """Of all that a function raises only the first is said, with the innermost line and without its message."""

    def inner(attempt: Attempt) -> None:
        raise ValueError("secret")

    def hook(attempt: Attempt) -> None:
        inner(attempt)

    shared = Shared()
    watch.tell(hook, ATTEMPT, shared)
    watch.tell(hook, ATTEMPT, shared)
    line = inner.__code__.co_firstlineno + 1
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            "hfasr",
            logging.WARNING,
            f"on_attempt raised ValueError (test_watch.py, line {line}); the call goes on, and further ones are not logged",
        )
    ]
    assert shared.hook_failed


def test_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that a function returns is closed, and that it is not awaited said once."""
    made: list[Any] = []

    async def awaited() -> None:
        raise AssertionError

    def hook(attempt: Attempt) -> Any:
        made.append(awaited())
        return made[-1]

    shared = Shared()
    watch.tell(hook, ATTEMPT, shared)
    watch.tell(hook, ATTEMPT, shared)
    assert [one.cr_frame for one in made] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "on_attempt returned a coroutine, which nobody awaits; the call goes on, and further ones are not logged"
    ]


@pytest.mark.parametrize("folder", ["C:\\work\\", "/srv/app/", "C:\\work/", ""])
def test_place(folder: str) -> None:
    """A file is named without its folder, on any system."""
    code = compile("\n\n1 / 0", folder + "hook.py", "exec")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code, {})
    assert watch._place(caught.value) == " (hook.py, line 3)"


def test_no_place() -> None:
    """An error that was raised nowhere has no place."""
    assert watch._place(ValueError("no")) == ""


class Call:
    """In the place of a call: its span, and how often it told."""

    def __init__(self, span: Any = None, error: BaseException | None = None) -> None:
        self.span = span
        self.n_told = 0
        self._error = error

    def tell(self) -> None:
        self.n_told += 1
        if self._error is not None:
            raise self._error


def watched(name: str | None, call: Any = None) -> Watched:
    return Watched(name, lambda: {"answer": 1}, call)


def test_watched(provider: Provider) -> None:
    """Around a call there is a span, below that which it had, which is the current one and then the call's."""
    outer = start("outer")
    call = Call(outer)
    around = watched("call", call)
    assert around.span is None
    with around as entered:
        assert entered is around
        assert call.span is around.span
        assert trace.get_current_span() is around.span
        around.answered(transcript(), recalled=True)
        assert call.n_told == 0
    assert call.n_told == 1
    assert not trace.get_current_span().get_span_context().is_valid
    span = provider.last()
    attributes = dict(span.attributes or {})
    assert (attributes["answer"], attributes["hfasr.recalled"], attributes["hfasr.warnings"]) == (1, True, 1)
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id


def test_not_recalled(provider: Provider) -> None:
    """Of what was not known already nothing is said of that."""
    with watched("call") as around:
        around.answered(transcript())
    assert "hfasr.recalled" not in dict(provider.last().attributes or {})


def test_without_a_name(provider: Provider) -> None:
    """Without a name there is no span, but the last attempt is told of."""
    outer = start("outer")
    call = Call(outer)
    with watched(None, call) as around:
        assert around.span is None
        around.answered(transcript(), recalled=True)
        around.failed(ValueError("no"))
    assert call.span is outer
    assert call.n_told == 1
    assert provider.ended() == []


def raised_after(around: Watched, error: Exception) -> Exception:
    """Tell *around* of *error*, and return another one."""
    around.failed(error)
    return ValueError("no")


def test_failed(provider: Provider) -> None:
    """What is raised is the span's error, or else what it was told of; it ends once."""
    raised = watched("raised")
    with pytest.raises(ValueError, match="no"), raised:
        raise raised_after(raised, LookupError("before"))
    with watched("told") as around:
        around.failed(LookupError("before"))
    again = watched("by hand").begin()
    again.failed(LookupError("before"))
    again.end()
    again.end(ValueError("no"))
    again.begin()
    again.end()
    errors = [(span.name, (span.attributes or {}).get("error.type")) for span in provider.ended()]
    assert errors == [("raised", "ValueError"), ("told", "LookupError"), ("by hand", "LookupError"), ("by hand", None)]


def test_function_that_ends_the_program(provider: Provider) -> None:
    """When telling raises, the span ends all the same and is no longer the current one."""
    with pytest.raises(KeyboardInterrupt), watched("call", Call(error=KeyboardInterrupt())):
        pass
    assert [span.name for span in provider.ended()] == ["call"]
    assert not trace.get_current_span().get_span_context().is_valid
