"""Every form of a contract says what its one definition says."""

from __future__ import annotations

import json

import fastavro
import polars as pl
import pytest

from aurum_etl.contracts import CONTRACTS, LINEAGE, ColumnType, Contract
from aurum_etl.exports import ddl
from aurum_etl.exports.avro import avro_json, avro_schema
from aurum_etl.sinks.iceberg.catalog import iceberg_schema
from aurum_etl.validate import pandera_schema

ALL = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))


@ALL
def test_arrow_has_names_types_and_nulls(contract: Contract) -> None:
    spelled = {"timestamp[us, UTC]": "timestamp[us, tz=UTC]", "date32": "date32[day]"}
    assert [(field.name, str(field.type), field.nullable) for field in contract.arrow_schema] == [
        (column.name, spelled.get(column.type, column.type), column.nullable) for column in contract.columns
    ]


@ALL
def test_polars_has_the_types_that_arrow_has(contract: Contract) -> None:
    of_arrow = pl.DataFrame(contract.arrow_schema.empty_table()).schema
    assert dict(of_arrow) == dict(contract.polars_schema)


@ALL
def test_pandera_has_names_types_nulls_and_words(contract: Contract) -> None:
    schema = pandera_schema(contract)
    assert (list(schema.columns), schema.strict, schema.ordered) == (list(contract.names), True, True)
    for column in contract.columns:
        form = schema.columns[column.name]
        assert (form.dtype.type, form.nullable) == (contract.polars_schema[column.name], column.nullable)
        words = [set(check.statistics["allowed_values"]) for check in form.checks]
        assert words == ([set(column.choices)] if column.choices else [])


@ALL
def test_iceberg_has_names_types_and_nulls(contract: Contract) -> None:
    spelled = {
        ColumnType.INT16: "int",
        ColumnType.TIMESTAMP: "timestamptz",
        ColumnType.DATE: "date",
    }
    assert [(field.name, str(field.field_type), field.required) for field in iceberg_schema(contract).fields] == [
        (column.name, spelled.get(column.type, column.type.value), not column.nullable) for column in contract.columns
    ]
    assert all(field.doc for field in iceberg_schema(contract).fields)


@ALL
def test_avro_has_names_types_and_nulls(contract: Contract) -> None:
    schema = avro_schema(contract)
    fastavro.parse_schema(json.loads(avro_json(contract)))
    spelled: dict[ColumnType, object] = {
        ColumnType.INT16: "int",
        ColumnType.TIMESTAMP: {"type": "long", "logicalType": "timestamp-micros"},
        ColumnType.DATE: {"type": "int", "logicalType": "date"},
    }
    for field, column in zip(schema["fields"], contract.columns, strict=True):
        kind = spelled.get(column.type, column.type.value)
        assert (field["name"], field["type"]) == (column.name, ["null", kind] if column.nullable else kind)
        assert ("default" in field) == column.nullable
        assert field["doc"]


@ALL
def test_every_column_is_stored_or_derived_in_timescale(contract: Contract) -> None:
    """The real server is asked in tests/sinks/test_timescale.py what the view shows."""
    stored = {column.name for column in ddl.stored(contract)}
    derived = {*ddl.constants(contract), *ddl.PLACE_COLUMNS, *LINEAGE, "interval_end"}
    assert stored | derived >= set(contract.names)
    searched = {"effective_start"} if contract.is_registry else {"series_id", "interval_start", "operating_date"}
    assert {"iso_location_id", *searched} <= stored
    assert set(ddl.constants(contract)) & stored == set()


@ALL
def test_the_natural_key_holds_no_value(contract: Contract) -> None:
    values = {column.name for column in contract.values if column.type is ColumnType.DOUBLE}
    assert not values & set(contract.key)
    assert set(contract.key) <= set(contract.names)


@ALL
def test_a_series_is_whatever_the_key_tells_apart(contract: Contract) -> None:
    """Or two series would have one id: the words of the key, beside those that every id has, are in it."""
    everywhere = {"iso_code", "iso_market", "iso_market_run", "iso_interval_minutes", "iso_location_id"}
    assert set(contract.key) - everywhere - {contract.time, "published_at"} == set(contract.series_words)


@ALL
def test_market_and_run_are_there_or_not(contract: Contract) -> None:
    if contract.is_registry:
        assert not {"iso_market", "iso_market_run", "interval_start"} & set(contract.names)
        return
    assert (
        contract.column("iso_market").nullable
        == contract.column("iso_market_run").nullable
        == (not contract.has_market)
    )
