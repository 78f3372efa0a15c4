"""What a journal knows an item by: its audio, and everything that may change the transcript."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

from hfasr._core.config import DEFAULT_MODEL

if TYPE_CHECKING:
    from hfasr._core.config import Config
    from hfasr.types import Backend, TranscribeOptions

__all__ = ["KEY_CHARS", "ItemKey", "content_key", "fingerprint", "path_key", "url_key"]

ItemKey: TypeAlias = str
"""`KEY_CHARS` hex digits, in lower case."""

KEY_CHARS = 32  # 128 bits: of 10**9 items two are taken for one with a probability of 10**-21

_SETTINGS = ("provider", "base_url", "dialect", "router_url", "upload", "channels", "revision", "local_only")
_NO_CHANGE = {"model", "deadline", "on_chunk_error"}  # the model has a line of its own; the others change no words


def fingerprint(config: Config, options: TranscribeOptions) -> str:
    """
    Return a hex digest of all that may change a transcript, but the audio.

    Of the client's settings those that say who transcribes what; not the token, who pays, times, retries
    and what is allowed. An option that is left out counts like its default. Values that JSON lacks count by
    their ``repr``: one that shows an address is another in each process, which sends an item again rather
    than take over another's transcript.

    Args:
        config: The client's settings.

        options: Of the calls.

    Example:
        >>> from hfasr._core.config import Config
        >>> fingerprint(Config(), {"language": None}) == fingerprint(Config(timeout=5), {"deadline": 9})
        True
        >>> fingerprint(Config(), {}) == fingerprint(Config(), {"language": "de"})
        False
    """
    model = options.get("model") or config.model
    facts: dict[str, Any] = {
        "model": model or ["default", DEFAULT_MODEL],
        "options": {name: value for name, value in options.items() if value and name not in _NO_CHANGE},
        "backend": _engine(config.backend),
        "fallback": [_engine(spec) for spec in config.fallbacks],
        **{name: getattr(config, name) for name in _SETTINGS},
        "chunking": [config.chunking.chunk_length_s, config.chunking.split, config.chunking.stride_length_s],
    }
    return hashlib.sha256(json.dumps(_plain(facts), sort_keys=True).encode()).hexdigest()


def path_key(path: str | os.PathLike[str], fingerprint: str) -> ItemKey | None:
    """
    Return the key of a file by its absolute path, size and time of modification. Blocks.

    Links are followed for size and time, not for the path. ``None``: there is no such regular file,
    or it cannot be looked at.
    """
    try:
        place = os.fsencode(os.path.abspath(os.fspath(path)))  # noqa: PTH100  # Path would fold "a/../b", too, and cost more
        found = os.stat(place)  # noqa: PTH116  # bytes: a name need not be text
    except (OSError, ValueError):  # ValueError: a NUL, or what the file system's encoding lacks
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _key("path", fingerprint, place, b"%d" % found.st_size, b"%d" % found.st_mtime_ns)


def content_key(sha256: str, fingerprint: str) -> ItemKey:
    """Return the key of audio by the hex digest of its bytes, see `Provenance.audio_sha256`."""
    return _key("content", fingerprint, sha256.encode())


def url_key(url: str, fingerprint: str) -> ItemKey:
    """Return the key of audio that a URL leads to; what is behind it is taken to stay the same."""
    return _key("url", fingerprint, url.encode("utf-8", "surrogatepass"))


def _key(kind: str, fingerprint: str, *parts: bytes) -> ItemKey:
    digest = hashlib.sha256()
    for part in (kind.encode(), fingerprint.encode(), *parts):
        digest.update(b"%d:" % len(part))  # else "ab", "c" would be "a", "bc"
        digest.update(part)
    return digest.hexdigest()[:KEY_CHARS]


def _engine(spec: str | Backend) -> Any:
    return spec if isinstance(spec, str) else {"name": spec.name, "model": getattr(spec, "model", None)}


def _plain(value: Any) -> Any:
    """Return *value* as what JSON has; two that differ stay different."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {json.dumps(_plain(name), sort_keys=True): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, AbstractSet):  # its order differs from process to process
        return {"set": sorted(json.dumps(_plain(one), sort_keys=True) for one in value)}
    if callable(getattr(value, "tolist", None)):  # arrays and tensors, whose repr leaves out the middle
        return {"type": type(value).__name__, "values": _plain(value.tolist())}
    return {"type": type(value).__name__, "repr": repr(value)}
