"""A day-ahead day of all CAISO nodes into each store, against what the store's server can do.

`python -m benchmarks.bench_stores [--repeats N] [--json FILE]`

Every contender has the same server with the same settings: PostgreSQL with fsync on, one Kafka broker, one local disk. The
floors are given their bytes ready-made. Contenders take turns, so that a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import time
import uuid
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.parquet as pq

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.avro import decode, encode, header
from aurum_etl.chunk import ALL, Chunk, Scope, Selection, scope_of
from aurum_etl.contracts import LMP
from aurum_etl.exports.avro import avro_schema
from aurum_etl.settings import read_settings
from aurum_etl.sinks import kafka
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import KafkaSpec, TimescaleSpec
from aurum_etl.window import market_day
from benchmarks.frames import DAY, lmp_day
from tests import services

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_AIM = 0.8
_LOAD = "delete from iso_lmp_fact where operating_date = '2026-07-14'"


def scope(day: int = 0) -> Scope:
    """All nodes of one market day."""
    window = market_day(DAY + timedelta(days=day), LMP_DAY_AHEAD.timezone)
    return scope_of(Chunk(LMP_DAY_AHEAD.key, Selection(ALL), window), LMP_DAY_AHEAD)


class Race:
    """Seconds of each contender, over rounds."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.seconds: dict[str, list[float]] = {}

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Time one turn."""
        started = time.perf_counter()
        work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def median(self, name: str) -> float:
        """Median of the turns."""
        return statistics.median(self.seconds[name])

    def spread(self, name: str) -> float:
        """Slowest less fastest, as a share of the median."""
        turns = self.seconds[name]
        return (max(turns) - min(turns)) / self.median(name)


def timescale(race: Race, table: pa.Table, dsn: str, repeats: int) -> None:
    """Load and replace a day: our sink; raw binary COPY of ready-made bytes, alone and behind the same delete."""
    sink = TimescaleSink(lambda: dsn, TimescaleSpec(kind="timescale"))
    sink.open()
    sink.stage(table, scope()).commit()
    with psycopg.connect(dsn) as connection:
        columns = ", ".join(name for name, in connection.execute(
            "select attname from pg_attribute where attrelid = 'iso_lmp_fact'::regclass and attnum > 0 order by attnum"
        ))  # fmt: skip
        ready = io.BytesIO()
        with connection.cursor().copy(f"copy (select {columns} from iso_lmp_fact) to stdout (format binary)") as out:
            for piece in out:
                ready.write(piece)

    def clean() -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("truncate iso_lmp_fact")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("checkpoint")

    def raw(*, replacing: bool) -> None:
        with psycopg.connect(dsn) as connection:
            if replacing:
                connection.execute(_LOAD)
            with connection.cursor().copy(f"copy iso_lmp_fact ({columns}) from stdin (format binary)") as into:
                content = ready.getbuffer()
                for start in range(0, len(content), 1 << 20):
                    into.write(content[start : start + (1 << 20)])

    for _ in range(repeats):
        for name, work in (
            ("timescale", lambda: sink.stage(table, scope()).commit()),
            ("COPY BINARY", lambda: raw(replacing=False)),
        ):
            clean()
            race.run(f"{name}, a new day", work)
        for name, work in (
            ("timescale", lambda: sink.stage(table, scope()).commit()),
            ("delete + COPY BINARY", lambda: raw(replacing=True)),
        ):
            clean()
            raw(replacing=False)
            race.run(f"{name}, the day again", work)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from iso_lmp").fetchone() == (race.rows,)
    sink.close()


def iceberg(race: Race, table: pa.Table, folder: Path, repeats: int) -> None:
    """Replace a day: our sink; a plain zstd Parquet file of the same rows."""
    sink = IcebergSink(read_settings({"AURUM_HOME": str(folder / "home")}))
    sink.open()
    sink.stage(table, scope()).commit()
    for _ in range(repeats):
        race.run("iceberg", lambda: sink.stage(table, scope()).commit())
        race.run("plain Parquet", lambda: pq.write_table(table, folder / "plain.parquet", compression="zstd"))
    assert sink._table(LMP).scan().count() == race.rows
    sink.close()


def topics(race: Race, table: pa.Table, environment: dict[str, str], folder: Path, repeats: int) -> None:
    """One transaction: our sink, records and Arrow batches; `produce_batch` of ready-made messages."""
    settings = read_settings({"AURUM_HOME": str(folder), **environment})
    sink, arrow = (kafka.KafkaSink(settings, KafkaSpec(kind="kafka", encoding=each)) for each in ("avro", "arrow"))
    for each in (sink, arrow):
        each.open(LMP_DAY_AHEAD)
    topic = sink._topic(LMP_DAY_AHEAD.iso, LMP)
    ready = kafka._messages(table, LMP, sink._prepared[topic][1], sink._prepared[topic][0])

    def load(into: kafka.KafkaSink, number: int) -> None:
        into.stage(table, scope(number)).commit()

    def floor(number: int) -> None:
        producer = sink._producer(scope(1000 + number).chunk)
        producer.begin_transaction()
        for partition, batch in ready.items():
            kafka._produce(producer, topic, partition, batch)
        producer.flush()
        producer.commit_transaction()
        producer.close()

    # Each turn has a transactional id of its own, as each chunk has.
    for number in range(repeats):
        race.run("kafka, Avro", partial(load, sink, number))
        race.run("produce_batch", partial(floor, number))
        race.run("kafka, Arrow", partial(load, arrow, number))


def codec(race: Race, table: pa.Table, repeats: int) -> None:
    """Columns to Avro and back; a reference encoder and decoder do a twentieth of the rows, and are scaled up."""
    import fastavro
    import polars as pl

    schema, part = fastavro.parse_schema(avro_schema(LMP)), table.slice(0, table.num_rows // 20)
    records = part.to_pylist()
    prefix = header(1)

    def reference() -> list[bytes]:
        written = []
        for record in records:
            body = io.BytesIO()
            fastavro.schemaless_writer(body, schema, record)
            written.append(body.getvalue())
        return written

    bodies = reference()
    messages = pl.Series("value", encode(table, LMP, prefix))
    assert messages[: part.num_rows].to_list() == [prefix + body for body in bodies]
    for _ in range(repeats):
        race.run("encode Avro", lambda: encode(table, LMP, prefix))
        race.run("fastavro writer", reference)
        race.run("decode Avro", lambda: decode(messages, avro_schema(LMP), LMP))
        race.run(
            "fastavro reader", lambda: [fastavro.schemaless_reader(io.BytesIO(each), schema, None) for each in bodies]
        )
    for name in ("fastavro writer", "fastavro reader"):
        race.seconds[name] = [each * 20 for each in race.seconds[name]]


def dlt(race: Race, table: pa.Table, dsn: str, folder: Path, repeats: int) -> None:
    """The best-known Python loader on the same table, into the same PostgreSQL and into Iceberg."""
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "DLT_DATA_DIR": str(folder / "dlt"),
    }
    import dlt as loader

    plain = table.cast(table.schema)  # it alters what it is given
    into = loader.destinations.postgres(dsn.replace("postgres@", "postgres:any@"))  # it demands a password
    lake = loader.destinations.filesystem(bucket_url=(folder / "lake").as_uri())

    def load(name: str, destination: Any, **options: Any) -> None:
        # A new pipeline each time, so that no turn finds what an earlier one prepared.
        name = f"{name}_{uuid.uuid4().hex[:8]}"
        pipeline = loader.pipeline(
            name, destination=destination, dataset_name=name, pipelines_dir=str(folder / "pipelines")
        )
        pipeline.run(plain, table_name="lmp", write_disposition="replace", **options).raise_on_failed_jobs()

    for _ in range(repeats):
        race.run("dlt, PostgreSQL, default", lambda: load("by_default", into))
        race.run("dlt, PostgreSQL, csv", lambda: load("by_csv", into, loader_file_format="csv"))
        race.run("dlt, PostgreSQL, Parquet by ADBC", lambda: load("by_parquet", into, loader_file_format="parquet"))
        race.run("dlt, Iceberg", lambda: load("lake", lake, table_format="iceberg"))


def main() -> None:
    """Measure, and print tables of seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        stack.enter_context(services.run())
        table = lmp_day(folder)
        race = Race(table.num_rows)
        server = services.address("durable postgres")["dsn"]
        with services.database(server) as dsn:
            timescale(race, table, dsn, options.repeats)
        iceberg(race, table, folder, options.repeats)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": services.address("kafka")["bootstrap"],
            "SCHEMA_REGISTRY_URL": services.address("registry")["url"],
        }
        topics(race, table, environment, folder / "kafka", options.repeats)
        codec(race, table, options.repeats)
        with services.database(server) as dsn:
            dlt(race, table, dsn, folder, min(options.repeats, 3))
    ratios = [
        ("timescale, a new day", "COPY BINARY, a new day", _AIM),
        ("timescale, the day again", "delete + COPY BINARY, the day again", _AIM),
        ("iceberg", "plain Parquet", _AIM),
        ("kafka, Avro", "produce_batch", _AIM),
        ("kafka, Arrow", "produce_batch", _AIM),
        ("encode Avro", "fastavro writer", 5.0),
        ("decode Avro", "fastavro reader", None),
        *(("timescale, a new day", name, None) for name in race.seconds if name.startswith("dlt, PostgreSQL")),
        ("iceberg", "dlt, Iceberg", None),
    ]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {race.rows:,} rows, "
        f"polars {version('polars')}, pyarrow {version('pyarrow')}, dlt {version('dlt')}\n"
    )
    print("| contender | seconds (median) | spread | rows/s |\n| --- | --- | --- | --- |")
    for name in race.seconds:
        print(f"| {name} | {race.median(name):.2f} | {race.spread(name):.0%} | {race.rows / race.median(name):,.0f} |")
    print("\n| ours | yardstick | times as fast | aim | met |\n| --- | --- | --- | --- | --- |")
    told = []
    for ours, yardstick, aim in ratios:
        ratio = race.median(yardstick) / race.median(ours)
        met = "" if aim is None else "yes" if ratio >= aim else "no"
        print(f"| {ours} | {yardstick} | {ratio:.2f} | {'' if aim is None else f'≥ {aim}'} | {met} |")
        told.append({"ours": ours, "yardstick": yardstick, "ratio": ratio, "aim": aim, "met": met})
    if options.json:
        options.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
