"""How SPP writes: plain csv, a folder's list in JSON, nothing at all where there is no file; and what faults do."""

from __future__ import annotations

import io
from dataclasses import dataclass

import polars as pl

CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word", "empty"}
)
UNKNOWN = "XYZ"
"""A word that nobody has heard of."""


class NoSuchFile(Exception):
    """There is no file at that path, or not yet."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a csv file is written from."""

    header: tuple[str, ...]
    """As printed, blanks in front included."""
    rows: pl.DataFrame
    """A column for each of the header, in its order: text, integers, or numbers that are printed with `digits`."""
    value: int
    """Which column faults change."""
    word: int | None = None
    """Which column has words; without one, an unknown word comes as a further column."""
    digits: int = 4
    newline: str = "\n"
    below: str = ""
    """What stands below the rows."""


def numbers(units: pl.Expr, digits: int) -> pl.Expr:
    """Integers of 10⁻ᵈⁱᵍⁱᵗˢ as numbers that are printed with so many digits."""
    size: int = 10**digits
    return units.cast(pl.Float64) / size


def fixed_text(units: pl.Expr, digits: int) -> pl.Expr:
    """The same as text, where columns differ in their digits."""
    size: int = 10**digits
    text = (units.abs() // size).cast(pl.String) + "." + (units.abs() % size).cast(pl.String).str.zfill(digits)
    return pl.when(units < 0).then("-" + text).otherwise(text)


def csv_of(sheet: Sheet, fault: str | None) -> bytes:
    """The file, with the fault in it."""
    header, rows = list(sheet.header), sheet.rows
    if fault == "wrong_header":
        header[sheet.value] += "_new"
    if fault == "empty":
        rows = rows.clear()
    if fault == "duplicate_rows":
        rows = pl.concat([rows, rows.head(3)])
    if fault == "unknown_word" and sheet.word is None:
        header.append(f" {UNKNOWN} Market")
        rows = rows.with_columns(pl.lit("1.00").alias(UNKNOWN))
    if fault == "unknown_word" and sheet.word is not None:
        name = rows.columns[sheet.word]
        rows = pl.concat([rows, rows.head(1).with_columns(pl.lit(UNKNOWN).alias(name))])
    buffer = io.BytesIO()
    rows.write_csv(
        buffer,
        include_header=False,
        float_precision=sheet.digits,
        line_terminator=sheet.newline,
        null_value="",
        quote_style="never",
    )
    lines = buffer.getvalue()
    if fault == "text_in_number" and lines:
        first, end, rest = lines.decode().partition(sheet.newline)
        cells = first.split(",")
        cells[sheet.value] = "n/a"
        lines = f"{','.join(cells)}{end}{rest}".encode()
    below = "" if fault == "empty" else sheet.below
    return f"{','.join(header)}{sheet.newline}".encode() + lines + below.encode()


def has_no_rows(body: bytes) -> bool:
    """Whether a file is its header alone."""
    return body.find(b"\n") == len(body) - 1
