"""Columns to Avro messages and back; the reference does a twentieth of the rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from benchmarks.frames import lmp_day, rows_of
from benchmarks.race import Contender, Race, Ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.race import Ground

_SHARE = 20


def races(ground: Ground) -> Iterator[Race]:
    """Both ways against fastavro, which works record by record."""
    common = {"rows": str(lmp_day(ground.made("codec"), 16_000 if ground.full else 4_000))}
    for way in ("encode", "decode"):
        yield Race(
            f"columns {'→' if way == 'encode' else '←'} Avro",
            [
                Contender("aurum", f"benchmarks.codec:{way}", common),
                Contender("fastavro", f"benchmarks.codec:fastavro_{way}", common, share=1 / _SHARE),
            ],
            [Ratio("aurum", "fastavro", at_least=5)],
        )


def encode(rows: str) -> Callable[[], int]:
    """All rows at once, column by column."""
    from aurum_etl import avro
    from aurum_etl.contracts import LMP

    table = rows_of(rows)
    return lambda: len(avro.encode(table, LMP, avro.header(1)))


def decode(rows: str) -> Callable[[], int]:
    """All messages at once, column by column."""
    import polars as pl

    from aurum_etl import avro
    from aurum_etl.contracts import LMP
    from aurum_etl.exports.avro import avro_schema

    messages = pl.Series("value", avro.encode(rows_of(rows), LMP, avro.header(1)))
    return lambda: avro.decode(messages, avro_schema(LMP), LMP).frame.height


def fastavro_encode(rows: str) -> Callable[[], int]:
    """A record at a time, given as dictionaries."""
    return lambda: len(_written(rows))


def fastavro_decode(rows: str) -> Callable[[], int]:
    """A message at a time, into dictionaries."""
    import fastavro

    schema, bodies = _schema(), _written(rows)
    return lambda: len([fastavro.schemaless_reader(io.BytesIO(each), schema, None) for each in bodies])


def _schema() -> Any:
    import fastavro

    from aurum_etl.contracts import LMP
    from aurum_etl.exports.avro import avro_schema

    return fastavro.parse_schema(avro_schema(LMP))


def _written(rows: str) -> list[bytes]:
    import fastavro

    schema, table, written = _schema(), rows_of(rows), []
    for record in table.slice(0, table.num_rows // _SHARE).to_pylist():
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, record)
        written.append(body.getvalue())
    return written
