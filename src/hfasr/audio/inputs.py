"""
Find out what was given, and make a `Source` of it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hfasr.types import Audio

from . import files, remote
from .source import BytesSource, Source
from .spool import Spool
from .urls import fetch

if TYPE_CHECKING:
    from hfasr.types import AudioInput

    from ._io import AudioIO

__all__ = ["load"]

_INLINE_BYTES = 512 * 1024  # up to here bytes are recognised on the event loop: a thread hop would cost more
_BARE_ARRAY = "a bare array has no sampling rate: pass hfasr.Audio(waveform, sampling_rate)"


async def load(
    audio: AudioInput,
    io: AudioIO,
    *,
    allow_paths: bool = True,
    allow_private_urls: bool = False,
    local_only: bool = False,
) -> Source:
    """
    Find and recognise *audio*, without decoding it. Nothing that is passed in is changed.

    Args:
        audio: Any `AudioInput`. A file object is read from its position to its end and, where it can
            seek, put back; an iterable is used up.

        io: What to wait with.

        allow_paths: Whether strings and path objects may name local files, and URLs of cloud stores be
            opened with this machine's own credentials. ``False`` for servers that pass strangers' words on.

        allow_private_urls: Whether URLs may lead into private networks, and use any fsspec protocol.

        local_only: Whether URLs that lead off this machine are refused, before a socket is opened.

    Returns:
        The source, its kind known.

    Raises:
        TypeError: No `AudioInput`; the message says what to pass instead.

        AudioNotFoundError: No such file, or none that can be read.

        AudioURLError: A URL that was refused, cannot be reached, or is not audio.

        EmptyAudioError: No bytes.

        UnsupportedAudioError: Not audio, or samples of an ambiguous type or shape.

        AudioTooLongError: More than `MAX_SPOOLED_BYTES` that are not a local file.

        AudioError: There is no room on the disk for what is too large for memory.
    """
    if isinstance(audio, str):
        if local_only:
            remote.check_local(audio)
        return await _from_str(audio, io, allow_paths=allow_paths, allow_private_urls=allow_private_urls)
    if isinstance(audio, os.PathLike):
        return await _from_path(os.fspath(audio), io, allow_paths=allow_paths)
    if isinstance(audio, bytes | bytearray | memoryview):
        return await _from_bytes(audio, io, name="the audio")
    if isinstance(audio, Audio):
        return await _from_array(audio, io)
    if isinstance(audio, Mapping):
        return await _from_mapping(
            audio, io, allow_paths=allow_paths, allow_private_urls=allow_private_urls, local_only=local_only
        )
    if callable(getattr(audio, "get_all_samples", None)):
        return await _from_decoder(audio, io)
    if callable(getattr(audio, "read", None)):
        with Spool() as spool:
            await files.read_file(audio, spool, io)
            return await _from_spool(spool, io, name=files.file_name(audio))
    if hasattr(audio, "__array__") or hasattr(audio, "__array_interface__") or hasattr(audio, "__dlpack__"):
        raise TypeError(_BARE_ARRAY)
    if isinstance(audio, AsyncIterable):
        with Spool() as spool:
            await io.collect(files.AsyncChunks(audio), spool)
            return await _from_spool(spool, io, name="the audio")
    if isinstance(audio, Iterable):
        return await io.offload(lambda: _from_chunks(audio, io))
    raise TypeError(
        f"{type(audio).__name__} is no audio: pass a path, a URL, bytes, a binary file, byte chunks or hfasr.Audio"
    )


async def _from_str(text: str, io: AudioIO, *, allow_paths: bool, allow_private_urls: bool) -> Source:
    scheme = remote.scheme_of(text)
    if scheme in {"http", "https"}:
        with Spool() as spool:
            name = await fetch(text, spool, io, allow_private=allow_private_urls)
            return await _from_spool(spool, io, name=name)
    if scheme is not None:
        remote.check_store(text, scheme, allow_paths=allow_paths, allow_private=allow_private_urls)
        with Spool() as spool:
            name = await io.offload(lambda: remote.read_store(text, scheme, spool, io.check))
            return await _from_spool(spool, io, name=name)
    return await _from_path(text, io, allow_paths=allow_paths)


async def _from_path(path: str | bytes, io: AudioIO, *, allow_paths: bool) -> Source:
    files.check_allowed(allow_paths=allow_paths)
    return await io.offload(lambda: files.open_path(path, io.check))


async def _from_bytes(data: bytes | bytearray | memoryview[Any], io: AudioIO, *, name: str) -> Source:
    if memoryview(data).nbytes <= _INLINE_BYTES:
        return BytesSource(bytes(data), name=name)  # of bytes, the same object
    return await io.offload(lambda: BytesSource(bytes(data), name=name))


async def _from_spool(spool: Spool, io: AudioIO, *, name: str) -> Source:
    if spool.size <= _INLINE_BYTES:
        return spool.source(name)
    return await io.offload(lambda: spool.source(name))


def _from_chunks(chunks: Iterable[Any], io: AudioIO) -> Source:
    with Spool() as spool:
        files.pour(chunks, spool, io.check)
        return spool.source("the audio")


async def _from_array(audio: Audio, io: AudioIO) -> Source:
    def convert() -> Source:
        from .waveforms import from_audio

        return from_audio(audio)

    return await io.offload(convert)


async def _from_decoder(decoder: Any, io: AudioIO) -> Source:
    def convert() -> Source:
        from .waveforms import from_decoder

        return from_decoder(decoder)

    return await io.offload(convert)


async def _from_mapping(row: Mapping[Any, Any], io: AudioIO, **allowed: bool) -> Source:
    """The dictionaries of ``datasets``: decoded (``array``), or not (``bytes``, else ``path``)."""
    if row.get("array") is not None:
        if row.get("sampling_rate") is None:
            raise TypeError('an audio dictionary with "array" needs "sampling_rate", too')
        return await _from_array(Audio(row["array"], row["sampling_rate"]), io)
    data, path = row.get("bytes"), row.get("path")
    if data is not None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f'"bytes" of an audio dictionary must be bytes, not {type(data).__name__}')
        return await _from_bytes(data, io, name=files.given_name(path, "the audio"))
    if isinstance(path, str | os.PathLike):
        return await load(path, io, **allowed)
    raise TypeError('an audio dictionary holds "array" and "sampling_rate", or "bytes" or "path" with a value')
