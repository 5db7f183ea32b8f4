"""A market day into PostgreSQL with the engine's tables, on a server that waits for the disk."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frames import lmp_day, rows_of, scope
from benchmarks.race import Contender, Race, Ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aurum_etl.sinks.timescale import TimescaleSink
    from benchmarks.race import Ground

_FACT, _PEER = "iso_lmp_fact", "peer_lmp"
_DELETE = f"delete from {_FACT} where operating_date = '2026-07-14'"
_KEY = "iso_code, iso_market_run, iso_interval_minutes, iso_location_id, interval_start"
_PIECE = 1 << 20


def races(ground: Ground) -> Iterator[Race]:
    """A day that is new, and one that is there already."""
    folder = ground.made("timescale")
    rows = str(lmp_day(folder, 16_000 if ground.full else 4_000))
    dsn, ready = ground.database(), str(folder / "ready.copy")
    make_ready(dsn, rows, ready)

    def contender(name: str, work: str, **more: object) -> Contender:
        return Contender(name, f"benchmarks.timescale:{work}", {"dsn": dsn, **more})

    peers: dict[str, dict[str, str]] = {"dlt, default": {}, "dlt, Parquet by ADBC": {"loader_file_format": "parquet"}}
    loaders = [
        contender(name, "dlt", rows=rows, folder=str(folder), options=options) for name, options in peers.items()
    ]
    yield Race(
        "Arrow → Timescale, a new day",
        [
            contender("aurum", "ours", rows=rows, again=False),
            contender("COPY BINARY", "raw", ready=ready, again=False),
            *loaders,
        ],
        [
            Ratio("aurum", "COPY BINARY", at_least=0.8),
            *(Ratio("aurum", name, at_least=2) for name in peers),
        ],
        constants=lambda turns: {"timescale_bytes_per_row": table_bytes(dsn) / turns["aurum"]["rows"]},
    )
    yield Race(
        "Arrow → Timescale, the day again",
        [
            contender("aurum", "ours", rows=rows, again=True),
            contender("delete + COPY BINARY", "raw", ready=ready, again=True),
            contender("staged ON CONFLICT", "upsert", ready=ready),
        ],
        [
            Ratio("aurum", "delete + COPY BINARY", at_least=0.8),
            Ratio("aurum", "staged ON CONFLICT", at_least=5),
        ],
    )


def ours(dsn: str, rows: str, *, again: bool) -> Callable[[], int]:
    """The sink: delete and COPY of the chunk's scope in one transaction, with its entry in the ledger."""
    table, sink = rows_of(rows), _opened(dsn)
    _emptied(dsn, _FACT)
    # Also connects, and makes the day's partitions.
    sink.stage(table if again else table.slice(0, 1), scope()).commit()
    if not again:
        _emptied(dsn, _FACT)
    return lambda: sink.stage(table, scope()).commit().rows


def raw(dsn: str, ready: str, *, again: bool) -> Callable[[], int]:
    """The floor: bytes that were made before, down a connection."""
    import psycopg

    _opened(dsn).close()
    content, columns = Path(ready).read_bytes(), _columns(dsn)
    _emptied(dsn, _FACT)
    if again:
        _copied(dsn, f"{_FACT} ({columns})", content)

    def work() -> int:
        with psycopg.connect(dsn) as connection:
            if again:
                connection.execute(_DELETE)
            return _copy(connection, f"{_FACT} ({columns})", content)

    return work


def upsert(dsn: str, ready: str) -> Callable[[], int]:
    """What most loaders do with a day that is there: into a temporary table, and from there over the rows of the same key."""
    import psycopg

    content, columns = Path(ready).read_bytes(), _columns(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"drop table if exists {_PEER}")
        connection.execute(f"create table {_PEER} (like {_FACT} including defaults, primary key ({_KEY}))")
    _copied(dsn, f"{_PEER} ({columns})", content)
    _settled(dsn)
    new = ", ".join(f"{name} = excluded.{name}" for name in columns.split(", ") if name not in _KEY.split(", "))

    def work() -> int:
        with psycopg.connect(dsn) as connection:
            connection.execute(f"create temporary table staged (like {_PEER}) on commit drop")
            _copy(connection, f"staged ({columns})", content)
            return connection.execute(
                f"insert into {_PEER} ({columns}) select {columns} from staged on conflict ({_KEY}) do update set {new}"
            ).rowcount

    return work


def dlt(dsn: str, rows: str, folder: str, options: Mapping[str, str]) -> Callable[[], int]:
    """The best-known Python loader with the same table."""
    prepare_dlt(folder)
    import dlt as loader

    # It demands a password.
    destination = loader.destinations.postgres(dsn.replace("postgres@", "postgres:any@"))
    return dlt_load(destination, rows, folder, **options)


def prepare_dlt(folder: str) -> None:
    """Keep the loader's own files in the folder, and its telemetry at home; before it is imported."""
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "DLT_DATA_DIR": f"{folder}/dlt",
    }


def dlt_load(destination: Any, rows: str, folder: str, **options: Any) -> Callable[[], int]:
    """A load of all rows by a pipeline that is new, so that it finds nothing that an earlier one prepared."""
    import dlt as loader

    table, name = rows_of(rows), f"lmp_{uuid.uuid4().hex[:8]}"
    pipeline = loader.pipeline(name, destination=destination, dataset_name=name, pipelines_dir=f"{folder}/pipelines")

    def work() -> int:
        pipeline.run(table, table_name="lmp", write_disposition="replace", **options).raise_on_failed_jobs()
        return table.num_rows

    return work


def make_ready(dsn: str, rows: str, ready: str) -> None:
    """Keep what PostgreSQL itself would send of the loaded day: the floor's bytes."""
    import psycopg

    sink = _opened(dsn)
    sink.stage(rows_of(rows), scope()).commit()
    sink.close()
    with (
        psycopg.connect(dsn) as connection,
        Path(ready).open("wb") as file,
        connection.cursor().copy(f"copy (select {_columns(dsn)} from {_FACT}) to stdout (format binary)") as out,
    ):
        file.writelines(out)


def empty_tables(dsn: str) -> None:
    """Have the engine's tables there, with nothing in the one for prices."""
    _opened(dsn).close()
    _emptied(dsn, _FACT)


def table_bytes(dsn: str) -> float:
    """What the fact table takes on disk: partitions, their indexes and all."""
    import psycopg

    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            f"select sum(pg_total_relation_size(relid)) from pg_partition_tree('{_FACT}')"
        ).fetchone()
    assert found
    return float(found[0])


def _opened(dsn: str) -> TimescaleSink:
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.sinks.timescale import TimescaleSink
    from aurum_etl.spec import TimescaleSpec

    sink = TimescaleSink(lambda: dsn, TimescaleSpec(kind="timescale"))
    sink.open(LMP_DAY_AHEAD)
    return sink


def _columns(dsn: str) -> str:
    import psycopg

    with psycopg.connect(dsn) as connection:
        return ", ".join(name for name, in connection.execute(
            f"select attname from pg_attribute where attrelid = '{_FACT}'::regclass and attnum > 0 order by attnum"
        ))  # fmt: skip


def _emptied(dsn: str, table: str) -> None:
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"truncate {table}")
    _settled(dsn)


def _settled(dsn: str) -> None:
    """Have the server write out what it owes, so that no turn pays for the one before."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("checkpoint")


def _copied(dsn: str, table: str, content: bytes) -> None:
    import psycopg

    with psycopg.connect(dsn) as connection:
        _copy(connection, table, content)


def _copy(connection: Any, table: str, content: bytes) -> int:
    with connection.cursor() as cursor:
        with cursor.copy(f"copy {table} from stdin (format binary)") as into:
            for start in range(0, len(content), _PIECE):
                into.write(content[start : start + _PIECE])
        return int(cursor.rowcount)
