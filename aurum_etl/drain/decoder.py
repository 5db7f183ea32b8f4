"""Messages to rows, by column."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from aurum_etl import avro
from aurum_etl.errors import SinkUnavailable, SpecError
from aurum_etl.sinks.kafka.login import asked_of_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings

_MOST_BYTES = 256 * 1024 * 1024
"""What one message may inflate to; ours hold 16,384 rows, some 6 MB."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of one step, by column."""

    partitions: list[int]
    offsets: list[int]
    segments: list[int]
    """How many tombstones came before each, in the same partition."""
    values: list[bytes]

    @classmethod
    def of(cls, partitions: list[int], offsets: list[int], segments: list[int], values: list[bytes | None]) -> Self:
        """Those of them that have a value."""
        has = [value is not None for value in values]
        partitions, offsets, segments = (list(compress(each, has)) for each in (partitions, offsets, segments))
        return cls(partitions, offsets, segments, [value for value in values if value is not None])


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one chunk and attempt, of one segment."""

    partition: int
    segment: int
    key: tuple[str, datetime]
    """Chunk key and instant of the attempt."""
    first: int
    """Offset of the first message."""
    messages: int
    table: pa.Table


class Decoder:
    """Values to rows, by column."""

    def __init__(self, contract: Contract, settings: Settings, *, avro: bool) -> None:
        if avro and "url" not in settings.registry:
            raise SpecError("SCHEMA_REGISTRY_URL is not set; it names the registry, such as http://localhost:8081")
        self._contract = contract
        self._settings = settings
        self._avro = avro
        self._schemas: dict[int, dict[str, Any] | str] = {}
        """The writer's schema, or why there is none, by id."""

    def decode(self, found: Messages, refuse: Callable[[int, str], None]) -> Iterator[Rows]:
        """The rows of the messages, apart by partition, segment, chunk and attempt."""
        if not self._avro:
            yield from self._batches(found, refuse)
            return
        messages = pl.DataFrame(
            {
                "value": pl.Series(pa.array(found.values, pa.large_binary())),
                "partition": pl.Series(pa.array(found.partitions, pa.int32())),
                "segment": pl.Series(pa.array(found.segments, pa.int32())),
                "offset": pl.Series(pa.array(found.offsets, pa.int64())),
            }
        ).with_row_index("index")
        messages = messages.with_columns(schema=avro.schema_ids(messages.get_column("value")))
        for group in _apart(messages, "schema"):
            number = group.item(0, "schema")
            schema = "no header of a schema registry" if number is None else self._schema(number)
            places = group.get_column("index")
            try:
                if isinstance(schema, str):
                    raise ValueError(schema)  # noqa: TRY004 - it tells why there is none
                decoded = avro.decode(group.get_column("value"), schema, self._contract)
            except (ArithmeticError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
                # Whatever a schema says, it is a matter of these messages alone.
                for place in places:
                    refuse(place, f"schema {number}: {error!s:.300}")
                continue
            for index, reason in decoded.bad.iter_rows():
                refuse(places[index], reason)
            where = group.select("partition", "segment", "offset").filter(decoded.kept)
            rows = pl.concat([decoded.frame, where], how="horizontal")
            for part in _apart(rows, "partition", "segment", "chunk_key", "ingested_at"):
                partition, segment, offset, *key = part.select(*where.columns, "chunk_key", "ingested_at").row(0)
                table = part.drop(where.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
                table = table.cast(self._contract.arrow_schema)
                yield Rows(partition, segment, (key[0], key[1]), offset, len(part), table)

    def _batches(self, found: Messages, refuse: Callable[[int, str], None]) -> Iterator[Rows]:
        for index, value in enumerate(found.values):
            try:
                table = _read(value, self._contract)
            except (pa.ArrowException, OSError, ValueError, struct.error) as error:
                refuse(index, f"not an Arrow stream of ours: {error!s:.300}")
                continue
            key = table["chunk_key"][0].as_py(), table["ingested_at"][0].as_py()
            yield Rows(found.partitions[index], found.segments[index], key, found.offsets[index], 1, table)

    def _schema(self, number: int) -> dict[str, Any] | str:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if number not in self._schemas:
            try:
                found = asked_of_registry(self._settings, lambda client: client.get_schema(number).schema_str)
                self._schemas[number] = _record(found)
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise SinkUnavailable(f"kafka: schema {number} cannot be had: {error.error_message}") from error
                self._schemas[number] = f"schema {number} is not in the registry"
        return self._schemas[number]


def _apart(frame: pl.DataFrame, *names: str) -> list[pl.DataFrame]:
    """The rows apart by these columns, in their order; by those alone that are not the same in all of them, as most are."""
    if frame.is_empty():
        return []
    same = frame.select(pl.col(name).eq_missing(pl.col(name).first()).all() for name in names).row(0)
    differing = [name for name, alike in zip(names, same, strict=True) if not alike]
    return frame.partition_by(differing, maintain_order=True) if differing else [frame]


def _record(text: str | None) -> dict[str, Any] | str:
    """A schema of the registry, or why it is none of a record."""
    try:
        schema = json.loads(text or "")
        if isinstance(schema, dict) and all(each["name"] and each["type"] for each in schema["fields"]):
            return schema
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        return f"not the schema of a record: {error!r:.300}"
    return "not the schema of a record"


def _read(value: bytes, contract: Contract) -> pa.Table:
    """The rows of an Arrow stream that has the contract's columns, and not more in it than a message of ours.

    Raises: ValueError or an error of Arrow's if it is another one.
    """
    inflated = 0
    for message in pyarrow.ipc.MessageReader.open_stream(value):
        if message.type == "record batch":
            inflated += _inflated_bytes(message)
        elif message.type != "schema":
            raise ValueError(f"a {message.type} is in it")
    if inflated > _MOST_BYTES:
        raise ValueError(f"it inflates to {inflated:,} bytes, more than {_MOST_BYTES:,}")
    with pyarrow.ipc.open_stream(value) as reader:
        if not reader.schema.equals(contract.arrow_schema):
            raise ValueError(f"other columns: {', '.join(reader.schema.names)}")
        table = reader.read_all()
    table.validate(full=True)
    if not table.num_rows:
        raise ValueError("no rows")
    return table


def _inflated_bytes(message: Any) -> int:
    """What the buffers of a record batch say that they inflate to; Arrow makes room for that before it inflates them.

    Source: Arrow columnar format, "Serialization and Interprocess Communication": `Message.header` is the third field of its
            flatbuffer, `RecordBatch.buffers` the third and `compression` the fourth; each compressed buffer begins with its
            length as a number of 64 bits, or with -1.
    """
    head, body = memoryview(message.metadata), memoryview(message.body)
    batch = _field(head, struct.unpack_from("<I", head)[0], 2)
    if batch is None:
        return 0
    batch += struct.unpack_from("<I", head, batch)[0]
    buffers = _field(head, batch, 2)
    if buffers is None or _field(head, batch, 3) is None:
        return len(body)
    buffers += struct.unpack_from("<I", head, buffers)[0]
    total = 0
    for number in range(struct.unpack_from("<I", head, buffers)[0]):
        offset, length = struct.unpack_from("<qq", head, buffers + 4 + 16 * number)
        if length:
            total += max(struct.unpack_from("<q", body, offset)[0], length)
    return total


def _field(head: memoryview, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table is; None where the table lacks it."""
    layout = table - struct.unpack_from("<i", head, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", head, layout)[0]:
        return None
    distance = struct.unpack_from("<H", head, layout + 4 + 2 * number)[0]
    return table + distance if distance else None
