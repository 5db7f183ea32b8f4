"""Columnar Avro against a reference encoder: the same bytes, and nothing lost among damaged messages."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import fastavro
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurum_etl.avro import _varints, decode, encode, header, schema_ids
from aurum_etl.contracts import CONTRACTS, LMP, ColumnType
from aurum_etl.exports.avro import avro_schema
from aurum_etl.pipeline import to_arrow

if TYPE_CHECKING:
    from aurum_etl.contracts import Contract

HEADER = header(7)
# A few words that repeat, as in a chunk, and any text there is.
TEXT = st.sampled_from(["CAISO", "", "ñ電", "x" * 63, "y" * 64, "z" * 9000]) | st.text(max_size=12)
INSTANT = st.datetimes(timezones=st.just(UTC))
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.STRING: TEXT,
    ColumnType.INT16: st.integers(-(2**15), 2**15 - 1),
    ColumnType.DOUBLE: st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0]),
    ColumnType.TIMESTAMP: INSTANT,
    ColumnType.DATE: st.dates(),
}


def tables(contract: Contract) -> st.SearchStrategy[pa.Table]:
    columns = {
        column.name: VALUES[column.type] | (st.none() if column.nullable else st.nothing())
        for column in contract.columns
    }
    rows = st.lists(st.fixed_dictionaries(columns), max_size=6)
    return rows.map(lambda each: pa.Table.from_pylist(each, contract.arrow_schema))


def reference(table: pa.Table, contract: Contract) -> list[bytes]:
    schema, messages = fastavro.parse_schema(avro_schema(contract)), []
    for row in table.to_pylist():
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, row)
        messages.append(HEADER + body.getvalue())
    return messages


def series(messages: list[bytes]) -> pl.Series:
    return pl.Series("value", messages, pl.Binary)


def written(record: dict[str, Any], schema: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return HEADER + body.getvalue()


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_messages_are_byte_for_byte_the_reference_encoders(contract: Contract, data: st.DataObject) -> None:
    table = data.draw(tables(contract))
    expected = reference(table, contract)
    assert encode(table, contract, HEADER).to_pylist() == expected
    cut = data.draw(st.integers(0, table.num_rows))
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert encode(pieces, contract, HEADER).to_pylist() == expected
    assert encode(pieces.slice(cut), contract, HEADER).to_pylist() == expected[cut:]
    decoded = decode(series(expected), avro_schema(contract), contract)
    assert to_arrow(decoded.frame, contract).equals(table)
    assert decoded.bad.is_empty()


@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40))
def test_many_numbers_are_written_as_a_few_are(numbers: list[int]) -> None:
    few = _varints(pa.array(numbers, pa.int64()))
    many = _varints(pa.array([*numbers, *range(200)], pa.int64()))
    assert many[: len(numbers)].equals(few)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_damaged_messages_are_told_and_harm_no_other(data: st.DataObject) -> None:
    table = data.draw(tables(LMP).filter(lambda drawn: drawn.num_rows > 0))
    messages = reference(table, LMP)
    hurt = data.draw(st.integers(0, len(messages) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "more", "noise"]))
    whole = messages[hurt]
    match how:
        case "cut":
            messages[hurt] = whole[: data.draw(st.integers(0, len(whole) - 1))]
        case "flip":
            place = data.draw(st.integers(5, len(whole) - 1))
            messages[hurt] = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
        case "more":
            messages[hurt] = whole + data.draw(st.binary(min_size=1, max_size=5))
        case _:
            messages[hurt] = HEADER + data.draw(st.binary(max_size=300))
    decoded = decode(series(messages), avro_schema(LMP), LMP)
    bad = decoded.bad.get_column("index").to_list()
    assert set(bad) <= {hurt}
    assert how in {"flip", "noise"} or bad == [hurt]
    others = [row for number, row in enumerate(table.to_pylist()) if number != hurt]
    found = [
        row
        for number, row in zip(decoded.kept.arg_true(), to_arrow(decoded.frame, LMP).to_pylist(), strict=True)
        if number != hurt
    ]
    assert found == others
    if not bad:
        # What can be read is what a reference reader makes of it.
        body = io.BytesIO(messages[hurt][5:])
        read = fastavro.schemaless_reader(body, fastavro.parse_schema(avro_schema(LMP)), None)
        assert isinstance(read, dict)
        assert (
            read["iso_location_id"]
            == to_arrow(decoded.frame, LMP).to_pylist()[decoded.kept.arg_true().index_of(hurt) or 0]["iso_location_id"]
        )


def example() -> pa.Table:
    row: dict[str, Any] = {column.name: "word" for column in LMP.columns if column.type is ColumnType.STRING}
    row |= {column.name: 1.5 for column in LMP.values}
    row |= dict.fromkeys(
        ("interval_start", "interval_end", "published_at", "ingested_at"), datetime(2026, 7, 14, tzinfo=UTC)
    )
    row |= {"iso_interval_minutes": 60, "operating_date": date(2026, 7, 14)}
    return pa.Table.from_pylist([row], LMP.arrow_schema)


@pytest.mark.parametrize("name", LMP.names)
@pytest.mark.parametrize("place", [0, 37, 99])
def test_one_row_may_be_unlike_all_others(name: str, place: int) -> None:
    """Rows that are alike are read together: what differs in one of them is neither lost nor told of the others."""
    column = LMP.column(name)
    many, other = {
        ColumnType.STRING: ("CAISO", "ñ電" * 40),
        ColumnType.INT16: (60, -(2**15)),
        ColumnType.DOUBLE: (1.5, -0.0),
        ColumnType.TIMESTAMP: (datetime(2026, 7, 14, 7, tzinfo=UTC), datetime(1969, 7, 20, 20, 17, tzinfo=UTC)),
        ColumnType.DATE: (date(2026, 7, 14), date(9999, 12, 31)),
    }[column.type]
    row = {
        each.name: {"string": "word", "int16": 5, "double": 2.5, "date32": date(2026, 7, 14)}.get(
            each.type.value, datetime(2026, 7, 15, tzinfo=UTC)
        )
        for each in LMP.columns
    }
    for unlike in (other, None) if column.nullable else (other,):
        given = [{**row, name: unlike if number == place else many} for number in range(100)]
        table = pa.Table.from_pylist(given, LMP.arrow_schema)
        decoded = decode(pl.Series(encode(table, LMP, HEADER)), avro_schema(LMP), LMP)
        assert decoded.bad.is_empty()
        assert to_arrow(decoded.frame, LMP).equals(table)


def test_a_writer_may_know_more_and_less() -> None:
    schema = avro_schema(LMP)
    fields = [field for field in schema["fields"] if field["name"] != "price_ghg"]
    extra = [
        {"name": "flag", "type": "boolean"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b"]}},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 4}},
        {"name": "raw", "type": ["bytes", "null"]},
        {"name": "ratio", "type": "float"},
        {"name": "nothing", "type": "null"},
        {"name": "text", "type": ["null", "string"]},
    ]
    newer = {**schema, "fields": [*extra[:4], *fields, *extra[4:]]}
    record = {
        **example().to_pylist()[0], "flag": True, "kind": "b", "digest": b"1234", "raw": b"x", "ratio": 0.5, "nothing": None,
        "text": "t",
    }  # fmt: skip
    messages = [written(record, newer), written({**record, "raw": None, "text": None, "flag": False}, newer)]
    decoded = decode(series(messages), newer, LMP)
    (row,) = example().to_pylist()
    assert to_arrow(decoded.frame, LMP).to_pylist() == [{**row, "price_ghg": None}] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda field: None if field["name"] == "price_total" else field, "no field price_total"),
        (
            lambda field: {**field, "type": "string"} if field["name"] == "price_total" else field,
            "price_total is string",
        ),
        (
            lambda field: (
                {**field, "type": {"type": "array", "items": "int"}} if field["name"] == "revision" else field
            ),
            "revision is of type array",
        ),
        (
            lambda field: {**field, "type": ["null", "int", "long"]} if field["name"] == "revision" else field,
            "revision is a union",
        ),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(change: Any, message: str) -> None:
    schema = avro_schema(LMP)
    other = {**schema, "fields": [field for field in map(change, schema["fields"]) if field]}
    with pytest.raises(ValueError, match=message):
        decode(series([HEADER + b"\x00" * 200]), other, LMP)


def test_numbers_that_no_column_holds_make_a_message_bad() -> None:
    schema = avro_schema(LMP)
    fields = [
        {**field, "type": "long"} if field["name"] == "iso_interval_minutes" else field for field in schema["fields"]
    ]
    wider = {**schema, "fields": fields}
    record = example().to_pylist()[0]
    messages = [written({**record, "iso_interval_minutes": minutes}, wider) for minutes in (5, 40_000, 60)]
    decoded = decode(series(messages), wider, LMP)
    assert decoded.frame["iso_interval_minutes"].to_list() == [5, 60]
    assert decoded.bad.rows() == [(1, "iso_interval_minutes is out of range")]


def test_the_id_stands_in_the_header() -> None:
    messages = [header(7), header(2**31) + b"x", b"", b"\x00\x00\x00\x07", b"\x01\x00\x00\x00\x07"]
    assert schema_ids(series(messages)).to_list() == [7, 2**31, None, None, None]
