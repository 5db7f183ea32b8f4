"""What Data Miner's answers look like: columns, JSON and csv as text, and errors."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import polars as pl

from aurum_etl.simulator.base import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"}
)
_GATEWAY_WORDS = {
    401: "Access denied due to missing subscription key."
    " Make sure to include subscription key when making requests to an API.",
    403: "Access denied due to a subscription without this product.",
    404: "Resource not found",
    429: "Rate limit is exceeded.",
}
_BAD_KEY = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a feed. Decimals are integers of 10⁻ᵈⁱᵍⁱᵗˢ in the frames."""

    name: str
    kind: Literal["stamp", "text", "whole", "decimal", "flag"]
    digits: int = 0


def stamps(*names: str) -> tuple[Column, ...]:
    """A stamp in UTC and one in Eastern time, for each name."""
    return tuple(Column(f"{name}_{clock}", "stamp") for name in names for clock in ("utc", "ept"))


def broken(rows: pl.DataFrame, fault: str | None, columns: Sequence[Column], word: str) -> pl.DataFrame:
    """The page with a fault in its rows."""
    match fault:
        case "off_grid":
            return rows.with_columns(
                (pl.col(each.name) + pl.when(pl.col(each.name) == pl.col(each.name).min()).then(timedelta(minutes=7)))
                .fill_null(pl.col(each.name))
                .alias(each.name)
                for each in columns
                if each.kind == "stamp" and each.name in rows.columns
            )
        case "duplicate_rows":
            return pl.concat([rows, rows.head(3)])
        case "unknown_word" if word in rows.columns:
            return pl.concat([rows, rows.head(1).with_columns(pl.lit("XYZ").alias(word))])
        case _:
            return rows


def renamed(columns: Sequence[Column], fault: str | None, measure: str) -> tuple[Column, ...]:
    """The columns under the names that are printed."""
    if fault != "wrong_header":
        return tuple(columns)
    return tuple(replace(each, name=f"{each.name}_new") if each.name == measure else each for each in columns)


def json_items(rows: pl.DataFrame, columns: Sequence[Column], measure: str, fault: str | None) -> str:
    """The rows as objects with commas between them; `rows` hold the columns under their true names."""
    if rows.is_empty():
        return ""
    printed = renamed(columns, fault, measure)
    parts: list[pl.Expr] = []
    for number, (column, shown) in enumerate(zip(columns, printed, strict=True)):
        parts += [
            pl.lit(f'{"," if number else "{"}"{shown.name}":'),
            _spoilt(_json_text(column), column, measure, fault, '"n/a"').fill_null("null"),
        ]
    return str(rows.select(pl.concat_str([*parts, pl.lit("}")]).str.join(",")).item())


def csv_text(rows: pl.DataFrame, columns: Sequence[Column], measure: str, fault: str | None) -> str:
    """The rows as csv with field names on top: American stamps, True and False, nothing for null."""
    header = ",".join(each.name for each in renamed(columns, fault, measure)) + "\r\n"
    if rows.is_empty():
        return header
    cells = [_spoilt(_csv_text(each), each, measure, fault, "n/a").fill_null("") for each in columns]
    return header + str(rows.select(pl.concat_str(cells, separator=",").str.join("\r\n")).item()) + "\r\n"


def _spoilt(text: pl.Expr, column: Column, measure: str, fault: str | None, word: str) -> pl.Expr:
    if fault != "text_in_number" or column.name != measure:
        return text
    return pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(word)).otherwise(text)


def _json_text(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    match column.kind:
        case "stamp":
            return '"' + cell.dt.to_string("%Y-%m-%dT%H:%M:%S") + '"'
        case "text":
            return '"' + cell + '"'
        case "flag":
            return cell.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
        case _:
            return _number(column)


def _csv_text(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    match column.kind:
        case "stamp":
            return cell.dt.to_string("%-m/%-d/%Y %-I:%M:%S %p")
        case "text":
            return cell
        case "flag":
            return cell.replace_strict({True: "True", False: "False"}, return_dtype=pl.String)
        case _:
            return _number(column)


def _number(column: Column) -> pl.Expr:
    """Zeros at the end stay: PJM prints a column with as many places as it has."""
    cell = pl.col(column.name)
    if column.digits == 0:
        return cell.cast(pl.String)
    size = 10**column.digits
    parts = (cell.abs() % size).cast(pl.String).str.zfill(column.digits)
    text = (cell.abs() // size).cast(pl.String) + "." + parts
    return pl.when(cell < 0).then("-" + text).otherwise(text)


def gateway_refusal(status: int, *, bad_key: bool = False) -> Answer:
    """What the gateway in front of Data Miner says: a status and one sentence."""
    words = _BAD_KEY if bad_key else _GATEWAY_WORDS.get(status, "Internal server error")
    headers = {"Content-Type": "application/json"}
    if status == 401:
        headers["WWW-Authenticate"] = 'AzureApiManagementKey realm="https://api.pjm.com/api/v1"'
    return Answer(status, headers, json.dumps({"statusCode": status, "message": words}).encode())


def bad_request(field: str | None, message: str, path: str, query: Mapping[str, str], now: datetime) -> Answer:
    """Data Miner's error object."""
    known = f"{path}?{sorted(query.items())}"
    body = {
        "errors": [{"field": field, "message": message, "detail": [message]}],
        "feedMetadata": None,
        "code": 400,
        "message": "Validation failed",
        "activityId": str(uuid.uuid5(uuid.NAMESPACE_URL, known)),
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}",
        "detailedMessage": message,
    }
    return Answer(400, {"Content-Type": "application/json"}, json.dumps(body, separators=(",", ":")).encode())
