"""The contract as an Avro schema, for the schema registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aurum_etl.contracts import ColumnType

if TYPE_CHECKING:
    from aurum_etl.contracts import Contract

NAMESPACE = "aurum.iso.v1"
_TYPES: dict[ColumnType, str | dict[str, str]] = {
    ColumnType.STRING: "string",
    ColumnType.INT16: "int",
    ColumnType.DOUBLE: "double",
    ColumnType.TIMESTAMP: {"type": "long", "logicalType": "timestamp-micros"},
    ColumnType.DATE: {"type": "int", "logicalType": "date"},
}


def avro_schema(contract: Contract) -> dict[str, Any]:
    """The record of one observation, its fields in the contract's order.

    Vocabularies are strings: a reader of an older enumeration could not read a newer word.
    """
    fields: list[dict[str, Any]] = []
    for column in contract.columns:
        kind = _TYPES[column.type]
        field: dict[str, Any] = {"name": column.name, "type": ["null", kind] if column.nullable else kind}
        if column.nullable:
            field["default"] = None
        field["doc"] = f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
        fields.append(field)
    name = "".join(word.capitalize() for word in contract.kind.split("_"))
    return {"type": "record", "name": name, "namespace": NAMESPACE, "fields": fields}


def avro_json(contract: Contract) -> str:
    """The same as text, equal for equal contracts."""
    return json.dumps(avro_schema(contract), separators=(",", ":"))
