"""
Choose and make the cheapest body that a server takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from hfasr.errors import AudioTooLongError, UnsupportedAudioError

from .ballast import without_ballast
from .containers import FLAC, OGG, WAV, Container

if TYPE_CHECKING:
    from .encoding import Encoding
    from .source import Source

__all__ = ["Upload", "UploadFormat", "make_upload", "passes_through"]

UploadFormat: TypeAlias = Literal["auto", "original", "flac", "wav", "opus"]
"""
``"auto"``: the original bytes where they are small and understood, else FLAC. ``"original"``: the file as
it is (samples become FLAC). The others: always decoded to 16 kHz mono and encoded anew.
"""

_SAMPLING_RATE_HZ = 16_000
_MAX_BITS = 16
_SLOW_BYTES_PER_S = 4_000  # 32 kbit/s: what browsers and phones record takes this much, as a rule
_ENCODED: dict[str, Container] = {"flac": FLAC, "wav": WAV, "opus": OGG}


@dataclass(frozen=True, slots=True)
class Upload:
    """Audio, ready to be sent."""

    data: bytes = field(repr=False)
    """The file."""

    content_type: str
    """Such as ``"audio/flac"``."""

    filename: str
    """For multipart bodies, such as ``"audio.flac"``; says nothing of the caller's own name."""

    format: str
    """For the provenance: ``"flac"``, ``"wav"``, ``"opus"`` or ``"mp3 (original)"``."""

    original: bool
    """Whether it is the sound that was given, not decoded: the same bytes, at most without pictures and tags."""

    duration: float | None
    """Seconds, where known."""

    changes: tuple[str, ...] = ()
    """What was done to the audio, as in `Decoded`."""

    is_silent: bool | None = None
    """Whether it is digital silence; ``None``: nobody looked, since it was not decoded."""


def passes_through(
    source: Source,
    *,
    format: UploadFormat,  # noqa: A002  # the upload's format, as everywhere
    accepts: frozenset[str],
    channels: Literal["mix"] | int = "mix",
    max_duration_s: float | None = None,
) -> bool:
    """
    Whether `make_upload` would send the original bytes. Looks at a header at most.

    What neither libsndfile nor an installed PyAV decodes is not known here yet, and counts as decoded.

    Args:
        source: From `load`.

        format: How to send it.

        accepts: Names of the containers that the server knows, as in `Container.name`.

        channels: As in `decode`; one channel alone is never the original.

        max_duration_s: As in `make_upload`. What may be longer, by its size, and does not tell, is decoded.
    """
    container = source.container
    if container is None:
        return False
    if format == "original":
        return True
    if format != "auto" or channels != "mix" or container.name not in accepts:
        return False
    if container.lossy and not container.video:
        return not _may_be_longer(source, max_duration_s)
    if container.name != "flac" or _may_be_longer(source, max_duration_s):
        return False
    info = source.info()
    return (info.sampling_rate, info.channels) == (_SAMPLING_RATE_HZ, 1) and (info.bits or _MAX_BITS + 1) <= _MAX_BITS


def make_upload(
    source: Source,
    *,
    format: UploadFormat,  # noqa: A002  # the upload's format, as everywhere
    accepts: frozenset[str],
    channels: Literal["mix"] | int = "mix",
    max_duration_s: float | None = None,
    check: Callable[[], None] = lambda: None,
) -> Upload:
    """
    Make the body to send. Blocks.

    With ``"auto"`` the original bytes go out where they are lossily compressed sound in a container that
    the server knows, or 16 kHz mono FLAC already; or where nobody here can decode them, but the server
    knows the container. What in them is not sound is left out where it is much, see `without_ballast`. Everything
    else becomes 16 kHz mono FLAC.

    Args:
        source: From `load`.

        format: How to send it.

        accepts: Names of the containers that the server knows, as in `Container.name`.

        channels: ``"mix"``, or the index of one, from 0.

        max_duration_s: Longest audio that the route takes, seconds; ``None``: any. An original whose header does
            not tell its duration is decoded to see, if by its size it may be longer.

        check: Called between blocks; raises to stop.

    Raises:
        AudioTooLongError: Longer than *max_duration_s*, where the length is known or was decoded.

        AudioError: As `decode` raises.

    Example:
        >>> from hfasr.audio.source import BytesSource
        >>> opus = BytesSource(b"OggS" + bytes(24) + b"OpusHead", name="note.opus")
        >>> upload = make_upload(opus, format="auto", accepts=frozenset({"ogg"}))
        >>> upload.content_type, upload.format, upload.original
        ('audio/ogg', 'ogg (original)', True)
    """
    as_it_is = passes_through(source, format=format, accepts=accepts, channels=channels, max_duration_s=max_duration_s)
    if as_it_is and not _may_be_longer(source, max_duration_s):
        return _original(source, max_duration_s, format=format)
    encoding: Encoding = "flac" if format == "auto" or format == "original" else format  # noqa: PLR1714  # narrows the type
    from .decoding import decode

    try:
        decoded = decode(
            source, sampling_rate=_SAMPLING_RATE_HZ, channels=channels, max_duration_s=max_duration_s, check=check
        )
    except UnsupportedAudioError:
        if as_it_is:  # nobody here can tell how long it is
            return _original(source, max_duration_s, format=format)
        if format == "auto" and channels == "mix" and source.container and source.container.name in accepts:
            return _original(source, max_duration_s, format=format)
        raise
    if as_it_is:
        original = _original(source, max_duration_s, format=format)
        return replace(original, duration=decoded.duration, is_silent=decoded.is_silent)
    from .encoding import encode

    check()
    container = _ENCODED[encoding]
    return Upload(
        data=encode(decoded.audio, encoding),
        content_type=container.content_type,
        filename=f"audio{container.suffix}",
        format=encoding,
        original=False,
        duration=decoded.duration,
        changes=decoded.changes,
        is_silent=decoded.is_silent,
    )


def _may_be_longer(source: Source, max_duration_s: float | None) -> bool:
    """Whether nothing says that *source* is not longer: neither its header nor its size."""
    if max_duration_s is None or source.size <= max_duration_s * _SLOW_BYTES_PER_S:
        return False
    return source.info().duration is None


def _original(source: Source, max_duration_s: float | None, *, format: UploadFormat) -> Upload:  # noqa: A002  # the same
    container = source.container
    assert container is not None
    duration = source.info().duration
    if max_duration_s is not None and duration is not None and duration > max_duration_s:
        raise AudioTooLongError(
            f"{source.name} is {duration:.1f} s long, and at most {max_duration_s:g} s are taken at once; split it"
        )
    given = source.read()
    data = given if format == "original" else without_ballast(given, container.name)
    n_left_out = len(given) - len(data)
    return Upload(
        data=data,
        content_type=container.content_type,
        filename=f"audio{container.suffix}",
        format=f"{container.name} (original)",
        original=True,
        duration=duration,
        changes=(f"left out {n_left_out} bytes of pictures, tags and padding",) if n_left_out else (),
    )
