"""Rows in, columns out: what the pipelines of other libraries have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from os import PathLike

    from hfasr import ASRClient
    from hfasr.cache import Cache
    from hfasr.types import Transcript

__all__ = ["Columns", "Work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """
    The names of the columns that are added; ``None``: that one is not.

    Raises:
        TypeError: A name is no string.
        ValueError: A name is empty, or there twice.

    Example:
        >>> Columns(text="said", error="error").names
        ('said', 'error')
    """

    text: str
    error: str | None = None
    language: str | None = None
    duration: str | None = None
    segments: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            name = getattr(self, field.name)
            if not isinstance(name, str) and (name is not None or field.name == "text"):
                raise TypeError(f"{field.name}_column must be a column's name, not {type(name).__name__}")
            if name == "":
                raise ValueError(f"{field.name}_column must not be empty")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"two columns are both to be called {twice[0]!r}; give each a name of its own")

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which the columns are added."""
        return tuple(name for field in fields(self) if (name := getattr(self, field.name)) is not None)

    def check(self, present: Collection[str]) -> None:
        """
        See that no column is written over.

        Raises:
            ValueError: One of *present* has a name of ours.
        """
        for field in fields(self):
            name = getattr(self, field.name)
            if name in present:
                raise ValueError(
                    f"the rows have a column {name!r} already; choose another name ({field.name}_column=), "
                    "or take that column out before"
                )

    def types(self) -> dict[str, Any]:
        """Return the Arrow type of each column. A column of nothing but ``None`` does not show its own."""
        import pyarrow as pa

        times = [("start", pa.float64()), ("end", pa.float64())]
        word = pa.struct([*times, ("word", pa.string()), ("confidence", pa.float64())])
        said = [("text", pa.string()), ("words", pa.list_(word)), ("channel", pa.int64()), ("error", pa.string())]
        known = {"duration": pa.float64(), "segments": pa.list_(pa.struct([*times, *said]))}
        return {
            name: known.get(field.name, pa.string())
            for field in fields(self)
            if (name := getattr(self, field.name)) is not None
        }

    def row(self, transcript: Transcript | None, error: Exception | None) -> dict[str, Any]:
        """Return one row's values by their columns' names."""
        values: dict[str, Any] = {
            "text": None,
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "language": None,
            "duration": None,
            "segments": [],
        }
        if transcript is not None:
            values.update(text=transcript.text, language=transcript.language, duration=transcript.duration)
            if self.segments is not None:
                values["segments"] = transcript.to_dict()["segments"]
        return {name: values[field.name] for field in fields(self) if (name := getattr(self, field.name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done with each row, the same for all of them."""

    columns: Columns
    options: Mapping[str, Any]
    """Of `ASRClient.transcribe`."""
    max_concurrency: int
    cache: Cache | str | PathLike[str] | None

    def check(self, asr: ASRClient) -> None:
        """
        Find out now what would stop the first batch.

        Raises:
            TypeError: An option that there is not, or of the wrong type.
            ValueError: An option that is out of range.
        """
        asr.transcribe_many((), max_concurrency=self.max_concurrency, cache=self.cache, **self.options).close()
        if self.columns.segments is not None and not self.options.get("return_timestamps"):
            raise ValueError('segments_column needs times: add return_timestamps=True, or "word"')

    def run(self, asr: ASRClient, audios: Iterable[Any]) -> dict[str, list[Any]]:
        """
        Transcribe *audios*, which are read lazily, and return the columns, in their order.

        Raises:
            HfasrError: A row failed, and there is no column for errors.
            BatchAbortedError: Every further row would fail alike.
        """
        made: dict[str, list[Any]] = {name: [] for name in self.columns.names}
        with asr.transcribe_many(
            audios, max_concurrency=self.max_concurrency, cache=self.cache, **self.options
        ) as items:
            for item in items:
                if item.error is not None and self.columns.error is None:
                    raise item.error
                for name, value in self.columns.row(item.transcript, item.error).items():
                    made[name].append(value)
        return made


def to_json(segments: list[dict[str, Any]]) -> str:
    """Return one row's segments as JSON, on one line."""
    return json.dumps(segments, ensure_ascii=False)
