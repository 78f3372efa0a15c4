"""
The values that go in and come out: audio, options, transcripts and where they came from.

All results are frozen and slotted; times are seconds, as `float`, from the start of the audio.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from numbers import Real
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar, runtime_checkable

from .policies import Chunking, RetryPolicy, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Attempt",
    "Audio",
    "AudioInput",
    "Backend",
    "Chunking",
    "OnChunkError",
    "Provenance",
    "RetryPolicy",
    "Segment",
    "Split",
    "Task",
    "Timestamps",
    "TranscribeOptions",
    "Transcript",
    "Word",
]

Task: TypeAlias = Literal["transcribe", "translate"]
"""``"transcribe"`` keeps the spoken language, ``"translate"`` gives English."""

Timestamps: TypeAlias = bool | Literal["word"]
"""``False``: none. ``True``: segments. ``"word"``: segments and words."""

OnChunkError: TypeAlias = Literal["raise", "gap"]
"""What a chunk that no route could transcribe leads to: the call's error, or a segment that says so."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """
    A waveform and its sampling rate.

    Example:
        >>> import numpy as np
        >>> Audio(np.zeros(16_000, np.float32), sampling_rate=16_000)
        Audio(shape=(16000,), dtype=float32, sampling_rate=16000)
    """

    waveform: npt.NDArray[np.float32]
    """
    Samples, shape ``(n_samples,)``, or 2-D where it is plain which axis is the channels' (at most
    8 of them). A numpy array or torch tensor: floats in [-1, 1], or integers, which are scaled by
    their width. Engines always get ``(n_samples,)`` float32 in [-1, 1].
    """

    sampling_rate: int
    """Samples per second, Hz, above 0."""

    def __repr__(self) -> str:
        shape = tuple(getattr(self.waveform, "shape", ()))
        dtype = getattr(self.waveform, "dtype", type(self.waveform).__name__)
        return f"Audio(shape={shape}, dtype={dtype}, sampling_rate={self.sampling_rate})"


AudioInput: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | Audio
    | Mapping[str, Any]
    | Any  # objects known by shape: UploadFile, torchcodec's AudioDecoder
)
"""
What `transcribe` takes: a path, an ``http(s)`` or fsspec URL, bytes, a binary file (also Starlette's
``UploadFile``), an iterable of byte chunks, `Audio`, the ``datasets`` dictionaries, or torchcodec's
``AudioDecoder``. Never mutated.
"""


class TranscribeOptions(TypedDict, total=False):
    """
    The options of one call, by keyword; none is needed.

    They are the same for `transcribe`, `transcribe_many` and `transcribe_stream`, and for each chunk of long audio.
    Where a route cannot honour one, the result's `warnings` say so.
    """

    model: str | None
    """Hub id or local folder, instead of the client's."""

    language: str | None
    """Language spoken, ISO 639-1, else 639-3; ``None``: the model finds out."""

    task: Task | None
    """``"transcribe"`` or ``"translate"`` (into English); ``None``: the model's default."""

    prompt: str | None
    """Text that comes before the audio: names and spellings to expect."""

    return_timestamps: Timestamps
    """``False``; ``True``: segments; or ``"word"``: segments with their words."""

    deadline: float | None
    """Seconds for the whole call, above 0, instead of the client's."""

    generation_parameters: Mapping[str, Any] | None
    """Generation settings, by the names that transformers uses (``temperature``, ``num_beams``, …)."""

    extra_parameters: Mapping[str, Any] | None
    """Anything else that the route's server takes, passed on as it is."""

    on_chunk_error: OnChunkError
    """
    ``"raise"``: the call fails where a chunk of long audio fails on every route. ``"gap"``: that chunk becomes a
    `Segment` with an `error` and no text, and a warning; the call fails only where no chunk was transcribed.
    """


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its time."""

    start: float
    """Seconds from the start of the audio."""

    end: float | None
    """Seconds from the start of the audio; ``None`` where nobody knows."""

    word: str
    """The word, without surrounding white space."""

    confidence: float | None = None
    """Probability from 0 to 1, where the model gives one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A stretch of speech with its time; or, with an `error`, one of which nothing is known.

    Times count from the start of the whole audio, also where it was cut into chunks.

    Example:
        >>> Segment(0.5, 1.25, "hello").error is None
        True
    """

    start: float
    """Seconds from the start of the audio."""

    end: float | None
    """Seconds from the start of the audio; ``None`` where nobody knows."""

    text: str
    """What was said, without surrounding white space."""

    words: tuple[Word, ...] = ()
    """The words, where word times were asked for and given."""

    channel: int | None = None
    """Channel of the recording, from 0, with ``channels="split"``."""

    error: str | None = None
    """Why nothing is known of this stretch, with ``on_chunk_error="gap"``; its text is empty then."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to a server, one run of a local engine, or a route that was skipped."""

    route: str
    """Where to, such as ``"hf-inference"``, ``"http://localhost:8000/v1"`` or ``"pocketsphinx"``."""

    status: int | None
    """HTTP status, ``None`` where there was none."""

    error: str | None
    """
    Name of the error's class, ``None`` where it worked; ``"skipped"``: nothing was tried, because the
    route had failed too many calls in a row (`RetryPolicy.breaker_threshold`); ``"cancelled"``: the call
    was given up while it was under way.
    """

    request_id: str | None
    """The server's id of the request, for its support."""

    started: float
    """Seconds after the start of the call."""

    duration: float
    """Seconds that it took."""

    waited: float
    """Seconds of pause before it."""

    loading: float = 0.0
    """Seconds of `duration` that went into loading a model on this machine."""

    chunk: int | None = None
    """Which chunk of long audio it was for, from 0; with ``channels="split"`` each channel counts its own."""

    channel: int | None = None
    """Which channel of the recording it was for, from 0, with ``channels="split"``."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a transcript came about."""

    backend: str
    """``"hosted"``, or the local engine's name."""

    provider: str | None
    """The hosted provider, or the server's address; ``None`` for a local engine."""

    model: str | None
    """Hub id or folder; of a local engine, what it says that it ran."""

    audio_sha256: str | None
    """Hex digest of the input bytes; for arrays of the float32 samples and the rate."""

    audio_duration: float | None
    """Seconds, where known."""

    uploaded_bytes: int | None
    """Size of the audio in the last body that was sent, of all chunks together; ``None`` for a local engine."""

    upload_format: str | None
    """Such as ``"flac"`` or ``"mp3 (original)"``; ``None`` for a local engine."""

    attempts: tuple[Attempt, ...] = ()
    """Every request and engine run, and every skipped route, oldest first, chunk by chunk; the last one worked."""

    fallback_reason: str | None = None
    """Why the routes before did not answer; ``None`` where the first one did."""

    audio_changes: tuple[str, ...] = ()
    """What was done to the audio, such as ``"resampled 44100 to 16000 Hz"``."""

    hfasr_version: str = ""
    """Version of this library."""

    revision: str | None = None
    """Commit of the model that ran on this machine, where known."""

    chunks: int = 1
    """Into how many chunks the audio was cut; 1: not at all."""


@dataclass(frozen=True, slots=True)
class Transcript:
    r"""
    What was said.

    Example:
        >>> Transcript("hello", segments=(Segment(0.0, 0.5, "hello"),)).to_srt()
        '1\n00:00:00,000 --> 00:00:00,500\nhello\n'
    """

    text: str
    """The whole text."""

    segments: tuple[Segment, ...] = ()
    """Stretches with their times, in order; empty unless asked for with `return_timestamps`."""

    language: str | None = None
    """Language spoken, as the route reports it."""

    duration: float | None = None
    """Duration of the audio in seconds, where known."""

    provenance: Provenance | None = None
    """How it came about."""

    warnings: tuple[str, ...] = ()
    """What was asked for and could not be done, and what was repaired."""

    raw: Any = field(default=None, repr=False, compare=False)
    """The route's own answer, of audio that was cut a tuple of them; not kept by `to_dict`."""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `raw` as plain dictionaries and lists, fit for JSON."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"raw", "segments", "provenance"}}
        plain["warnings"] = list(self.warnings)
        plain["segments"] = [{**asdict(s), "words": [asdict(w) for w in s.words]} for s in self.segments]
        plain["provenance"] = None
        if self.provenance is not None:
            plain["provenance"] = asdict(self.provenance)
            for name in ("attempts", "audio_changes"):
                plain["provenance"][name] = list(plain["provenance"][name])
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Transcript:
        """
        Undo `to_dict`. Unknown keys are ignored, so that older versions read newer files.

        Raises:
            ValueError: *data* has no ``"text"``, or is not of `to_dict`'s shape.
        """
        try:
            origin = data.get("provenance")
            return _build(
                cls,
                data,
                segments=tuple(
                    _build(Segment, s, words=tuple(_build(Word, w) for w in _items(s, "words")))
                    for s in _items(data, "segments")
                ),
                provenance=None
                if origin is None
                else _build(
                    Provenance,
                    origin,
                    attempts=tuple(_build(Attempt, a) for a in _items(origin, "attempts")),
                    audio_changes=_texts(origin, "audio_changes"),
                ),
                warnings=_texts(data, "warnings"),
                raw=None,
            )
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"not a transcript's dictionary: {type(error).__name__}: {error}") from error

    def to_json(self) -> str:
        """Return `to_dict` as one JSON document, ending in a newline."""
        from . import formats

        return formats.to_json(self)

    def to_srt(self) -> str:
        """
        Return the segments as SubRip subtitles.

        Raises:
            ValueError: There are no times; ask for them with ``return_timestamps=True``.
        """
        from . import formats

        return formats.to_srt(self)

    def to_vtt(self) -> str:
        """
        Return the segments as WebVTT subtitles.

        Raises:
            ValueError: There are no times; ask for them with ``return_timestamps=True``.
        """
        from . import formats

        return formats.to_vtt(self)

    def to_tsv(self) -> str:
        """
        Return the segments as a table: start and end in milliseconds, text, one segment a line.

        Raises:
            ValueError: There are no times; ask for them with ``return_timestamps=True``.
        """
        from . import formats

        return formats.to_tsv(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write to *path* in the format that its suffix names: txt, srt, vtt, tsv or json.

        The file is replaced in one step: it is never seen half written.

        Raises:
            ValueError: Another suffix, or no times for srt, vtt or tsv.
            OSError: The file cannot be written.
        """
        from . import formats

        formats.save(self, path)


_KINDS: dict[object, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (float,),
    "float | None": (float, type(None)),
}
"""What `from_dict` takes for a field, by how that is annotated."""


@cache
def _fields(cls: type) -> dict[str, tuple[type, ...]]:
    return {f.name: _KINDS.get(f.type, (object,)) for f in fields(cls)}


def _build(cls: type[T], data: Mapping[str, Any], **given: Any) -> T:
    kinds = _fields(cls)  # type: ignore[arg-type]  # a class can be hashed
    for name, value in data.items():
        if name in kinds and name not in given:
            given[name] = value if type(value) in kinds[name] else _fit(name, value, kinds[name])
    return cls(**given)


def _fit(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """Turn other numbers, such as numpy's and whole ones, into plain floats where one is wanted."""
    if not isinstance(value, bool):
        if isinstance(value, kinds):
            return value
        if float in kinds and isinstance(value, Real):
            return float(value)
    raise TypeError(f"{name} must not be a {type(value).__name__}")


def _items(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must not be a {type(value).__name__}")
    return value


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_fit(name, one, (str,)) for one in _items(data, name))


@runtime_checkable
class Backend(Protocol):
    """
    A speech-recognition engine on this machine.

    Anything of this shape can be a client's *backend* or *fallback*. Engines found by name are
    registered as entry points of the group ``hfasr.backends``: a callable that takes the model
    (or ``None``), and options by keyword where it has any, and returns a `Backend`. It may be called
    from any thread.

    An engine may have more, which is used where it is there:

    - ``preload(*, download: bool = True, language: str | None = None) -> None``: load the model now, and
      what *language* needs beyond it; cheap once that is loaded. It is called before each run, so that
      loading is timed apart from running. With ``download=False`` (the call has a *deadline*, or the
      client is *local_only*) it opens no socket and raises `BackendLoadError` where files are missing. A
      ``preload`` without these parameters is called without.
    - Keywords of ``transcribe``: ``check: Callable[[], object]``, to be called between pieces of work, which
      raises where nobody waits for the result any more; ``download: bool``, as for ``preload``.
    - ``model: str | None`` and ``revision: str | None``: what runs, and its commit where known. Both
      become part of the `Provenance`.

    `InvalidOptionError` from `transcribe` is the caller's fault: it is raised, not passed on to the
    next route.
    """

    @property
    def name(self) -> str:
        """Short name, such as ``"pocketsphinx"``."""
        ...

    @property
    def sampling_rate(self) -> int:
        """Rate that the engine wants, Hz."""
        ...

    @property
    def max_duration_s(self) -> float | None:
        """Longest audio that it takes at once, seconds; ``None``: any."""
        ...

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        """
        Transcribe each of *batch*.

        Args:
            batch: Waveforms of shape ``(n_samples,)``, float32 in [-1, 1], at `sampling_rate`.

            options: What was asked for. What the engine cannot do it says in `Transcript.warnings`.

        Returns:
            One transcript each, in order, without provenance.
        """
        ...

    def close(self) -> None:
        """Free the model. May be called twice."""
        ...
