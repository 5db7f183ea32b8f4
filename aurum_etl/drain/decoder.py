"""Messages to rows, by column."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from aurum_etl import avro
from aurum_etl.errors import SinkUnavailable, SpecError
from aurum_etl.sinks.kafka.login import asked_of_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from confluent_kafka import Message

    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """A message, and how many tombstones came before it in the same step and partition."""

    partition: int
    offset: int
    segment: int
    message: Message


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

    def decode(self, found: Sequence[Found], refuse: Callable[[int, str], None]) -> Iterator[Rows]:
        """The rows of the messages, apart by partition, segment, chunk and attempt."""
        if not self._avro:
            yield from self._batches(found, refuse)
            return
        messages = pl.DataFrame(
            {
                "value": pl.Series([each.message.value() for each in found], dtype=pl.Binary),
                "partition": pl.Series([each.partition for each in found], dtype=pl.Int32),
                "segment": pl.Series([each.segment for each in found], dtype=pl.Int32),
                "offset": pl.Series([each.offset for each in found], dtype=pl.Int64),
            }
        ).with_row_index("index")
        messages = messages.with_columns(schema=avro.schema_ids(messages.get_column("value")))
        for group in messages.partition_by("schema", maintain_order=True):
            number = group.item(0, "schema")
            schema = "no header of a schema registry" if number is None else self._schema(number)
            places = group.get_column("index").to_list()
            try:
                if isinstance(schema, str):
                    raise ValueError(schema)  # noqa: TRY004 - it tells why there is none
                decoded = avro.decode(group.get_column("value"), schema, self._contract)
            except ValueError as error:
                for place in places:
                    refuse(place, f"schema {number}: {error}")
                continue
            for index, reason in decoded.bad.iter_rows():
                refuse(places[index], reason)
            where = group.select("partition", "segment", "offset").filter(decoded.kept)
            rows = pl.concat([pl.DataFrame(decoded.table), where], how="horizontal")
            for part in rows.partition_by("partition", "segment", "chunk_key", "ingested_at", maintain_order=True):
                partition, segment, offset, *key = part.select(*where.columns, "chunk_key", "ingested_at").row(0)
                table = part.drop(where.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
                table = table.cast(self._contract.arrow_schema)
                yield Rows(partition, segment, (key[0], key[1]), offset, len(part), table)

    def _batches(self, found: Sequence[Found], refuse: Callable[[int, str], None]) -> Iterator[Rows]:
        for index, each in enumerate(found):
            try:
                with pyarrow.ipc.open_stream(each.message.value() or b"") as reader:
                    table = reader.read_all()
                table.validate(full=True)
            except (pa.ArrowInvalid, OSError) as error:
                refuse(index, f"not an Arrow stream: {error}")
                continue
            if not table.schema.equals(self._contract.arrow_schema) or not table.num_rows:
                refuse(index, f"an Arrow stream of other columns: {', '.join(table.schema.names)}")
                continue
            key = table["chunk_key"][0].as_py(), table["ingested_at"][0].as_py()
            yield Rows(each.partition, each.segment, key, each.offset, 1, table)

    def _schema(self, number: int) -> dict[str, Any] | str:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if number not in self._schemas:
            try:
                found = asked_of_registry(self._settings, lambda client: client.get_schema(number).schema_str)
                self._schemas[number] = json.loads(found)
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise SinkUnavailable(f"kafka: schema {number} cannot be had: {error.error_message}") from error
                self._schemas[number] = f"schema {number} is not in the registry"
        return self._schemas[number]
