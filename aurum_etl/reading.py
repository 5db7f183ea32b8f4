"""Response files that somebody already has, as a canonical frame; nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl import adapters
from aurum_etl.adapters.base import read_files
from aurum_etl.chunk import ALL, Selection
from aurum_etl.errors import SourceChanged
from aurum_etl.pipeline import chunks_of, normalized_of, to_arrow, with_lineage
from aurum_etl.settings import read_settings
from aurum_etl.validate import validate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """What files hold."""

    table: pa.Table
    """Accepted rows, in the contract's schema."""
    rejected: pl.DataFrame
    """The others, as `quarantine.REJECTED_SCHEMA`."""
    nothing: tuple[str, ...]
    """What the ISO said in files that hold no data."""


def read_to_frame(key: str, paths: Sequence[Path]) -> ReadFiles:
    """The canonical frame of the files, by the same steps as a run.

    Raises: SpecError if there is no such dataset; SourceError if a file is not as the ISO publishes it, or holds other
            datasets alone.
    """
    dataset = adapters.dataset(key)
    fetched = read_files(adapters.adapter(dataset.iso), dataset, paths, read_settings().response_max_bytes)
    normalized = normalized_of(fetched, dataset)
    if normalized.rows_read and normalized.passed_over == normalized.rows_read:
        raise SourceChanged(
            f"{', '.join(map(str, paths))}: all {normalized.rows_read} rows are of other datasets than {key}"
        )
    now = datetime.now(UTC)
    frames = [
        with_lineage(part.frame, dataset.contract, chunk, now)
        for chunk, part in chunks_of(normalized, dataset, Selection(ALL)).items()
    ]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=dict(dataset.contract.polars_schema))
    verdict = validate(frame.sort(dataset.contract.order), dataset.contract, dataset.checks)
    return ReadFiles(
        to_arrow(verdict.accepted, dataset.contract),
        pl.concat([normalized.unplaced, verdict.rejected]),
        fetched.nothing,
    )
