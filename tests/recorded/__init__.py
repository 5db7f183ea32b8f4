"""Recorded answers of the ISOs, read as a user would read them.

They lie beside the repository, in `shared/payloads`, or where AURUM_SHARED says; without them these tests say so loudly.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.reading import read_to_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED = Path(os.environ.get("AURUM_SHARED") or Path(__file__).parents[3] / "shared")


def recorded(iso: str, name: str) -> Path | None:
    """The file; None, with a warning that is printed at the end of the run, where there are no recordings."""
    folder = SHARED / "payloads" / iso
    if folder.is_dir():
        return folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"no recorded payloads at {folder}: {name} was NOT read", stacklevel=2)
    return None


def frame_of(dataset: str, files: Sequence[Path], *, rejected: int = 0) -> pl.DataFrame:
    """The canonical frame of the files, of which so many rows are rejected."""
    found = read_to_frame(dataset, files)
    assert len(found.rejected) == rejected, found.rejected.group_by("check", "column", "value").len().rows()
    return pl.DataFrame(found.table)
