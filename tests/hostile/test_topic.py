"""A topic that others may write to: what they leave there is told, and harms neither rows nor the drain."""

from __future__ import annotations

import json
import random
import struct
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from aurum_etl import avro
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.contracts import LMP
from aurum_etl.drain.decoder import Decoder, Messages, _record
from aurum_etl.exports.avro import avro_schema
from aurum_etl.receipt import Outcome
from aurum_etl.settings import read_settings
from aurum_etl.sinks.kafka import _streams
from aurum_etl.sinks.kafka.topics import Marker, client_settings
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec
from tests.frames import rows, scope
from tests.test_drain import World, world

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["world"]

NOTHING = read_settings({})
REGISTRY = read_settings({"SCHEMA_REGISTRY_URL": "http://127.0.0.1:9"})
GOOD: dict[str, Any] = {
    "dataset": "caiso_lmp",
    "selection": "ALL",
    "start": "2026-07-14T07:00:00+00:00",
    "end": "2026-07-15T07:00:00+00:00",
    "ingested_at": "2026-07-15T00:00:00+00:00",
    "origin": "live",
    "attempt": "a",
    "parts": {"0": 0},
    "rows": 0,
    "revision": "",
    "days": [],
}
HOSTILE: dict[str, Mapping[str, Any]] = {
    "ten thousand years": {"start": "0001-01-01T00:00:00+00:00", "end": "9999-12-31T00:00:00+00:00"},
    "backwards": {"start": GOOD["end"], "end": GOOD["start"]},
    "naive": {"start": "2026-07-14T07:00:00"},
    "no date": {"start": "x"},
    "number as a date": {"start": 1},
    "parts less than none": {"parts": {"0": -1}},
    "partition below the first": {"parts": {"0": 0, "-1": 1}},
    "without partition 0": {"parts": {"1": 0}},
    "no parts": {"parts": {}},
    "parts as a list": {"parts": [1]},
    "a number that is none": {"parts": {"0": "x"}},
    "infinite": {"parts": {"0": float("inf")}},
    "NUL": {"selection": ["a\0b"]},
    "half a pair": {"selection": ["\ud800"]},
    "half a pair in the attempt": {"attempt": "\udfff"},
    "no text": {"selection": [1]},
    "nothing": {"selection": []},
    "mapping": {"selection": {"a": 1}},
    "null": {"selection": None},
    "number": {"dataset": 5},
    "origin": {"origin": "mine"},
    "attempt": {"attempt": ["a"]},
    "attempt as a mapping": {"attempt": {}},
    "rows": {"rows": "many"},
    "days": {"days": [["2026-99-99", 1, "x"]]},
    "days of another shape": {"days": [1]},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_marker_that_is_none_of_ours_is_no_marker(changes: Mapping[str, Any]) -> None:
    headers = [("aurum.chunk", json.dumps({**GOOD, **changes}).encode())]
    with pytest.raises(ValueError, match=r"^a marker that cannot be read"):
        Marker.parse(headers)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"1", b"[" * 100_000, b"\xff", b'{"selection":"ALL"}'])
def test_a_header_that_is_no_marker_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a marker that cannot be read"):
        Marker.parse([("aurum.chunk", text)])


def test_the_marker_that_these_are_made_of_is_one() -> None:
    assert Marker.parse([("aurum.chunk", json.dumps(GOOD).encode())])


SCHEMAS: list[object] = [
    "string",
    ["null", "string"],
    {"type": "record", "name": "x"},
    {"type": "record", "name": "x", "fields": {}},
    {"type": "record", "name": "x", "fields": [1]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id"}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "fixed", "size": 2**70}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "fixed", "size": -1}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "fixed", "size": "x"}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "enum", "symbols": []}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "enum", "symbols": 5}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": {"type": "map", "values": "x"}}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": ["null", "null"]}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": [[["null"]]]}]},
    {"type": "record", "name": "x", "fields": [{"name": "series_id", "type": "null"}] * 1000},
    {"type": "record", "name": "x", "fields": [{"name": ["series_id"], "type": "string"}]},
    {"type": "record", "name": "x", "fields": []},
]


def refused(decoder: Decoder, *values: bytes) -> list[str]:
    """Why each of the messages is none; those that are one bring an empty word."""
    numbers, zeros = list(range(len(values))), [0] * len(values)
    found = Messages(zeros, numbers, zeros, list(values))
    reasons = dict.fromkeys(range(len(values)), "")
    taken = sum(each.messages for each in decoder.decode(found, lambda place, reason: reasons.update({place: reason})))
    assert taken == sum(not reason for reason in reasons.values())
    return list(reasons.values())


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_a_schema_that_is_none_harms_its_own_messages_alone(schema: object) -> None:
    """A registry, or who may write to one, can say anything."""
    decoder = Decoder(LMP, REGISTRY, avro=True)
    decoder._schemas[7] = _record(json.dumps(schema))
    messages = [b"\x00" + struct.pack(">I", 7) + bytes([number]) * number for number in range(50)]
    assert all(refused(decoder, *messages))


@pytest.mark.parametrize("text", [None, "", "{", "[" * 100_000, "1e999", '"x"'])
def test_what_is_no_schema_is_told(text: str | None) -> None:
    assert "not the schema of a record" in str(_record(text))


def test_a_stream_of_arrow_is_no_more_than_a_message_of_ours() -> None:
    """What it inflates to is told by its buffers, before there is room made for it."""
    of = scope()
    good = rows(of, "A", "B")
    decoder = Decoder(LMP, NOTHING, avro=False)

    def stream(table: pa.Table, compression: Literal["zstd"] | None = "zstd") -> bytes:
        output = pa.BufferOutputStream()
        options = pyarrow.ipc.IpcWriteOptions(compression=compression)
        with pyarrow.ipc.new_stream(output, table.schema, options=options) as writer:
            writer.write_table(table)
        return bytes(output.getvalue().to_pybytes())

    (body,) = _streams(good, of)
    large = rows(of, "x" * 3_000_000).slice(0, 24)

    many = pa.concat_tables([large] * 5)
    dictionary = good.set_column(0, "series_id", good["series_id"].dictionary_encode())
    reasons = refused(
        decoder,
        body,
        stream(good, None),
        stream(many),
        stream(dictionary),
        stream(good.drop(["series_id"])),
        stream(good.slice(0, 0)),
        body[:-20],
        b"",
        b"ARROW1\0\0",
    )
    assert reasons[:2] == ["", ""]
    assert "it inflates to" in reasons[2]
    assert all(reasons[2:])
    assert len(stream(many)) < 1_000_000


def test_whatever_is_changed_in_a_stream_is_found_or_is_a_row() -> None:
    (body,) = _streams(rows(scope(), "A", "B"), scope())
    chance = random.Random(1)
    changed = []
    for _ in range(2_000):
        content = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        changed.append(bytes(content[: chance.randrange(len(content))] if chance.random() < 0.1 else content))
    reasons = refused(Decoder(LMP, NOTHING, avro=False), *changed)
    assert sum(map(bool, reasons)) > len(changed) // 2


def test_whatever_is_changed_in_a_record_is_found_or_is_a_row() -> None:
    of = scope(LMP_DAY_AHEAD)
    prefix = avro.header(7)
    messages = [bytes(each) for each in avro.encode(rows(of, "A", "B"), LMP, prefix).to_pylist() if each]
    decoder = Decoder(LMP, REGISTRY, avro=True)
    decoder._schemas[7] = _record(json.dumps(avro_schema(LMP)))
    assert not any(refused(decoder, *messages))
    chance = random.Random(1)
    changed = []
    for number in range(2_000):
        content = bytearray(messages[number % len(messages)])
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(5, len(content))] = chance.randrange(256)
        changed.append(bytes(content))
    assert any(refused(decoder, *changed))


def strangers(world: World, *contents: Mapping[str, Any] | bytes) -> None:
    """Markers that somebody else puts on the topic, one in each transaction."""
    producer = Producer({**client_settings(world.settings.kafka), "transactional.id": "stranger"})
    producer.init_transactions(20)
    for content in contents:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        producer.begin_transaction()
        producer.produce(world.topic, key="x", partition=0, headers=[("aurum.chunk", text)])
        producer.commit_transaction(20)
    producer.close()


def test_a_topic_of_strangers_leaves_everything_as_it_is(world: World) -> None:
    """Markers without rows stand for chunks that are to be emptied: of this topic's datasets, of no other's, and of windows
    that are a chunk's. What comes after them is loaded.
    """
    other = scope(LOAD_ACTUAL)
    beside = TimescaleSink(lambda: world.settings.timescale or "", TimescaleSpec(kind="timescale"))
    beside.open()
    beside.stage(rows(other, "CA ISO-TAC"), other).commit()
    world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 13)), "A")
    world.drain()
    many = {"attempt": "m", "parts": {"0": 10**15}, "rows": 10**15}
    strangers(
        world,
        b"[" * 50_000,
        *({**GOOD, **changes, "attempt": name} for name, changes in HOSTILE.items() if "attempt" not in changes),
        {**GOOD, "dataset": "caiso_load", "attempt": "b"},
        {**GOOD, "dataset": "pjm_lmp", "attempt": "c"},
        {**GOOD, "dataset": "../../x'; drop table iso_lmp_fact; --", "attempt": "d"},
        {**GOOD, **many},
    )
    world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 14)), "A", "B")
    tally = world.drain()
    assert [(each.chunk.dataset, each.outcome) for each in tally.receipts] == [
        ("caiso_load", Outcome.FAILED),
        ("pjm_lmp", Outcome.FAILED),
        ("../../x'; drop table iso_lmp_fact; --", Outcome.FAILED),
        ("caiso_lmp", Outcome.FAILED),
        ("caiso_lmp", Outcome.DONE),
    ]
    errors = [each.error or "" for each in tally.receipts]
    assert "is not of the kind and ISO of" in errors[0]
    assert "is not of the kind and ISO of" in errors[1]
    assert "is not one of" in errors[2]
    assert "1,000,000,000,000,000 messages could not be read" in errors[3]
    assert tally.dead_letters == len([each for each in HOSTILE.values() if "attempt" not in each]) + 1
    assert world.prices() == {"A": {1.0}, "B": {1.0}}
    assert sum(day.rows for day in beside.days(other)) == 24
    beside.close()
    assert world.drain().receipts == []


def test_a_text_that_the_database_cannot_keep_stops_nobody(world: World) -> None:
    """A row with a NUL in it goes to quarantine; were it left to the database, the topic would stop there for good."""
    of = scope(LMP_DAY_AHEAD, date(2026, 7, 13))
    names = [f"P{number:02}" for number in range(30)]
    world.put(of, *names, "bad\0place")
    world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 14)), "A")
    tally = world.drain()
    assert [(each.outcome, each.rows_rejected) for each in tally.receipts] == [
        (Outcome.QUARANTINED, 24),
        (Outcome.DONE, 0),
    ]
    assert set(world.prices()) == {*names, "A"}


def test_a_schema_that_somebody_registers_is_no_schema_of_ours(world: World) -> None:
    with SchemaRegistryClient({"url": world.settings.registry["url"]}) as registry:
        text = json.dumps({"type": "record", "name": "x", "fields": [{"name": "series_id", "type": "null"}]})
        number = registry.register_schema(f"{world.topic}-stranger", Schema(text, "AVRO"))
        plain = registry.register_schema(f"{world.topic}-plain", Schema('"string"', "AVRO"))
    world.produce(avro.header(number), avro.header(plain) + b"\x02x", b"\x00\xff\xff\xff\xff", b"\x00", b"\x01" * 1000)
    world.put(scope(), "A")
    tally = world.drain()
    assert (tally.rows, tally.dead_letters) == (24, 5)
    assert world.prices() == {"A": {1.0}}
    assert datetime.now(UTC) > max(each.started_at for each in tally.receipts)
    assert pl.DataFrame(world.letters()).get_column("reason").null_count() == 0
