"""A Parquet file, as DuckDB, Athena and Spark read it. Needs pyarrow, which is installed only where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.export import TornError
from imagescribe_ops.export.texts import unwritable

ROWS_OF_A_GROUP = 10_000
"""Rows that are held before they are written: some 30 MB with prompts of 1 KB."""

TIMES = frozenset(each.name for each in fields(ImageRecord) if each.name.endswith(("_at", "_until")))


class Parquet:
    """A Parquet file: times are TIMESTAMP (milliseconds, UTC), `size`, `attempts` BIGINT, `labels` a list, else text.

    What a record lacks is null. The file is complete only once it is closed, and can't be gone on with after that.

    Raises
    ------
    OperationError
        pyarrow is missing; or the file is there already, or cannot be written.
    """

    size = 0

    def __init__(self, path: Path) -> None:
        try:
            self._arrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ModuleNotFoundError:
            raise OperationError(
                "Parquet needs pyarrow, which is not installed.",
                "Run it as `uv run --extra parquet imagescribe export …`, or take --format jsonl.",
            ) from None
        if path.is_file():
            raise OperationError(
                f"{path} is there already.",
                "Give another name: readers of Parquet take several files in a folder for one table.",
            )
        self._path = path
        self._schema = self._arrow.schema(
            [(each.name, self._type(each.name, each.type)) for each in fields(ImageRecord)]
        )
        self._rows: list[dict[str, Any]] = []
        try:
            self._writer = parquet.ParquetWriter(path, self._schema, compression="snappy")
        except OSError as error:
            raise unwritable(path, error) from error

    def _type(self, name: str, python_type: Any) -> Any:
        if name in TIMES:
            return self._arrow.timestamp("ms", tz="UTC")
        if name == "labels":
            return self._arrow.list_(self._arrow.string())
        return self._arrow.int64() if python_type == "int" else self._arrow.string()

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Take records; they are written with those that follow."""
        self._rows += [_row(record) for record in records]
        if len(self._rows) >= ROWS_OF_A_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        rows, self._rows = self._rows, []
        try:
            self._writer.write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))
        except OSError as error:
            raise self._torn(error) from error

    def close(self) -> None:
        """Write what is held, and complete the file."""
        if self._rows:
            self._write_group()
        try:
            self._writer.close()
        except OSError as error:
            raise self._torn(error) from error

    def _torn(self, error: OSError) -> TornError:
        return TornError(f"{self._path} could not be completed: {error}.", "Make room, and begin the export again.")


def _row(record: ImageRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in TIMES and value else value
        for name, value in asdict(record).items()
    }
    return {name: None if value == "" else value for name, value in row.items()}
