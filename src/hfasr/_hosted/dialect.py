"""
What a wire dialect is: pure functions between a call and plain requests and responses.

A dialect does no I/O and keeps no state, so each one is a table of facts about a server's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from hfasr.audio import Upload
    from hfasr.errors import HfasrError
    from hfasr.types import Task, Timestamps, Transcript
    from hfasr.wire import Request, Response

__all__ = ["Ask", "Dialect", "Failure", "Fix", "Form", "Server", "UploadStep"]

UploadStep: TypeAlias = Literal["first", "flac", "opus"]
"""``"first"``: as the client's *upload* says; then decoded; then as small as speech goes."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go."""

    url: str
    """Absolute URL that audio is posted to, without a trailing slash unless it is the root."""

    model: str | None
    """Hub id; ``None``: whatever the server runs."""

    name: str
    """For messages and `Attempt.route`."""

    endpoint: bool = False
    """Whether it is a server of the caller's own (``base_url``), which may have to scale up."""

    scales: Literal["no", "if silent", "always"] = "no"
    """Which 503 means that it is scaling up: none, one without a word, or any."""

    @property
    def runs(self) -> str:
        """The model, for messages."""
        return self.model or "its model"


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller asked of a route; empty values were not asked for."""

    language: str | None = None
    task: Task | None = None
    prompt: str | None = None
    return_timestamps: Timestamps = False
    generation_parameters: Mapping[str, Any] = field(default_factory=dict)
    extra_parameters: Mapping[str, Any] = field(default_factory=dict)

    def names(self) -> Iterator[str]:
        """Name everything that was asked for, one by one; parameters under their own names."""
        for name in ("language", "task", "prompt"):
            if getattr(self, name) is not None:
                yield name
        yield from self.generation_parameters
        yield from self.extra_parameters


@dataclass(frozen=True, slots=True)
class Form:
    """One way to put an ask on the wire. Each form is sent at most once per attempt."""

    body: Literal["raw", "json", "multipart"]
    """Body encoding."""

    timestamps: Timestamps
    """What is asked of the server, which may differ from what the caller asked."""

    dropped: frozenset[str] = frozenset()
    """Names of the ask that this form does not carry; each becomes a warning."""

    upload: UploadStep = "first"
    """How the audio is encoded."""


class Fix(Enum):
    """What may mend a refused request."""

    BODY = "another body encoding"
    PARAMETER = "without a parameter"
    TIMESTAMPS = "other times"
    DECODE = "the audio decoded"
    SHRINK = "fewer bytes"


@dataclass(frozen=True, slots=True)
class Failure:
    """A refused request, understood."""

    error: HfasrError
    """What to raise where nothing mends it."""

    fix: Fix | None = None
    """What may mend it."""

    parameters: tuple[str, ...] = ()
    """The parameters at fault, by their names in the ask, for `Fix.PARAMETER`."""


class Dialect(Protocol):
    """The protocol of one kind of server."""

    name: str
    """Short name."""

    accepts: frozenset[str]
    """Names of the audio containers that its servers open."""

    def max_duration_s(self, model: str | None) -> float | None:
        """Return the longest audio that one request takes, seconds; ``None``: no limit is known."""
        ...

    def first_form(self, ask: Ask) -> Form:
        """Return the form to try first."""
        ...

    def other_forms(self, form: Form, ask: Ask, failure: Failure) -> Iterator[Form]:
        """Yield the forms that may mend *failure*, best first."""
        ...

    def build(self, server: Server, ask: Ask, form: Form, upload: Upload) -> Request:
        """Return the request, without credentials."""
        ...

    def parse(self, response: Response, ask: Ask, form: Form, duration: float | None) -> Transcript:
        """
        Return the transcript that a 2xx *response* holds, with warnings for what is missing.

        Raises:
            APIResponseError: It is not of the documented shape.
        """
        ...

    def ready_url(self, server: Server) -> str | None:
        """Return the URL that tells whether the server is up; ``None``: there is none."""
        ...
