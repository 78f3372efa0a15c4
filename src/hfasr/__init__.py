"""
Speech to text with any model of the Hugging Face Hub.

Example:
    >>> from hfasr import ASRClient, Audio
    >>> from hfasr.testing import FakeASRServer, ToneSpeech
    >>> clip = Audio(ToneSpeech().say("red boat"), sampling_rate=16_000)
    >>> with FakeASRServer() as server, ASRClient(router_url=server.router_url) as asr:
    ...     asr.transcribe(clip).text
    'red boat'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._client import DEFAULT_MODEL, ASRClient, AsyncASRClient
    from .batches import BatchItem, Progress
    from .cache import TranscriptCache
    from .errors import (
        AllRoutesFailedError,
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AudioDecodeError,
        AudioError,
        AudioNotFoundError,
        AudioTooLongError,
        AudioURLError,
        AuthenticationError,
        BackendError,
        BackendLoadError,
        BackendNotFoundError,
        BackendNotInstalledError,
        BadRequestError,
        BatchAbortedError,
        BatchError,
        DeadlineExceededError,
        EmptyAudioError,
        EndpointGoneError,
        HfasrError,
        InvalidOptionError,
        JournalError,
        ModelLoadingError,
        ModelNotHostedError,
        NotFoundError,
        PayloadTooLargeError,
        PaymentRequiredError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
        UnsupportedAudioError,
    )
    from .live import LiveAudio, Microphone
    from .types import (
        Attempt,
        Audio,
        AudioInput,
        Backend,
        Chunking,
        Provenance,
        RetryPolicy,
        Segment,
        TranscribeOptions,
        Transcript,
        Word,
    )

__all__ = [
    "DEFAULT_MODEL",
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "ASRClient",
    "AllRoutesFailedError",
    "AsyncASRClient",
    "Attempt",
    "Audio",
    "AudioDecodeError",
    "AudioError",
    "AudioInput",
    "AudioNotFoundError",
    "AudioTooLongError",
    "AudioURLError",
    "AuthenticationError",
    "Backend",
    "BackendError",
    "BackendLoadError",
    "BackendNotFoundError",
    "BackendNotInstalledError",
    "BadRequestError",
    "BatchAbortedError",
    "BatchError",
    "BatchItem",
    "Chunking",
    "DeadlineExceededError",
    "EmptyAudioError",
    "EndpointGoneError",
    "HfasrError",
    "InvalidOptionError",
    "JournalError",
    "LiveAudio",
    "Microphone",
    "ModelLoadingError",
    "ModelNotHostedError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "Progress",
    "Provenance",
    "RateLimitError",
    "RetryPolicy",
    "Segment",
    "ServerError",
    "TranscribeOptions",
    "Transcript",
    "TranscriptCache",
    "UnsupportedAudioError",
    "Word",
    "__version__",
]

_TYPES = {
    "Attempt",
    "Audio",
    "AudioInput",
    "Backend",
    "Chunking",
    "Provenance",
    "RetryPolicy",
    "Segment",
    "TranscribeOptions",
    "Transcript",
    "Word",
}
_BATCHES = {"BatchItem", "Progress"}
_LIVE = {"LiveAudio", "Microphone"}
_CLIENT = {"ASRClient", "AsyncASRClient", "DEFAULT_MODEL"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'hfasr' has no attribute {name!r}")
    homes = {"types": _TYPES, "batches": _BATCHES, "cache": {"TranscriptCache"}, "live": _LIVE, "_client": _CLIENT}
    module = next((home for home, names in homes.items() if name in names), "errors")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
