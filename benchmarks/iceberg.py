"""A market day into an Iceberg table that holds it already: only its rows are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.frames import lmp_day, rows_of, scope
from benchmarks.race import Contender, Race, Ratio
from benchmarks.timescale import dlt_load, prepare_dlt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.race import Ground


def races(ground: Ground) -> Iterator[Race]:
    """Ours, the file alone, and the two that a user would take instead."""
    folder = ground.made("iceberg")
    common = {"rows": str(lmp_day(folder, 16_000 if ground.full else 4_000)), "folder": str(folder)}

    def newest_file() -> int:
        files = [path.stat() for path in (folder / "home/warehouse").rglob("*.parquet")]
        return max(files, key=lambda each: each.st_mtime).st_size

    yield Race(
        "Arrow → Iceberg, the day again",
        [
            Contender("aurum", "benchmarks.iceberg:ours", common),
            Contender("plain zstd Parquet", "benchmarks.iceberg:plain", common),
            Contender("pyiceberg overwrite", "benchmarks.iceberg:overwrite", common),
            Contender("dlt, Iceberg", "benchmarks.iceberg:dlt", common),
        ],
        [
            Ratio("aurum", "plain zstd Parquet", at_least=0.8),
            Ratio("aurum", "pyiceberg overwrite", at_least=2),
            Ratio("aurum", "dlt, Iceberg", at_least=2),
        ],
        constants=lambda turns: {"iceberg_bytes_per_row": newest_file() / turns["aurum"]["rows"]},
    )


def ours(rows: str, folder: str) -> Callable[[], int]:
    """The sink: files of the chunk alone, and one commit that swaps them for those that are there."""
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.settings import read_settings
    from aurum_etl.sinks.iceberg import IcebergSink

    table = rows_of(rows)
    sink = IcebergSink(read_settings({"AURUM_HOME": f"{folder}/home"}))
    sink.open(LMP_DAY_AHEAD)
    sink.stage(table, scope()).commit()
    return lambda: sink.stage(table, scope()).commit().rows


def plain(rows: str, folder: str) -> Callable[[], int]:
    """The floor: one file, and nobody told of it."""
    import pyarrow.parquet as pq

    table = rows_of(rows)

    def work() -> int:
        pq.write_table(table, Path(folder) / "plain.parquet", compression="zstd")
        return table.num_rows

    return work


def overwrite(rows: str, folder: str) -> Callable[[], int]:
    """The library's own way, with our schema and partitions, and a filter of the same scope."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError

    table, home = rows_of(rows), Path(folder) / "library"
    home.mkdir(exist_ok=True)
    catalog = load_catalog("library", type="sql", uri=f"sqlite:///{home}/catalog.db", warehouse=str(home))
    catalog.create_namespace_if_not_exists("iso")
    try:
        into = catalog.load_table("iso.lmp")
    except NoSuchTableError:
        into = catalog.create_table("iso.lmp", table.schema, properties={"write.parquet.compression-codec": "zstd"})
        with into.update_spec() as spec:
            spec.add_identity("iso_code")
            spec.add_identity("operating_date")
        into.append(table)
    day = "iso_code = 'CAISO' and operating_date = '2026-07-14'"

    def work() -> int:
        into.overwrite(table, overwrite_filter=day)
        return table.num_rows

    return work


def dlt(rows: str, folder: str) -> Callable[[], int]:
    """The best-known Python loader, into a table of its own."""
    prepare_dlt(folder)
    import dlt as loader

    lake = loader.destinations.filesystem(bucket_url=(Path(folder) / "lake").as_uri())
    return dlt_load(lake, rows, folder, table_format="iceberg")
