"""
Every error that hfasr raises.

```
HfasrError
├── AudioError (ValueError)              the audio itself is at fault; no route can mend it
│   ├── AudioDecodeError                 recognised, but damaged
│   ├── UnsupportedAudioError            not audio, or a container that nothing here opens
│   ├── EmptyAudioError                  no bytes, or no samples
│   ├── AudioTooLongError                longer than the route takes
│   ├── AudioNotFoundError (FileNotFoundError)
│   └── AudioURLError                    refused, unreachable, or not audio
├── BackendError                         a local engine failed
│   ├── BackendNotFoundError (LookupError)
│   ├── BackendNotInstalledError (ImportError)
│   └── BackendLoadError
├── BatchError                           a batch cannot go on; no fault of one item
│   ├── BatchAbortedError                what fails for every item: no token, no credits, no permission
│   └── JournalError                     the journal cannot be used or written
├── InvalidOptionError (ValueError)      an option's value that the engine cannot take; no route is asked for more
├── DeadlineExceededError (TimeoutError) time ran out inside an operation
├── AllRoutesFailedError                 .errors: one per route, in order
└── APIError                             a server failed
    ├── APIConnectionError (ConnectionError)   no response arrived
    │   └── APITimeoutError (TimeoutError)
    ├── APIResponseError                 an answer that is not the documented shape
    └── APIStatusError                   an answer that is a failure
        ├── BadRequestError 400/415/422   AuthenticationError 401    PaymentRequiredError 402
        ├── PermissionDeniedError 403     NotFoundError 404 ── ModelNotHostedError
        ├── EndpointGoneError 410         PayloadTooLargeError 413   RateLimitError 429
        └── ServerError 408/5xx ── ModelLoadingError 503
```

A message is one line of at most 500 characters that names the remedy. It never holds a
token, audio, or the echo of a request. Every error pickles, with its cause when that is
one of these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .batches import BatchItem
    from .types import Attempt

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AllRoutesFailedError",
    "AudioDecodeError",
    "AudioError",
    "AudioNotFoundError",
    "AudioTooLongError",
    "AudioURLError",
    "AuthenticationError",
    "BackendError",
    "BackendLoadError",
    "BackendNotFoundError",
    "BackendNotInstalledError",
    "BadRequestError",
    "BatchAbortedError",
    "BatchError",
    "DeadlineExceededError",
    "EmptyAudioError",
    "EndpointGoneError",
    "HfasrError",
    "InvalidOptionError",
    "JournalError",
    "ModelLoadingError",
    "ModelNotHostedError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "UnsupportedAudioError",
]

MAX_MESSAGE_CHARS = 500
MAX_BODY_CHARS = 2_000


class _Pattern:
    """A regular expression that is compiled when it is first used: importing this would take twice as long."""

    def __init__(self, pattern: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._pattern = pattern
        self._flags = flags

    def sub(self, replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
        """Return *text* with every match replaced."""
        return re.sub(self._pattern, replacement, text, flags=self._flags)  # re keeps what it has compiled


_SECRETS = _Pattern(
    r"(?:hf_|api_org_)[A-Za-z0-9_.-]{6,}"
    r"|(?i:(bearer)\s+)[A-Za-z0-9._~+/=-]{8,}|(?i:(key|basic)\s+)[A-Za-z0-9._~+/=-]{16,}"
)
_BYTE = r"\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd"  # read as text; white space is not among them
_ESCAPED = r"\\{1,2}(?:x|u00)[0-9A-Fa-f]{2}"
_AUDIO = _Pattern(  # what encodings of it look like; every gap is bounded, as a server may send anything
    r"[A-Za-z0-9+/=_-]{100,}"  # base64 and hex,
    r"|[A-Za-z0-9+/=]{60,}(?:(?:\s|\\r|\\n){1,4}[A-Za-z0-9+/=]{20,})*"  # also in lines,
    r"|\b(?:[0-9A-Fa-f]{2}[ :,-]{1,2}){16,}(?:[0-9A-Fa-f]{2}\b)?"  # or with spaces;
    rf"|{_ESCAPED}(?:.{{0,24}}?{_ESCAPED}){{3,}}"  # bytes, escaped
    rf"|[{_BYTE}](?:[^{_BYTE}]{{0,24}}[{_BYTE}]){{5,}}"  # and as they are,
    rf"|[{_BYTE}\xa0-\xff](?:[^{_BYTE}\xa0-\xff]{{0,5}}[{_BYTE}\xa0-\xff]){{11,}}"  # also as Latin-1;
    r"|(?:-?\d{1,20}+(?:\.\d{1,20}+)?+(?:e-?\d{1,3}+)?+[,;\s]{1,3}){20,}-?[\d.]{0,20}",  # samples
    re.DOTALL,
)
_LEFT_OUT = "\ue000"  # for private use: no text has it
_SCRAPS = _Pattern(rf"{_LEFT_OUT}(?:[^{_LEFT_OUT}]{{0,12}}{_LEFT_OUT})+")
_STYLE = _Pattern(r"(?:\x1b\[|\x9b)[0-9;?]{0,20}[ -/]?[@-~]")  # ECMA-48's control sequences: colours and the like
_UNPRINTABLE = _Pattern(  # control characters, and what is not seen or turns text around
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    r"\U000e0000-\U000e007f]+"
)

E = TypeVar("E", bound="HfasrError")


def clean(text: str, *, limit: int = MAX_MESSAGE_CHARS) -> str:
    r"""
    Make *text* fit for a message: one line, at most *limit* characters, nothing secret.

    What looks like a token is masked, what looks like audio (a server that echoes it: as it is, in base64, in hex,
    escaped, or as numbers) is left out, and control characters become spaces.

    Example:
        >>> clean("bad\r\ntoken hf_abcdefghijkl")
        'bad token hf_***'
    """
    text = text[: 100 * limit]  # a server may send megabytes: bound the work below
    text = _STYLE.sub("", text)
    text = _SECRETS.sub(lambda match: f"{match[1] or match[2]} ***" if match[1] or match[2] else "hf_***", text)
    text = without_audio(text)
    text = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def without_audio(text: str, mark: str = "…") -> str:
    """
    Return *text* with *mark* in the place of what looks like audio.

    Example:
        >>> without_audio(f"bad input: '{'UklGRiQAAABXQVZF' * 9}'")
        "bad input: '…'"
    """
    return _SCRAPS.sub(_LEFT_OUT, _AUDIO.sub(_LEFT_OUT, text)).replace(_LEFT_OUT, mark)


def _rebuild(cls: type[E], args: tuple[Any, ...], state: dict[str, Any], cause: BaseException | None) -> E:
    # Of two built-in bases only OSError can make an object that is one.
    maker = OSError if issubclass(cls, OSError) else Exception
    error: E = maker.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    error.__cause__ = cause
    return error


class HfasrError(Exception):
    r"""
    Base of every error raised by hfasr.

    Example:
        >>> str(HfasrError("first line\nsecond line"))
        'first line second line'
    """

    attempts: tuple[Attempt, ...]
    """Every request that was made before this error, oldest first."""

    def __init__(self, message: str, *, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(clean(message))
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__ if isinstance(self.__cause__, HfasrError) else None
        return _rebuild, (type(self), self.args, self.__dict__.copy(), cause)


class AudioError(HfasrError, ValueError):
    """The audio itself is at fault; sending it elsewhere would not help."""


class AudioDecodeError(AudioError):
    """The bytes are of a known kind, but damaged or cut off."""


class UnsupportedAudioError(AudioError):
    """The input is not audio, or of a kind that nothing here can open."""


class EmptyAudioError(AudioError):
    """The input has no bytes, or not one sample."""


class AudioTooLongError(AudioError):
    """The audio is longer than the route takes."""


class AudioNotFoundError(AudioError, FileNotFoundError):
    """There is no such file, or it cannot be read."""


class AudioURLError(AudioError):
    """The audio's URL was refused, cannot be reached, or does not lead to audio."""


class BackendError(HfasrError):
    """A local engine failed."""


class BackendNotFoundError(BackendError, LookupError):
    """No engine of that name is registered."""


class BackendNotInstalledError(BackendError, ImportError):
    """The engine is known, but the packages that it needs are not installed."""


class BackendLoadError(BackendError):
    """The engine or its model could not be loaded."""


class BatchError(HfasrError):
    """A batch cannot go on, for a reason that lies in none of its items."""


class BatchAbortedError(BatchError):
    """
    A batch was stopped, because every further item would have failed alike.

    The last route refused the token (401), asked for payment (402) or denied permission (403). That error
    is the ``__cause__``. What was under way stays out of the journal, and is sent when the batch is resumed.
    """


class JournalError(BatchError):
    """The journal is no journal, is in use by another batch, or cannot be read or written."""

    unwritten: tuple[BatchItem, ...]
    """Finished items that could not be written down and were not handed out, so that they are not lost."""

    def __init__(self, message: str, *, unwritten: Sequence[BatchItem] = (), attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(message, attempts=attempts)
        self.unwritten = tuple(unwritten)


class InvalidOptionError(HfasrError, ValueError):
    """
    An option of the call has a value that the engine cannot take.

    The caller's fault: it is raised at once, and never leads to the next route.
    """


class DeadlineExceededError(HfasrError, TimeoutError):
    """
    The call's *deadline* passed inside an operation.

    The last `APIError`, where there was one, is the ``__cause__``.
    """


class AllRoutesFailedError(HfasrError):
    """
    Every configured route failed.

    Only raised where a fallback was configured; otherwise the hosted error itself is.
    """

    errors: tuple[HfasrError, ...]
    """One error per route that was tried, in order; skipped ones are in `attempts` and in the message."""

    def __init__(self, message: str, *, errors: Sequence[HfasrError] = (), attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(message, attempts=attempts)
        self.errors = tuple(errors)


class APIError(HfasrError):
    """A server could not be reached, or failed."""

    maybe_billed: bool
    """Whether the server may have done, and charged for, the work before it failed."""

    def __init__(self, message: str, *, maybe_billed: bool = False, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(message, attempts=attempts)
        self.maybe_billed = maybe_billed


class APIConnectionError(APIError, ConnectionError):
    """No response arrived: refused, reset, unknown host, bad certificate or bad URL."""

    permanent: bool
    """Whether trying again cannot help (a bad certificate, a bad URL)."""

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        maybe_billed: bool = False,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, maybe_billed=maybe_billed, attempts=attempts)
        self.permanent = permanent


class APITimeoutError(APIConnectionError, TimeoutError):
    """The server did not answer in time."""


class APIResponseError(APIError):
    """An answer that is not the documented shape, or was cut off."""

    status_code: int
    """HTTP status of the answer."""

    request_id: str | None
    """The server's id of the request, for its support."""

    body: str
    """The answer's text, cut short; not part of the message."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 200,
        request_id: str | None = None,
        body: str = "",
        maybe_billed: bool = True,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, maybe_billed=maybe_billed, attempts=attempts)
        self.status_code = status_code
        self.request_id = request_id
        self.body = clean(body, limit=MAX_BODY_CHARS)


class APIStatusError(APIError):
    """A server answered with a failure."""

    status_code: int
    """HTTP status of the answer."""

    request_id: str | None
    """The server's id of the request, for its support."""

    retry_after: float | None
    """Seconds that the server asked to wait, where it said so."""

    body: str
    """The answer's text, cut short; not part of the message."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: str = "",
        maybe_billed: bool = False,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, maybe_billed=maybe_billed, attempts=attempts)
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = clean(body, limit=MAX_BODY_CHARS)


class BadRequestError(APIStatusError):
    """400, 415 or 422: the server did not take the request."""


class AuthenticationError(APIStatusError):
    """401: no token, or one that is not valid."""


class PaymentRequiredError(APIStatusError):
    """402: the account's credits are used up."""


class PermissionDeniedError(APIStatusError):
    """403: the token may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model or path."""


class ModelNotHostedError(NotFoundError):
    """The model exists, but this provider does not serve it."""


class EndpointGoneError(APIStatusError):
    """410: the address is retired for good."""


class PayloadTooLargeError(APIStatusError):
    """413: more bytes than the server takes, even compressed."""


class RateLimitError(APIStatusError):
    """429: too many requests."""


class ServerError(APIStatusError):
    """408 or 5xx: the server failed; another try may work."""


class ModelLoadingError(ServerError):
    """503 from a model that is still being loaded, or an endpoint that is scaling up."""

    estimated_time: float | None
    """Seconds that the server guessed; often wrong."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 503,
        estimated_time: float | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: str = "",
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(
            message,
            status_code=status_code,
            request_id=request_id,
            retry_after=retry_after,
            body=body,
            attempts=attempts,
        )
        self.estimated_time = estimated_time
