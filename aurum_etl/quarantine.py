"""Rejected rows, kept with the check that rejected them and the value that it saw.

One Parquet file per chunk, replaced whenever the chunk is done again: quarantine holds what is wrong now.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from aurum_etl.chunk import Chunk


class Quarantine:
    """A folder of rejected rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def replace(self, rows: pl.DataFrame, chunk: Chunk, ingested_at: datetime) -> None:
        """Keep these rows as the chunk's rejected ones; none removes those of an earlier attempt.

        Shape: `rows` as `normalize.REJECTED_SCHEMA`; dataset, chunk key and time are added.
        """
        import polars as pl

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
            value=pl.col("value"),
            record=pl.col("record"),
        ).write_parquet(partial, compression="zstd")
        partial.chmod(0o600)
        partial.replace(path)

    def path(self, chunk: Chunk) -> Path:
        """Where the chunk's rejected rows are, if it has any."""
        return self._folder / chunk.dataset / f"{hashlib.sha256(chunk.key.encode()).hexdigest()[:32]}.parquet"
