"""The parameters of a request, and the rules that Data Miner has for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.pjm import clock
from aurum_etl.simulator.pjm.feed import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aurum_etl.simulator.pjm.feed import Feed
    from aurum_etl.simulator.pjm.wire import Column

MOST_ROWS = 50_000
_MOST_DAYS = 366
_PARAMETERS = frozenset(
    {"startrow", "rowcount", "sort", "order", "fields", "isactivemetadata", "download", "format", "subscription-key"}
)
_FORMS = ("%m/%d/%Y %H:%M", "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m-%d-%Y %H:%M", "%m-%d-%Y")
_AGO = re.compile(r"(\d+)(second|minute|month)s?ago")


class Refused(Exception):
    """The request is answered with status 400."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood."""

    feed: Feed
    start_row: int
    row_count: int
    download: bool
    csv: bool
    columns: tuple[Column, ...]
    """In the feed's order, whatever the order that they are asked for in."""
    fields: tuple[str, ...]
    """As the answer repeats them."""
    sort: tuple[str, ...]
    descending: bool
    filters: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]
    spans: Mapping[str, clock.Span]
    archived: bool


def question(feed: Feed, query: Mapping[str, str], now: datetime) -> Question:
    """What is asked for, or why that is not possible."""
    options = {name.lower(): text for name, text in query.items() if name.lower() in _PARAMETERS}
    filters = tuple((name, text) for name, text in query.items() if name.lower() not in _PARAMETERS)
    download = _flag(options, "download")
    start_row, row_count = _page(options, download=download, filtered=bool(filters))
    conditions = tuple(_condition(feed, name, text, now) for name, text in filters)
    if feed.needs_date and not any(each.bounds for each in conditions):
        raise Refused(None, f"A datetime filter is needed for {feed.name}, such as {feed.dates[-1]}_ept.")
    archived = _archived(feed, options, conditions, now)
    order = options.get("order", "asc").lower()
    if order not in ("asc", "desc"):
        raise Refused("order", "Order is Asc or Desc.")
    if options.get("format", "json").lower() not in ("json", "csv"):
        raise Refused("format", "Format is json or csv.")
    fields = tuple(_named(feed, options.get("fields", ""), "fields"))
    sort = tuple(_named(feed, options.get("sort", ""), "sort"))
    return Question(
        feed,
        start_row,
        row_count,
        download,
        options.get("format", "").lower() == "csv",
        tuple(each for each in feed.columns if not fields or each.name in fields),
        fields or tuple(sorted(each.name for each in feed.columns)),
        sort,
        order == "desc",
        filters,
        conditions,
        feed.spans(conditions, now),
        archived,
    )


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false").lower()
    if text not in ("true", "false"):
        raise Refused(name, f"{name} is true or false.")
    return text == "true"


def _page(options: Mapping[str, str], *, download: bool, filtered: bool) -> tuple[int, int]:
    """First row and number of rows: both are needed as soon as anything else is asked for, but for plain downloads."""
    free = not filtered and set(options) <= {"subscription-key", *(("download", "format") if download else ())}
    found = []
    for name, shown, most in (("startrow", "startRow", 2**31), ("rowcount", "rowCount", MOST_ROWS)):
        text = options.get(name)
        if text is None and free:
            found.append(1 if name == "startrow" else MOST_ROWS)
        elif text is None or not text.isdecimal() or not 1 <= int(text) <= most:
            raise Refused(shown, f"{shown} is required, and a number from 1 to {most}.")
        else:
            found.append(int(text))
    return found[0], found[1]


def _named(feed: Feed, text: str, parameter: str) -> list[str]:
    names = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        column = feed.column(each)
        if column is None:
            raise Refused(parameter, f"{each} is no field of {feed.name}.")
        names.append(column.name)
    return names


def _condition(feed: Feed, name: str, text: str, now: datetime) -> Condition:
    column = feed.column(name)
    if column is None:
        raise Refused(name, f"{name} is no field of {feed.name}.")
    cell = pl.col(column.name)
    match column.kind:
        case "stamp":
            bounds = _bounds(column.name, text.strip(), now)
            return Condition(column.name, cell.is_between(*bounds), bounds)
        case "text":
            patterns = [_pattern(each) for each in text.split(";")]
            return Condition(column.name, cell.str.contains("|".join(patterns)))
        case "flag":
            if text.lower() not in ("true", "false"):
                raise Refused(name, f"{name} is true or false.")
            return Condition(column.name, cell == (text.lower() == "true"))
        case "whole":
            if not all(each.strip().lstrip("-").isdecimal() for each in text.split(";")):
                raise Refused(name, f"{name} is a number.")
            return Condition(column.name, cell.is_in([int(each) for each in text.split(";")]))
        case _:
            raise Refused(name, f"{name} is not filterable.")


def _pattern(text: str) -> str:
    """Part of a word, unless it says `exact`; a star is anything."""
    text = text.strip()
    exact = text.lower().endswith("exact")
    parts = (text[:-5] if exact else text).split("*")
    body = ".*".join(re.escape(part) for part in parts)
    return f"(?i)^(?:{body})$" if exact or len(parts) > 1 else f"(?i)(?:{body})"


def _bounds(column: str, text: str, now: datetime) -> tuple[datetime, datetime]:
    """First and last reading of the column's clock: both ends count, and a single stamp stands for its whole day."""
    reading = now if column.endswith("_utc") else clock.wall(now)
    named = _named_range(text.lower(), reading)
    if named is not None:
        return named
    if text.lower().endswith("exact"):
        instant = _moment(column, text[:-5].strip())
        return instant, instant
    first, separator, last = (part.strip() for part in re.sub(r"\s*to\s*", "\0", text).partition("\0"))
    if not separator:
        day = datetime.combine(_moment(column, first).date(), time())
        return day, day + timedelta(days=1, microseconds=-1)
    if not first and not last:
        raise Refused(column, f"{text} is no range of dates.")
    bounds = _moment(column, first) if first else clock.EARLIEST, _moment(column, last) if last else clock.LATEST
    if bounds[1] < bounds[0]:
        raise Refused(column, "The end of the range is before its start.")
    if first and last and bounds[1] - bounds[0] > timedelta(_MOST_DAYS):
        raise Refused(column, f"The range is longer than {_MOST_DAYS} days.")
    return bounds


def _moment(column: str, text: str) -> datetime:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the column's name says the zone
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(column, f"{text} is no date.") from None
    if found.tzinfo is not None:
        raise Refused(column, f"{text} has an offset.")
    return found


def _named_range(name: str, reading: datetime) -> tuple[datetime, datetime] | None:
    """The ranges that have names, such as `today` and `5minutesago`."""
    ago = _AGO.fullmatch(name)
    if ago is not None:
        number = int(ago[1])
        if ago[2] == "month":
            return _month(reading, -number)[0].replace(day=min(reading.day, 28)), reading
        return reading - timedelta(**{f"{ago[2]}s": number}), reading
    found = re.fullmatch(r"(current|last|next)(hour|week|month|year)|today|yesterday|tomorrow", name)
    if found is None:
        return None
    day = datetime.combine(reading.date(), time())
    shift = {"current": 0, "last": -1, "next": 1, None: 0}[found[1]]
    match found[2]:
        case "hour":
            start = reading.replace(minute=0, second=0, microsecond=0) + timedelta(hours=shift)
            end = start + timedelta(hours=1)
        case "week":
            start = day - timedelta((day.weekday() + 1) % 7) + timedelta(7 * shift)
            end = start + timedelta(7)
        case "month":
            start, end = _month(reading, shift)
        case "year":
            start, end = (
                day.replace(year=day.year + shift, month=1, day=1),
                day.replace(year=day.year + shift + 1, month=1, day=1),
            )
        case _:
            start = day + timedelta({"today": 0, "yesterday": -1, "tomorrow": 1}[name])
            end = start + timedelta(1)
    return start, end - timedelta(microseconds=1)


def _month(reading: datetime, shift: int) -> tuple[datetime, datetime]:
    number = reading.year * 12 + reading.month - 1 + shift
    first, following = (date(each // 12, each % 12 + 1, 1) for each in (number, number + 1))
    return datetime.combine(first, time()), datetime.combine(following, time())


def _archived(feed: Feed, options: Mapping[str, str], conditions: Sequence[Condition], now: datetime) -> bool:
    """Whether old data are asked for, which has rules of its own."""
    if feed.archive is None:
        return False
    cutoff = feed.archive.cutoff(now)
    bounds = [
        clock.around(*each.bounds) if each.column.endswith("_ept") else each.bounds
        for each in conditions
        if each.bounds is not None
    ]
    first, last = max(each[0] for each in bounds), min(each[1] for each in bounds)
    if first >= cutoff:
        return False
    if last >= cutoff:
        raise Refused(feed.dates[0], f"The range crosses {cutoff:%Y-%m-%d} UTC, where archived data end.")
    if first.year != last.year:
        raise Refused(feed.dates[0], "A range of archived data has to stay inside one calendar year in UTC.")
    for name in ("sort", "order", "fields"):
        if name in options:
            raise Refused(name, f"{name} is not possible with archived data.")
    for each in conditions:
        if each.bounds is None and each.column not in feed.archive.filters:
            raise Refused(each.column, f"{each.column} is not filterable in archived data.")
    return True
