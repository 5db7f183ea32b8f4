"""Rejected rows, kept with the check that rejected them and the value that it saw.

One Parquet file per chunk, replaced whenever the chunk is done again: quarantine holds what is wrong now.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.redaction import without_known_in

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from aurum_etl.chunk import Chunk

REJECTED_SCHEMA = {"check": pl.String, "column": pl.String, "value": pl.String, "record": pl.String}
"""Shape of rejected rows: the check that rejected, the column and value it looked at, and the whole row as JSON."""


def rejected(rows: pl.DataFrame, check: str, column: str) -> pl.DataFrame:
    """The rows in the shape of `REJECTED_SCHEMA`; times stay readable, and nothing is rounded."""
    if rows.is_empty():
        return pl.DataFrame(schema=REJECTED_SCHEMA)
    return rows.select(
        check=pl.lit(check),
        column=pl.lit(column),
        value=pl.col(column).cast(pl.String),
        record=pl.struct(pl.all()).struct.json_encode(),
    )


class Quarantine:
    """A folder of rejected rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def replace(self, rows: pl.DataFrame, chunk: Chunk, ingested_at: datetime) -> None:
        """Keep these rows as the chunk's rejected ones; none removes those of an earlier attempt.

        Shape: `rows` as `REJECTED_SCHEMA`; dataset, chunk key and time are added.
        """
        path = self.path(chunk)
        if rows.is_empty():
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        rows.select(
            dataset=pl.lit(chunk.dataset),
            chunk_key=pl.lit(chunk.key),
            ingested_at=pl.lit(ingested_at, pl.Datetime("us", "UTC")),
            check=pl.col("check"),
            column=pl.col("column"),
            value=without_known_in(rows.get_column("value")),
            record=without_known_in(rows.get_column("record")),
        ).write_parquet(partial, compression="zstd")
        partial.chmod(0o600)
        partial.replace(path)

    def rows(self, chunk: Chunk, ingested_at: datetime) -> int:
        """How many rows of that attempt are kept here; one that several checks rejected counts once."""
        path = self.path(chunk)
        if not path.exists():
            return 0
        return int(pl.read_parquet(path).filter(pl.col("ingested_at") == ingested_at).get_column("record").n_unique())

    def holds(self, chunk: Chunk, ingested_at: datetime, rows: int) -> bool:
        """Whether just so many rows are kept of the chunk, and of that attempt."""
        return self.rows(chunk, ingested_at) == rows and self.path(chunk).exists() == bool(rows)

    def path(self, chunk: Chunk) -> Path:
        """Where the chunk's rejected rows are, if it has any."""
        return self._folder / chunk.dataset / f"{hashlib.sha256(chunk.key.encode()).hexdigest()[:32]}.parquet"
