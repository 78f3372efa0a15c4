"""
Anything in, one mono float32 waveform or an upload body out.

Example:
    >>> from hfasr.audio import FLAC, passes_through
    >>> FLAC.content_type
    'audio/flac'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._io import AudioIO
    from .addresses import check_url, is_public
    from .containers import FLAC, Container
    from .decoding import Decoded, decode
    from .inputs import load
    from .source import MAX_INPUT_BYTES, AudioInfo, Source
    from .upload import Upload, UploadFormat, make_upload, passes_through

__all__ = [
    "FLAC",
    "MAX_INPUT_BYTES",
    "AudioIO",
    "AudioInfo",
    "Container",
    "Decoded",
    "Source",
    "Upload",
    "UploadFormat",
    "check_url",
    "decode",
    "is_public",
    "load",
    "make_upload",
    "passes_through",
]

_WHERE = {
    "FLAC": "containers",
    "MAX_INPUT_BYTES": "source",
    "AudioIO": "_io",
    "AudioInfo": "source",
    "Container": "containers",
    "Decoded": "decoding",
    "Source": "source",
    "Upload": "upload",
    "UploadFormat": "upload",
    "check_url": "addresses",
    "decode": "decoding",
    "is_public": "addresses",
    "load": "inputs",
    "make_upload": "upload",
    "passes_through": "upload",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'hfasr.audio' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
