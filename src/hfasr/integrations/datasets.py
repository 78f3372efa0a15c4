"""
A function for ``Dataset.map`` of Hugging Face's ``datasets``.

Example:
    In a program of your own (``LibriSpeech`` has its references in ``"text"``)::

        from datasets import Audio, load_dataset
        from hfasr import ASRClient
        from hfasr.integrations.datasets import transcriber

        rows = load_dataset("openslr/librispeech_asr", "clean", split="test")
        with ASRClient() as asr:
            rows = rows.map(transcriber(asr, text_column="said"), batched=True)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from hfasr import ASRClient
from hfasr.errors import AuthenticationError

from ._rows import Columns, Work

if TYPE_CHECKING:
    from os import PathLike

    from hfasr.cache import Cache

__all__ = ["MapFunction", "transcriber"]


class MapFunction(Protocol):
    """What ``Dataset.map(…, batched=True)`` calls with each batch."""

    def __call__(self, batch: Mapping[str, Any], /) -> dict[str, list[Any]]:
        """Return the columns that are added to *batch*, which is left as it is."""
        ...


def transcriber(
    asr: ASRClient,
    *,
    column: str = "audio",
    text_column: str = "text",
    error_column: str | None = "error",
    language_column: str | None = None,
    duration_column: str | None = None,
    segments_column: str | None = None,
    max_concurrency: int = 8,
    cache: Cache | str | PathLike[str] | None = None,
    **options: Any,
) -> MapFunction:
    """
    Return a function for ``Dataset.map`` and ``IterableDataset.map``, always with ``batched=True``.

    It adds columns and changes nothing: neither the batch nor what is in it. A ``Dataset`` need not decode its
    audio for it: the files' own bytes are taken, so torchcodec is not needed. It can be sent to other
    processes, each of which makes a client of its own, and ``datasets`` finds the results of the same function
    in its cache.

    Args:
        asr: The client. It is not closed.

        column: Where the audio is: an ``Audio`` column, decoded or with ``decode=False``, or one of paths or
            URLs.

        text_column: For the text; ``None`` in a row that failed.

        error_column: For what went wrong, ``None`` in a row that did not fail; where this is ``None``, the
            first row that fails ends the run with its error.

        language_column: For the language, as the route reports it.

        duration_column: For the duration of the audio, seconds.

        segments_column: For the segments, lists of dictionaries with ``start`` and ``end`` (seconds),
            ``text`` and ``words``; needs *return_timestamps*.

        max_concurrency: Rows in work at once, in each process, from 1 to 1024.

        cache: See `ASRClient.transcribe_many`. With it, a run that was broken off and is started again sends
            only what is missing: ``datasets`` itself keeps nothing of it.

        **options: Those of `ASRClient.transcribe`, for every row.

    Returns:
        The function.

    Raises:
        TypeError: *asr* is no `ASRClient`, or an option is of the wrong type.
        ValueError: An option or a name is out of range.

    The function raises:
        TypeError: It was called without ``batched=True``, or with ``input_columns``.
        ValueError: There is no such *column*, or one that is to be added is there already.
        BatchAbortedError: Every further row would fail alike: the token was refused, for example.
        AuthenticationError: It is in another process, and the token that the client was made with did not
            come along, for it is never pickled. Set ``HF_TOKEN`` instead.

    Example:
        >>> from hfasr.testing import FakeBackend, ToneSpeech
        >>> rows = {"audio": [{"array": ToneSpeech().say("red boat"), "sampling_rate": 16_000}, None]}
        >>> with ASRClient(backend=FakeBackend("hello")) as asr:
        ...     added = transcriber(asr)(rows)
        >>> added["text"], added["error"][0]
        (['hello', None], None)

    .. versionadded:: 0.1.0
    """
    if not isinstance(asr, ASRClient):
        raise TypeError(f"transcriber() takes an ASRClient, not {type(asr).__name__}: map() runs in threads")
    columns = Columns(
        text=text_column,
        error=error_column,
        language=language_column,
        duration=duration_column,
        segments=segments_column,
    )
    work = Work(columns=columns, options=dict(options), max_concurrency=max_concurrency, cache=cache)
    work.check(asr)
    return _Transcribe(asr, column, work)


class _Transcribe:
    def __init__(self, asr: ASRClient, column: str, work: Work, *, left_token: bool = False) -> None:
        self._asr = asr
        self._column = column
        self._work = work
        self._left_token = left_token
        self._pid = os.getpid()

    def __call__(self, batch: Mapping[str, Any], /) -> dict[str, list[Any]]:
        if not isinstance(batch, Mapping):
            raise TypeError(
                f"the function takes a batch of rows, not {type(batch).__name__}: call map() without input_columns, "
                'and without with_format("arrow") or ("pandas") before'
            )
        if self._column not in batch:
            there = ", ".join(map(str, batch)) or "none"
            raise ValueError(f"the rows have no column {self._column!r} (but {there}); name the audio's with column=")
        self._work.columns.check(list(batch))
        added = self._work.run(self._client(), _audios(batch, self._column))
        return _typed(added, self._work.columns) if _is_lazy(batch) else added

    def _client(self) -> ASRClient:
        if self._left_token and not _finds_token(self._asr):
            raise AuthenticationError(
                "the token that the client was made with does not travel to other processes; leave num_proc out "
                "(max_concurrency= is what makes it faster), or set HF_TOKEN",
                status_code=401,
            )
        if self._pid != os.getpid():  # forked: connections and locks are the parent's
            self._asr, self._pid = ASRClient(**self._asr._settings), os.getpid()  # noqa: SLF001  # one of us
        return self._asr

    def __reduce__(self) -> tuple[Any, ...]:
        # Also what datasets hashes: nothing here may change by use, or differ from run to run.
        left_token = self._left_token or self._asr._settings["token"] is not None  # noqa: SLF001  # one of us
        return _rebuild, (self._asr, self._column, self._work, left_token)

    def __repr__(self) -> str:
        return f"transcriber({self._asr!r}, column={self._column!r})"


def _rebuild(asr: ASRClient, column: str, work: Work, left_token: bool) -> _Transcribe:
    return _Transcribe(asr, column, work, left_token=left_token)


def _finds_token(asr: ASRClient) -> bool:
    """Whether a token is found here that goes to the client's server: see `ASRClient` for which ones get one."""
    from huggingface_hub import get_token

    settings = asr._settings  # noqa: SLF001  # one of us
    return settings["base_url"] is None and settings["router_url"] is None and get_token() is not None


def _is_lazy(batch: Mapping[str, Any]) -> bool:
    """Whether *batch* is of a ``Dataset``, and holds Arrow data that is decoded when it is looked at."""
    return hasattr(batch, "pa_table") and hasattr(batch, "keys_to_format")


def _audios(batch: Mapping[str, Any], column: str) -> Iterable[Any]:
    if type(batch).__name__ == "LazyRow":
        raise TypeError("the function takes many rows at once: call map() with batched=True")
    if _is_lazy(batch) and column in batch.keys_to_format:  # type: ignore[attr-defined]  # looked for above
        # Not decoded: the file's bytes are the cheapest to send, and map() would write decoded ones into its cache.
        return (value.as_py() for value in batch.pa_table[column])  # type: ignore[attr-defined]  # the same
    values = batch[column]
    if not hasattr(values, "__len__") or isinstance(values, str | bytes | Mapping):
        raise TypeError("the function takes many rows at once: call map() with batched=True")
    return values  # type: ignore[no-any-return]  # many of them


def _typed(added: dict[str, list[Any]], columns: Columns) -> dict[str, list[Any]]:
    """
    Let each value show its type where none of a column's does.

    ``map`` takes a column's type from the first batch, and fails at the first text after a thousand times
    ``None``: that would be the first row that fails, after hours.
    """
    import pyarrow as pa

    types = columns.types()
    return {
        name: [pa.scalar(value, types[name]) for value in values]
        if name == columns.segments or all(value is None for value in values)
        else values
        for name, values in added.items()
    }
