"""How OASIS answers: windows, names, labels of intervals, error documents, and what faults do to tables and bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from collections.abc import Callable

PACIFIC = ZoneInfo("America/Los_Angeles")
CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"}
)
Members = list[tuple[str, bytes]]

_GMT = "%Y-%m-%dT%H:%M:%S-00:00"
_STAMP = re.compile(r"(\d{8})T(\d{2}):(\d{2})-0000")
_WORDS = {
    1000: "No data returned for the specified selection",
    1001: "Invalid request parameter",
    1002: "Invalid date or time format",
    1003: "Timed out",
    1004: "Time span is longer than 31 days",
    1014: "Start date is out of range",
    1015: "GroupZip file is being prepared",
    1016: "Unknown group id",
    1017: "More than 10 nodes",
    1018: "Multiple hours are not allowed",
    1020: "Version is missing or invalid",
}


class Refused(Exception):
    """OASIS answers with an error document."""

    def __init__(self, code: int, report_name: str = "INVALID_REQUEST") -> None:
        super().__init__(code)
        self.code = code
        self.report_name = report_name


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood."""

    name: str
    """What the answer's file is called, without its ending."""
    report: Callable[[str | None], Members]
    """Makes the members, with a content fault or without."""
    identity: tuple[object, ...]
    """Equal for questions that have the same answer."""


def trade_date(day: date) -> tuple[datetime, datetime]:
    """Pacific midnight to Pacific midnight, in UTC."""
    start, end = (datetime.combine(each, time(), PACIFIC).astimezone(UTC) for each in (day, day + timedelta(1)))
    return start, end


def day_ahead_end(now: datetime) -> datetime:
    """End of the last trade date whose day-ahead results are out: they are at 13:00 the day before."""
    local = now.astimezone(PACIFIC)
    return trade_date(local.date() + timedelta(1 if local.hour >= 13 else 0))[1]


def instant(text: str) -> datetime:
    """The instant that a request names.

    Raises: Refused with 1002 if it is none.
    """
    parts = _STAMP.fullmatch(text)
    try:
        if parts is None:
            raise ValueError(text)
        return datetime.strptime("".join(parts.groups()), "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(1002) from None


def file_name(start: datetime, end: datetime, report: str, run: str, now: datetime, version: str) -> str:
    """What the answer of `SingleZip` is called: Pacific dates, and the time of the request."""
    days = f"{start.astimezone(PACIFIC):%Y%m%d}_{end.astimezone(PACIFIC):%Y%m%d}"
    return f"{days}_{report}_{run}_{now.astimezone(PACIFIC):%Y%m%d_%H_%M_%S}_v{version}"


def headers(name: str, behind: str = "") -> dict[str, str]:
    """Headers of a zip of that name."""
    return {
        "Content-Type": "application/x-zip-compressed",
        "Content-Disposition": f"inline; filename={name}{behind}",
    }


def refusal(refused: Refused, now: datetime) -> Answer:
    """The zip with the error document."""
    words = _WORDS.get(refused.code, "System error")
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<m:OASISReport xmlns:m="http://www.caiso.com/soa/OASISReport_v1.xsd">\n<m:MessageHeader>\n'
        f"\t<m:TimeDate>{now:%Y-%m-%dT%H:%M:%S}.000Z</m:TimeDate>\n\t<m:Source>OASIS</m:Source>\n"
        "\t<m:Version>v20131201</m:Version>\n</m:MessageHeader>\n<m:MessagePayload>\n<m:RTO>\n<m:name>CAISO</m:name>\n"
        "<m:DISCLAIMER_ITEM>\n<m:DISCLAIMER>Simulated.</m:DISCLAIMER>\n</m:DISCLAIMER_ITEM>\n<m:ERROR>\n"
        f"<m:ERR_CODE>{refused.code}</m:ERR_CODE>\n<m:ERR_DESC>{words}</m:ERR_DESC>\n</m:ERROR>\n\n</m:RTO>\n"
        "</m:MessagePayload>\n</m:OASISReport>\n"
    )
    body = zipped([(f"{refused.report_name}.xml", document.encode())], now.astimezone(PACIFIC))
    invalid = refused.report_name == "INVALID_REQUEST"
    name = f"{refused.report_name}{'.xml' if invalid else ''}.zip"
    return Answer(200, headers(name, ";" if invalid else ""), body)


def intervals(start: datetime, end: datetime, minutes: int) -> pl.DataFrame:
    """The whole intervals of the window, with the labels that OASIS gives them.

    Hours count from 1 by the clock on the wall: the repeated hour in autumn is 25, and spring has no 3.
    """
    rows = []
    instant, step = start, timedelta(minutes=minutes)
    while instant + step <= end:
        local = instant.astimezone(PACIFIC)
        hour = 25 if local.fold else local.hour + 1
        rows.append(
            (
                instant,
                f"{instant:{_GMT}}",
                f"{instant + step:{_GMT}}",
                f"{local:%Y-%m-%d}",
                hour,
                0 if minutes == 60 else local.minute // minutes + 1,
            )
        )
        instant += step
    return pl.DataFrame(
        rows,
        schema={
            "start": pl.Datetime("us", "UTC"),
            "INTERVALSTARTTIME_GMT": pl.String,
            "INTERVALENDTIME_GMT": pl.String,
            "OPR_DT": pl.String,
            "OPR_HR": pl.Int64,
            "OPR_INTERVAL": pl.Int64,
        },
        orient="row",
    )


def locals_of(found: pl.DataFrame) -> list[datetime]:
    """The starts of the intervals by the clock on the wall."""
    return [each.astimezone(PACIFIC) for each in found.get_column("start").to_list()]


def unordered(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The rows in no order that means anything."""
    return rows.sort(mixed(pl.int_range(pl.len()), seed))


def csv(rows: pl.DataFrame) -> bytes:
    """A member's bytes."""
    return rows.write_csv().encode()


def with_fault(rows: pl.DataFrame, fault: str | None, value: str, word_column: str, word: str) -> pl.DataFrame:  # noqa: PLR0911
    """The table with that fault in its column of values, its times, or its words."""
    first = pl.int_range(pl.len()) == 0
    match fault:
        case "wrong_header":
            return rows.rename({value: f"{value}_NEW"})
        case "text_in_number":
            return rows.with_columns(pl.when(first).then(pl.lit("n/a")).otherwise(value).alias(value))
        case "off_grid":
            late = (
                pl.col(each).str.replace(r":(\d)0:00-", ":${1}7:00-").str.replace(r":(\d)5:00-", ":${1}7:00-")
                for each in ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")
            )
            return rows.with_columns(late)
        case "duplicate_rows":
            return pl.concat([rows, rows.head(3)])
        case "missing_hour":
            return rows.filter(pl.col("INTERVALSTARTTIME_GMT") != pl.col("INTERVALSTARTTIME_GMT").min())
        case "unknown_word":
            return pl.concat([rows, rows.head(1).with_columns(pl.lit(word).alias(word_column))])
        case _:
            return rows
