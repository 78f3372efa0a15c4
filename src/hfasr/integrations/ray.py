"""
A class for ``map_batches`` of Ray Data, so that a corpus of any size is transcribed on a cluster.

Example:
    In a program of your own::

        import ray
        from hfasr.integrations.ray import Transcriber

        rows = ray.data.read_binary_files("s3://corpus/", include_paths=True)
        rows = rows.map_batches(
            Transcriber,
            fn_constructor_kwargs={"model": "openai/whisper-large-v3", "drop_columns": ["bytes"]},
            compute=ray.data.ActorPoolStrategy(size=4),
            batch_size=32,
        )
        rows.write_parquet("s3://transcripts/")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, Self

from hfasr import ASRClient
from hfasr.types import Audio, TranscribeOptions

from ._batches import Rows
from ._rows import Columns, Work, to_json

if TYPE_CHECKING:
    from hfasr.cache import Cache

__all__ = ["Transcriber"]

_AUDIO_COLUMNS = ("audio", "bytes", "path")
_OF_THE_CALL = frozenset(TranscribeOptions.__annotations__) - {"model", "deadline"}  # these two a client has as well


class Transcriber:
    """
    Adds transcripts to the batches of a ``ray.data.Dataset``; to be passed to ``map_batches`` as a class.

    Each worker makes one, with a client of its own; an engine on the worker's machine is loaded then. Batches
    may be of any ``batch_format``, and are not changed. A row that fails is a row with an error. What would
    fail for every row (a token that is refused, say) ends the job. Where a worker dies, Ray gives its batch to
    another one: with *cache*, what it had done by then is not sent again.

    Args:
        column: Where the audio is: paths, URLs, the bytes of files, the dictionaries of ``datasets``
            (``{"bytes", "path"}``, ``{"array", "sampling_rate"}``), or samples (see *sampling_rate*). ``None``:
            the first of ``"audio"``, ``"bytes"`` and ``"path"`` that is there.

        sampling_rate: For a column of samples: their rate, Hz, or the name of the column that holds it. After
            ``ray.data.read_audio``: ``column="amplitude", sampling_rate="sample_rate"``.

        text_column: For the text; ``None`` in a row that failed.

        error_column: For what went wrong, ``None`` in a row that did not fail; where this is ``None``, the
            first row that fails ends the job with its error.

        language_column: For the language, as the route reports it.

        duration_column: For the duration of the audio, seconds.

        segments_column: For the segments, as JSON: a list of objects with ``start`` and ``end`` (seconds),
            ``text`` and ``words``; needs *return_timestamps*.

        drop_columns: What is not handed on, such as the audio itself.

        max_concurrency: Rows in work at once, in each worker, from 1 to 1024.

        cache: A file that keeps transcripts by the content of the audio, one for all workers of a machine, or
            an object, see `ASRClient.transcribe_many`. A file on a network file system does not work.

        **settings: Arguments of `ASRClient` (``model``, ``backend``, ``base_url``, …) and options of
            `ASRClient.transcribe` (``language``, ``return_timestamps``, …). A *token* is best not passed, but
            set as ``HF_TOKEN`` on the workers: Ray keeps the arguments of its workers.

    Raises:
        TypeError: An argument that there is not, or of the wrong type.
        ValueError: An argument that is out of range.
        BackendError: The engine cannot be found or loaded.
        BatchError: The cache cannot be used.

    Example:
        >>> import numpy as np
        >>> from hfasr.testing import FakeBackend, ToneSpeech
        >>> batch = {"audio": np.stack([ToneSpeech().say("red boat")] * 2)}
        >>> with Transcriber(backend=FakeBackend("hello"), sampling_rate=16_000) as transcribe:
        ...     list(transcribe(batch)["text"])
        ['hello', 'hello']

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        *,
        column: str | None = None,
        sampling_rate: int | str | None = None,
        text_column: str = "text",
        error_column: str | None = "error",
        language_column: str | None = None,
        duration_column: str | None = None,
        segments_column: str | None = None,
        drop_columns: Sequence[str] = (),
        max_concurrency: int = 8,
        cache: Cache | str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        columns = Columns(
            text=text_column,
            error=error_column,
            language=language_column,
            duration=duration_column,
            segments=segments_column,
        )
        if isinstance(drop_columns, str):
            raise TypeError("drop_columns must be a list of names, not one name")
        self._column = column
        self._sampling_rate = sampling_rate
        self._dropped = tuple(drop_columns)
        self._asr = ASRClient(**{name: value for name, value in settings.items() if name not in _OF_THE_CALL})
        options = {name: value for name, value in settings.items() if name in _OF_THE_CALL}
        Work(columns=columns, options=options, max_concurrency=max_concurrency, cache=cache).check(self._asr)
        self._own_cache: Any = None
        if isinstance(cache, str | os.PathLike):
            from hfasr.cache import TranscriptCache

            cache = self._own_cache = TranscriptCache(cache)  # one for all batches
        self._work = Work(columns=columns, options=options, max_concurrency=max_concurrency, cache=cache)
        if self._asr._settings["backend"] != "hosted":  # noqa: SLF001  # one of us
            self._asr.preload()  # now, where failing ends the job, and not in each row

    def __call__(self, batch: Any, /) -> Any:
        """
        Return *batch* with the columns added, in its own format.

        Raises:
            TypeError: It is no batch (a row of ``map``, say), or the audio is samples without a rate.
            ValueError: There is no such column, or one that is to be added is there already.
            BatchAbortedError: Every further row would fail alike.
            HfasrError: A row failed, and there is no column for errors.
        """
        rows = Rows.of(batch)
        column = self._find(rows.names)
        self._work.columns.check([name for name in rows.names if name not in self._dropped])
        added = self._work.run(self._asr, self._audios(rows, column))
        types = self._work.columns.types()
        name = self._work.columns.segments
        if name is not None:
            added[name] = [to_json(segments) for segments in added[name]]
            types[name] = types[self._work.columns.text]
        return rows.replaced(self._dropped, added, types)

    def close(self) -> None:
        """Close the client and the cache. Workers need not: they end with their process. May be called twice."""
        self._asr.close()
        if self._own_cache is not None:
            self._own_cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Transcriber({self._asr!r}, column={self._column!r})"

    def _find(self, names: Sequence[str]) -> str:
        wanted = _AUDIO_COLUMNS if self._column is None else (self._column,)
        for name in wanted:
            if name in names:
                return name
        raise ValueError(
            f"the rows have no column {' or '.join(map(repr, wanted))} (but {', '.join(names) or 'none'}); "
            "name the audio's with column="
        )

    def _audios(self, rows: Rows, column: str) -> list[Any]:
        values: list[Any] = [None if _is_missing(value) else value for value in rows.values(column)]
        rate = self._sampling_rate
        if rate is None:
            if any(_is_samples(value) for value in values):
                raise TypeError(
                    f"the column {column!r} holds samples, whose rate nobody knows; name the column of the rate, "
                    "or give it in Hz, with sampling_rate="
                )
            return values
        if isinstance(rate, str) and rate not in rows.names:
            raise ValueError(f"the rows have no column {rate!r} (but {', '.join(rows.names)}) for sampling_rate")
        rates = rows.values(rate) if isinstance(rate, str) else [rate] * len(values)
        return [Audio(value, each) if _is_samples(value) else value for value, each in zip(values, rates, strict=True)]


def _is_missing(value: object) -> bool:
    """Whether *value* stands for a row without one: among arrays a NaN, in pandas its NA."""
    return isinstance(value, Number) or type(value).__name__ == "NAType"


def _is_samples(value: object) -> bool:
    return not isinstance(value, str | bytes | Mapping) and (isinstance(value, list) or hasattr(value, "__array__"))
