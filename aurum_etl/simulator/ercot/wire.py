"""What ERCOT's answers look like: rows as JSON and csv, documents as zip, and errors."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.invented import decimal_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aurum_etl.simulator.ercot.product import Cell, Column, Product

CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"}
)
BLOCKED = Answer(200, {"Content-Type": "text/html"}, b"<html><body>The request could not be satisfied</body></html>")
_GATEWAY_WORDS = {
    401: "Access denied due to invalid subscription key or token.",
    403: "Access to this resource is not allowed.",
    404: "Resource not found",
    429: "Rate limit is exceeded. Try again in 30 seconds.",
}
_UNKNOWN = "XYZ"
_LF = "\n"


class Refused(Exception):
    """The request is answered with the error object that the API's description has."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def broken(rows: pl.DataFrame, fault: str | None, product: Product) -> pl.DataFrame:
    """The rows with a fault in them."""
    first = pl.col("start") == pl.col("start").min()
    match fault:
        case "off_grid":
            late = pl.when(first).then(_late(rows, product.interval)).otherwise(product.interval)
            return rows.with_columns(late.alias(product.interval))
        case "duplicate_rows":
            return pl.concat([rows, rows.head(3)])
        case "missing_hour":
            return rows.filter(~first)
        case "unknown_word" if product.word:
            return pl.concat([rows, rows.head(1).with_columns(pl.lit(_UNKNOWN).alias(product.word))])
        case _:
            return rows


def _late(rows: pl.DataFrame, interval: str) -> pl.Expr:
    """No interval has this label; stamps are simply seven minutes late."""
    column = pl.col(interval)
    match rows.schema[interval]:
        case pl.String:
            return column.str.replace(":00", ":07")
        case pl.Datetime:
            return column + timedelta(minutes=7)
        case _:
            return pl.lit(26, pl.Int64)


def json_rows(rows: pl.DataFrame, columns: Sequence[Column], product: Product, fault: str | None) -> str:
    """The rows as arrays with commas between them."""
    if rows.is_empty():
        return ""
    parts: list[pl.Expr] = []
    for number, column in enumerate(columns):
        text = _spoilt(_json_text(column), column.name, product, fault, '"n/a"').fill_null("null")
        parts += [pl.lit("," if number else "["), text]
    if adds_column(product, fault):
        parts.append(pl.lit(",1"))
    return str(rows.select(pl.concat_str([*parts, pl.lit("]")]).str.join(",")).item())


def adds_column(product: Product, fault: str | None) -> bool:
    """Where names are headers alone, one that nobody has heard of is a column."""
    return fault == "unknown_word" and not product.word


def field_list(columns: Sequence[Column], product: Product, fault: str | None) -> list[dict[str, object]]:
    """How an answer describes its columns."""
    found: list[dict[str, object]] = [
        {
            "name": f"{each.name}New" if fault == "wrong_header" and each.name == product.measure else each.name,
            "label": each.label,
            "cardinality": number,
            "dataType": each.kind,
            "searchable": True,
            "sortable": True,
            "hasRange": each.has_range,
        }
        for number, each in enumerate(columns, 1)
    ]
    if adds_column(product, fault):
        added = {"name": _UNKNOWN, "label": _UNKNOWN, "cardinality": len(found) + 1, "dataType": "DOUBLE"}
        found.append({**added, "searchable": True, "sortable": True, "hasRange": True})
    return found


def csv_header(product: Product, fault: str | None) -> str:
    """The names of the columns, with LF behind them."""
    headers = [
        f"{each.header}_NEW" if fault == "wrong_header" and each.column == product.measure else each.header
        for each in product.cells
    ]
    return ",".join([*headers, _UNKNOWN] if adds_column(product, fault) else headers) + "\n"


def csv_line(product: Product, fault: str | None) -> pl.Expr:
    """A row as csv, without its end."""
    cells = [_spoilt(_csv_text(each), each.column, product, fault, "n/a").fill_null("") for each in product.cells]
    return pl.concat_str([*cells, pl.lit("1")] if adds_column(product, fault) else cells, separator=",")


def csv_text(rows: pl.DataFrame, product: Product, fault: str | None) -> str:
    """The rows as csv with a header on top and LF behind every line."""
    header = csv_header(product, fault)
    return header if rows.is_empty() else f"{header}{rows.select(csv_line(product, fault).str.join(_LF)).item()}{_LF}"


def xml_text(rows: pl.DataFrame, product: Product) -> str:
    """The rows as a plain xml document."""
    root = f"{product.stem}s"
    if rows.is_empty():
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}/>\n'
    parts: list[pl.Expr] = [pl.lit(f"<{product.stem}>")]
    for each in product.cells:
        name = each.header.strip()
        parts += [pl.lit(f"<{name}>"), _csv_text(each).fill_null(""), pl.lit(f"</{name}>")]
    text = rows.select(pl.concat_str([*parts, pl.lit(f"</{product.stem}>")]).str.join("\n")).item()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>\n{text}\n</{root}>\n'


def _spoilt(text: pl.Expr, column: str, product: Product, fault: str | None, word: str) -> pl.Expr:
    if fault != "text_in_number" or column != product.measure:
        return text
    return pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(word)).otherwise(text)


def _json_text(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    match column.kind:
        case "DATE":
            return '"' + cell.dt.to_string("%Y-%m-%d") + '"'
        case "DATETIME":
            return '"' + cell.dt.to_string("%Y-%m-%dT%H:%M:%S") + '"'
        case "VARCHAR":
            return '"' + cell + '"'
        case "BOOLEAN":
            return cell.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
        case "INTEGER":
            return cell.cast(pl.String)
        case _:
            return decimal_text(cell, column.digits)


def _csv_text(cell: Cell) -> pl.Expr:  # noqa: PLR0911 - one form, one line
    column = pl.col(cell.column)
    match cell.form:
        case "date":
            return column.dt.to_string("%m/%d/%Y")
        case "stamp":
            return column.dt.to_string("%m/%d/%Y %H:%M:%S")
        case "text":
            return column
        case "unpadded":
            return column.str.strip_chars_start("0")
        case "padded":
            return column.cast(pl.String).str.zfill(2)
        case "whole":
            return column.cast(pl.String)
        case "shortest":
            return decimal_text(column, cell.digits)
        case "blank":
            return " " + decimal_text(column, cell.digits)
        case "fixed":
            size = 10**cell.digits
            text = (
                (column.abs() // size).cast(pl.String)
                + "."
                + (column.abs() % size).cast(pl.String).str.zfill(cell.digits)
            )
            return pl.when(column < 0).then("-" + text).otherwise(text)
        case "flag":
            return column.replace_strict({True: "Y", False: "N"}, return_dtype=pl.String)


def compact(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer without blanks."""
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, compact(value).encode())


def gateway_refusal(status: int, words: str = "") -> Answer:
    """What the gateway in front of the API says: a status and one sentence."""
    return as_json(
        {"statusCode": status, "message": words or _GATEWAY_WORDS.get(status, "Internal server error")}, status
    )


def error_object(refused: Refused, now: datetime) -> Answer:
    """The error object of the API's description."""
    words = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND"}
    body = {
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.000+00:00",
        "code": refused.status,
        "status": words.get(refused.status, "INTERNAL_SERVER_ERROR"),
        "message": refused.message,
        "data": None,
    }
    return as_json(body, refused.status)
