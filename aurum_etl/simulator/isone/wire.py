"""How ISO-NE writes: JSON made from XML, csv lines that begin with their kind, and what faults do to either."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

EASTERN = ZoneInfo("America/New_York")
CONTENT_FAULTS = frozenset(
    {
        "wrong_header",
        "text_in_number",
        "off_grid",
        "duplicate_rows",
        "missing_hour",
        "unknown_word",
        "empty",
        "one_object",
    }
)
NO_DATA = b"No data exists for this period."


class NotFound(Exception):
    """There is no such path, or no such day."""


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of one resource, ready to be written."""

    plural: str
    """The container's key; empty where single items stand alone."""
    singular: str
    template: str
    """One row as JSON, with `{}` for each column of `columns`."""
    columns: tuple[str, ...]
    rows: pl.DataFrame
    """With `start`, the instant of each row, and all columns as text."""
    value: str
    """The key of a number, which faults change."""
    word: tuple[str, str] | None = None
    """A column with a word, and one that nobody knows."""


def market_day(day: date) -> tuple[datetime, datetime]:
    """Eastern midnight to Eastern midnight, in UTC."""
    start, end = (datetime.combine(each, time(), EASTERN).astimezone(UTC) for each in (day, day + timedelta(1)))
    return start, end


def day_of(text: str) -> date:
    """The day that a path names.

    Raises: NotFound if it is none.
    """
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise NotFound(text) from None


def stamp(instant: datetime) -> str:
    """`2024-11-03T01:00:00.000-04:00`: Eastern prevailing time with its offset."""
    return instant.astimezone(EASTERN).isoformat(timespec="milliseconds")


def intervals(start: datetime, end: datetime, minutes: int) -> pl.DataFrame:
    """The intervals that end by `end`: instant, label, local date, and the hour that ends."""
    step = timedelta(minutes=minutes)
    starts = [start + number * step for number in range(max(0, (end - start) // step))]
    local = [each.astimezone(EASTERN) for each in starts]
    return pl.DataFrame(
        {
            "start": pl.Series(starts, dtype=pl.Datetime("us", "UTC")),
            "BeginDate": pl.Series([stamp(each) for each in starts], dtype=pl.String),
            "Date": pl.Series([f"{each:%m/%d/%Y}" for each in local], dtype=pl.String),
            "HourEnd": pl.Series([hour_ending(each) for each in starts], dtype=pl.String),
            "hour": pl.Series([each.hour + each.minute / 60 for each in local], dtype=pl.Float64),
            "day": pl.Series([each.timetuple().tm_yday for each in local], dtype=pl.Int64),
            "weekday": pl.Series([each.weekday() for each in local], dtype=pl.Int64),
        }
    )


def hour_ending(start: datetime) -> str:
    """`01` to `24` by the clock when the hour ends, `02X` for the second of two equal hours; spring has no `02`."""
    local = start.astimezone(EASTERN).replace(minute=0, second=0, microsecond=0)
    ending = (local.astimezone(UTC) + timedelta(hours=1)).astimezone(EASTERN)
    if local.fold:
        return "02X"
    if ending.hour == local.hour:
        return f"{local.hour + 1:02d}"
    return f"{ending.hour or 24:02d}"


def json_of(told: Told, fault: str | None) -> bytes:
    """The document: a list, one object where there is one row, and an empty object where there is none."""
    rows = _with_row_fault(told, fault)
    written = rows.select(filled(told.template, told.columns).alias("text")).get_column("text").to_list()
    if fault == "empty":
        written = []
    if fault == "one_object":
        written = written[:1]
    inner = f"[{','.join(written)}]" if len(written) > 1 else "".join(written)
    text = f'"{told.singular}":{inner}' if written else ""
    document = f'{{"{told.plural}":{{{text}}}}}' if told.plural else f"{{{text}}}"
    if fault == "wrong_header":
        document = document.replace(f'"{told.value}":', f'"{told.value}New":')
    if fault == "text_in_number":
        document = re.sub(rf'"{told.value}":[-0-9.]+', f'"{told.value}":"n/a"', document, count=1)
    return document.encode()


def filled(template: str, columns: tuple[str, ...]) -> pl.Expr:
    """The template with the columns in the place of each `{}`; its other braces are JSON's."""
    first, *others = template.split("{}")
    parts: list[pl.Expr] = [pl.lit(first)]
    for column, text in zip(columns, others, strict=True):
        parts += [pl.col(column), pl.lit(text)]
    return pl.concat_str(parts)


def _with_row_fault(told: Told, fault: str | None) -> pl.DataFrame:
    rows = told.rows
    if fault == "off_grid":
        late = pl.col("start") == pl.col("start").min()
        moved = pl.col("BeginDate").str.replace(r":\d\d:\d\d\.", ":07:00.")
        return rows.with_columns(BeginDate=pl.when(late).then(moved).otherwise("BeginDate"))
    if fault == "duplicate_rows":
        return pl.concat([rows, rows.head(3)])
    if fault == "missing_hour":
        hour = pl.col("start").dt.truncate("1h")
        return rows.filter(hour != hour.min())
    if fault == "unknown_word" and told.word is not None:
        column, word = told.word
        return pl.concat([rows, rows.head(1).with_columns(pl.lit(word).alias(column))])
    return rows


def csv_of(
    title: str, file: str, covers: str, generated: datetime, heads: tuple[str, ...], lines: list[str], fault: str | None
) -> bytes:
    """A report: comments, heads, data, and the count of data lines; without a newline at its end."""
    local = generated.astimezone(EASTERN)
    comments = [
        f'"C","{title}"',
        f'"C","Filename: {file}"',
        f'"C","Report for{covers}"',
        f'"C","Report generated{":" if covers.startswith(":") else ""} {local:%m/%d/%Y %H:%M:%S %Z}"',
    ]
    first = heads[0].replace('"Locational Marginal Price"', '"Price of the Location"').replace('"Day 1"', '"Tag 1"')
    heads = (first if fault == "wrong_header" else heads[0], *heads[1:])
    match fault:
        case "duplicate_rows":
            lines = [*lines, *lines[:3]]
        case "text_in_number":
            lines = [lines[0].rpartition(",")[0] + ",n/a", *lines[1:]]
        case "empty":
            return NO_DATA
        case _:
            pass
    return "\n".join([*comments, *heads, *lines, f'"T","{len(lines)} lines"']).encode()
