"""The three formats of Ray's batches: arrays by name, pandas and Arrow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Rows"]


class Rows(ABC):
    """
    A batch, whatever its format. It is never changed.

    Args:
        batch: As Ray handed it out.
    """

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    @staticmethod
    def of(batch: Any) -> Rows:
        """
        Return *batch* as rows.

        Raises:
            TypeError: It is none that is known.
        """
        if isinstance(batch, Mapping):
            if not all(hasattr(values, "__len__") and not isinstance(values, str | bytes) for values in batch.values()):
                raise TypeError("Transcriber takes many rows at once: call map_batches(), not map()")
            return _Arrays(batch)
        if hasattr(batch, "append_column") and hasattr(batch, "column_names"):
            return _Arrow(batch)
        if hasattr(batch, "assign") and hasattr(batch, "columns"):
            return _Pandas(batch)
        raise TypeError(
            f'Transcriber takes no batch of {type(batch).__name__}: choose batch_format="numpy", "pandas" or "pyarrow"'
        )

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The columns' names."""

    @abstractmethod
    def values(self, column: str) -> list[Any]:
        """Return a column's values, one a row."""

    @abstractmethod
    def replaced(self, dropped: Sequence[str], added: Mapping[str, list[Any]], types: Mapping[str, Any]) -> Any:
        """
        Return a batch of the same format, without some columns and with others.

        Every column gets its type: else one of nothing but ``None`` would have none, and the files that are
        written of such batches could not be read together with the others.
        """


class _Arrays(Rows):
    @property
    def names(self) -> list[str]:
        return list(self.batch)

    def values(self, column: str) -> list[Any]:
        return list(self.batch[column])

    def replaced(self, dropped: Sequence[str], added: Mapping[str, list[Any]], types: Mapping[str, Any]) -> Any:
        kept = {name: values for name, values in self.batch.items() if name not in dropped}
        return {**kept, **{name: _array(values, types[name]) for name, values in added.items()}}


class _Arrow(Rows):
    @property
    def names(self) -> list[str]:
        return list(self.batch.column_names)

    def values(self, column: str) -> list[Any]:
        return list(self.batch[column].to_pylist())

    def replaced(self, dropped: Sequence[str], added: Mapping[str, list[Any]], types: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        table = self.batch.select([name for name in self.names if name not in dropped])
        for name, values in added.items():
            table = table.append_column(name, pa.array(values, types[name]))
        return table


class _Pandas(Rows):
    @property
    def names(self) -> list[str]:
        return list(self.batch.columns)

    def values(self, column: str) -> list[Any]:
        return list(self.batch[column])

    def replaced(self, dropped: Sequence[str], added: Mapping[str, list[Any]], types: Mapping[str, Any]) -> Any:
        import pandas as pd

        frame = self.batch[[name for name in self.names if name not in dropped]]
        made = {
            name: pd.Series(values, index=frame.index, dtype=pd.ArrowDtype(types[name]))
            for name, values in added.items()
        }
        return frame.assign(**made)


def _array(values: list[Any], kind: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if values and all(value is None for value in values):
        values = [pa.scalar(None, kind) for _ in values]  # which show their type
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
