"""
For tests of code that transcribes: a server, an engine and speech whose words are known exactly.

`FakeASRServer` decodes the audio that it is sent and answers with what it heard; `ToneSpeech`
writes words that it can hear; `replies` holds what else it can be told to do. `record` keeps what
real servers answer, and `replay` answers with it. The same things come as pytest fixtures, see
`hfasr.testing.plugin`.

Example:
    >>> from hfasr import Audio
    >>> from hfasr.testing import FakeBackend, ToneSpeech
    >>> clip = Audio(ToneSpeech().say("green leaf"), 16_000)
    >>> FakeBackend(None).transcribe([clip], {})[0].text
    'green leaf'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import replies
    from .backend import BackendCall, FakeBackend
    from .cassette import Cassette, NotRecordedError, record, replay
    from .clock import FakeClock
    from .replies import Drip, Hang, Normal, NotHTTP, Reply, Reset, Truncated
    from .server import Connections, FakeASRServer, RecordedRequest
    from .tones import ToneSpeech

__all__ = [
    "BackendCall",
    "Cassette",
    "Connections",
    "Drip",
    "FakeASRServer",
    "FakeBackend",
    "FakeClock",
    "Hang",
    "Normal",
    "NotHTTP",
    "NotRecordedError",
    "RecordedRequest",
    "Reply",
    "Reset",
    "ToneSpeech",
    "Truncated",
    "record",
    "replay",
    "replies",
]

_MODULES = {
    "BackendCall": "backend",
    "Cassette": "cassette",
    "Connections": "server",
    "Drip": "replies",
    "FakeASRServer": "server",
    "FakeBackend": "backend",
    "FakeClock": "clock",
    "Hang": "replies",
    "Normal": "replies",
    "NotHTTP": "replies",
    "NotRecordedError": "cassette",
    "RecordedRequest": "server",
    "Reply": "replies",
    "Reset": "replies",
    "ToneSpeech": "tones",
    "Truncated": "replies",
    "record": "cassette",
    "replay": "cassette",
}


def __getattr__(name: str) -> object:
    if name == "replies":
        return importlib.import_module(".replies", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module 'hfasr.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
