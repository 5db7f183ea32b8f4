"""The files of SPP's portal: where they lie, how their names tell time, and how they are read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.adapters.base import Ask
from aurum_etl.archive import Request
from aurum_etl.dataset import LocationRule, Spread
from aurum_etl.errors import SourceChanged, SourceUnavailable
from aurum_etl.market import Iso, LocationType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.dataset import Report

END, AREA = "GMTIntervalEnd", "BAA"
MADE, VERSION = "file time", "file version"
"""What only a file's name says: when it was made, and the same as a number, so that later versions count more."""
ZONE, KIND, ZONE_LOAD = "Control Zone Name", "Forecast Area Type", "Load MW"
WHOLE = "HOURLY_LOAD"
"""The kind of load in files that have a column for each control zone, and name no kind."""
WEST_JOINED = date(2026, 4, 1)
"""The market day since which there are two balancing areas. Before it SPP was the only one, and files don't name it."""
SYSTEMS = LocationRule(r"^(SPP|SWPW)$", LocationType.SYSTEM)
"""The balancing areas. Each lies in an interconnection of its own, so each is a system, and the market is both together."""
ANY_NUMBER = 1000
"""A file is whole, whoever asks: the pipeline takes the named locations out of it."""

_ZONE = ZoneInfo(Iso.SPP.timezone)
_HOUR, _FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)
_PAST_HOURS = (timedelta(hours=12), timedelta(hours=27))
"""When the two files are made that tell what a day's hours were: each tells the past 24, and a day may have one more."""
_PAST_INTERVALS = timedelta(minutes=30)
"""How long the last intervals of a day are told after it: files are known to tell some ten minutes."""
_VARIANTS = {
    "gmtinterval": END,
    "gmtmktinterval": END,
    "gmttime": END,
    "markethour": END,
    "settlementlocationname": "Settlement Location",
    "pnodename": "Pnode",
}
"""What the same columns are called in other files and years, without blanks, underscores and capitals."""
_ALWAYS = (("since", "0001-01-01"), ("until", "9999-12-31"))
_FIRSTS: dict[str, dict[str, int]] = {"registry": {}, "day": {}, "month": {"day": 1}, "year": {"month": 1, "day": 1}}
"""What the first day of each file's span has, by how often there is one."""
_STAMP = re.compile(r"-(\d{12})(d?)(?![\da-zA-Z])")


def asks(report: Report, days: Sequence[date]) -> list[Ask]:
    """What to ask for those market days."""
    since, until = (date.fromisoformat(report.parameters.get(*each)) for each in _ALWAYS)
    days = [day for day in days if since <= day < until]
    every = report.parameters["every"]
    if every == "latest":
        return [_ask(report, report.parameters["path"])]
    if every == "registry":
        # Only how it stands at the end.
        days = days[-1:]
    if every in _FIRSTS:
        return [_ask_of_days(report, day) for day in dict.fromkeys(day.replace(**_FIRSTS[every]) for day in days)]
    step = _HOUR if every.endswith("hours") else _FIVE_MINUTES
    return [_ask_named(report, end, step) for day in days for end in _ends(day, every)]


def _ask(report: Report, path: str, otherwise: Ask | None = None) -> Ask:
    request = Request(Iso.SPP, f"file-browser-api/download/{report.parameters['fs']}", (("path", path),))
    return Ask(report, request, otherwise=otherwise)


def _ask_of_days(report: Report, day: date) -> Ask:
    otherwise = report.parameters.get(f"otherwise in {day.year}")
    return _ask(report, report.parameters["path"].format(day=day), _ask(report, otherwise) if otherwise else None)


def _ask_named(report: Report, end: datetime, step: timedelta) -> Ask:
    """A file that is named after an instant, under the first of the names that it may have."""
    ask = None
    start = (end - step).astimezone(_ZONE)
    for name in reversed(file_names(end, step)):
        label = datetime.strptime(name[:12], "%Y%m%d%H%M")  # noqa: DTZ007 - a label
        path = report.parameters["path"].format(name=name, label=label, after=label + _HOUR, start=start)
        ask = _ask(report, path, ask)
    assert ask is not None  # noqa: S101 - there is always a name
    return ask


def _ends(day: date, every: str) -> list[datetime]:
    """The instants that a market day's files are named after.

    Prices are in files of their own for each interval, which are named after its end; forecasts are named after when they
    were made; and what was is told by the forecasts that come later.
    """
    wall = datetime.combine(day, datetime.min.time())
    if every == "past hours":
        return [_instant(wall + later) for later in _PAST_HOURS]
    midnight, next_midnight = _instant(wall), _instant(wall + timedelta(1))
    first, last, step = {
        "hours": (midnight, next_midnight - _HOUR, _HOUR),
        "five minutes": (midnight, next_midnight - _FIVE_MINUTES, _FIVE_MINUTES),
        "intervals": (midnight + _FIVE_MINUTES, next_midnight, _FIVE_MINUTES),
        "past intervals": (midnight + _FIVE_MINUTES, next_midnight + _PAST_INTERVALS, _FIVE_MINUTES),
    }[every]
    return [first + number * step for number in range((last - first) // step + 1)]


def file_names(end: datetime, step: timedelta) -> tuple[str, ...]:
    """The names that SPP may give to an instant, the likeliest first.

    It is labeled as intervals are: by the clock at the start of the step that it ends, and the step more; in spring, where
    no clock shows that, by the clock at the end. The later of two equal labels has a `d`. Whether it has one at the full
    hour differs by product, and so may the label of the hour between the two.
    """
    start, shown = (instant.astimezone(_ZONE) for instant in (end - step, end))
    label = f"{start.replace(tzinfo=None) + step:%Y%m%d%H%M}"
    if start.fold:
        return (f"{label}d", label) if label.endswith("00") else (f"{label}d",)
    if shown.fold:
        return (f"{shown:%Y%m%d%H%M}d", label)
    return (label if _shows(start.replace(tzinfo=None) + step) else f"{shown:%Y%m%d%H%M}",)


def file_time(name: str, where: str) -> datetime:
    """The instant that a file's name tells, by the same rule.

    Raises: SourceChanged if it tells none.
    """
    found = _STAMP.search(name)
    try:
        label = datetime.strptime(found[1] if found else "", "%Y%m%d%H%M")  # noqa: DTZ007 - a label
    except ValueError as error:
        raise SourceChanged(
            f"{where}: when the file was made stands in its name alone, such as OP-MTLF-202607041000.csv, and not in this"
        ) from error
    if found and found[2]:
        return label.replace(tzinfo=_ZONE, fold=1).astimezone(UTC)
    before = label - _FIVE_MINUTES
    return _instant(before) + _FIVE_MINUTES if _shows(before) else _instant(label)


def _instant(label: datetime) -> datetime:
    """Of a label by the clock on the wall; of two equal ones the first."""
    return label.replace(tzinfo=_ZONE).astimezone(UTC)


def _shows(label: datetime) -> bool:
    """Whether the clock on the wall ever does."""
    return _instant(label).astimezone(_ZONE).replace(tzinfo=None) == label


def read(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The columns of a file, under their documented names, with what only its name says of all its rows.

    Raises: as `Adapter.batches`.
    """
    from aurum_etl import decode

    name = where.rpartition("/")[2]
    if not re.search(rf"(?<![A-Za-z0-9-]){report.parameters['named']}", name):
        raise SourceChanged(f"{where}: by its name it is no {report.name}, and files of other products look the same")
    made = file_time(name, where) if {MADE, VERSION} & set(report.published) else None
    for member in decode.file_members(path, where, max_bytes):
        if not member.content or member.content.isspace():
            raise SourceUnavailable(f"{where}: an empty body instead of data")
        decode.demand_no_html(member.content, where)
        header = _header(member.content)
        if ZONE in report.published and decode.plain_name(ZONE) not in map(decode.plain_name, header):
            yield _by_zone(member.content, header, report, where)
            continue
        constants = _constants(report, header, made)
        batch = decode.csv(
            member.content,
            replace(report, published={each: kind for each, kind in report.published.items() if each not in constants}),
            where,
            header,
        )
        yield _with_constants(batch, constants, where) if constants else batch


def _by_zone(content: bytes, header: list[str], report: Report, where: str) -> pa.RecordBatch:
    """Load of the files that have a column for each control zone, in rows, as later ones have it."""
    import polars as pl

    from aurum_etl import decode

    wide = replace(report, published={END: report.published[END]}, spread=Spread(ZONE, others=ZONE_LOAD))
    rows = pl.DataFrame(decode.csv(content, wide, where, header)).unpivot(
        index=END, variable_name=ZONE, value_name=ZONE_LOAD
    )
    words = pl.col(ZONE).cast(pl.Categorical), pl.lit(WHOLE).cast(pl.Categorical).alias(KIND)
    return decode.to_batch(rows.with_columns(words).select(list(report.published)), where)


def _header(content: bytes) -> list[str]:
    """The documented names of a file's columns."""
    from aurum_etl import decode

    line = content[: content.find(b"\n") + 1] or content
    names = decode.names_of(line.removeprefix(decode.BYTE_ORDER_MARK))
    return [_VARIANTS.get(decode.plain_name(name), name) for name in names]


def _constants(report: Report, header: list[str], made: datetime | None) -> dict[str, str | datetime]:
    """The columns that stand in no row."""
    from aurum_etl import decode

    found: dict[str, str | datetime] = {}
    if AREA in report.published and decode.plain_name(AREA) not in map(decode.plain_name, header):
        found[AREA] = report.parameters.get("area", Iso.SPP.value)
    if made is not None:
        found |= {MADE: made, VERSION: f"{made:%Y%m%d%H%M}"}
    return {name: value for name, value in found.items() if name in report.published}


def _with_constants(batch: pa.RecordBatch, constants: dict[str, str | datetime], where: str) -> pa.RecordBatch:
    import polars as pl

    from aurum_etl import decode

    kinds = {str: pl.Categorical(), datetime: pl.Datetime("us", "UTC")}
    rows = pl.DataFrame(batch).with_columns(
        pl.lit(value).cast(kinds[type(value)]).alias(name) for name, value in constants.items()
    )
    return decode.to_batch(rows, where, decode.drift_of(batch))
