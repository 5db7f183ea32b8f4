"""CAISO, OASIS.

Base      https://oasis.caiso.com/oasisapi, `SingleZip?queryname=…`; anonymous, GET only, every argument in the query.
Limits    one request per five seconds and address, counted from start to start; faster ones get 429 and an html body.
          At most 31 days per request; for all nodes or all aggregates one trade date; at most ten named nodes.
Answers   a zip, one csv per price component (or one for all), rows in no order. Errors are xml inside a zip with
          status 200: a member that ends in .xml where csv was asked for is one.
Time      `*_GMT` are UTC instants. Requests name Pacific midnights in GMT, so a change day is 23 or 25 hours long;
          a window that is off by an hour silently shifts the content, and answers for all nodes snap to the trade
          date: rows outside the chunk are passed over afterwards.
Appears   day-ahead prices about 13:00 Pacific the day before, late markets after 15:00; actual load about an hour after
          the hour. Corrected prices replace the old ones in place for two weeks, without a mark.
Kept      about 39 months online for `PRC_LMP`, longer for `SLD_FCST`; older dates answer 1000 or 1014.

Source: CAISO, Interface Specification for OASIS, version 5.1.2 (error codes, limits, columns),
        https://www.caiso.com/documents/oasis-interfacespecification.pdf; location patterns as published in its node lists.
Unsure: whether a location id without the suffix `-APND` can be an aggregate; such ids are read as nodes.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.archive import Answer, Request
from aurum_etl.clock import UtcInstants
from aurum_etl.contracts import LMP, LOAD
from aurum_etl.dataset import Belonging, Class, Components, Dataset, LocationRule, Published
from aurum_etl.errors import AurumError, NoData, SourceChanged, SourceUnavailable
from aurum_etl.market import Iso, LoadType, LocationType, Market

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

    import pyarrow as pa

    from aurum_etl import decode
    from aurum_etl.chunk import Chunk
    from aurum_etl.window import Window

GMT = UtcInstants("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")

_RUNS = frozenset({"DAM", "RTPD", "RTM", "HASP", "RUC"})
_ZONES = (LocationRule(r"^(DLAP|SLAP|ELAP)_", LocationType.ZONE),)
_AGGREGATES = frozenset({LocationType.HUB, LocationType.ZONE, LocationType.AGGREGATE})

LMP_DAY_AHEAD = Dataset(
    key="caiso_lmp",
    iso=Iso.CAISO,
    contract=LMP,
    title="day-ahead hourly locational marginal prices",
    market=Market.DAY_AHEAD,
    run="DAM",
    feed="PRC_LMP",
    parameters={"version": "12", "market_run_id": "DAM"},
    clock=GMT,
    interval_minutes=60,
    published={
        GMT.start: Published.INSTANT,
        GMT.end: Published.INSTANT,
        "NODE": Published.WORD,
        "MARKET_RUN_ID": Published.WORD,
        "LMP_TYPE": Published.WORD,
        # Dollars per megawatt-hour, whatever the name says.
        "MW": Published.NUMBER,
    },
    belonging=Belonging("MARKET_RUN_ID", "DAM", _RUNS),
    location="NODE",
    location_rules=(
        LocationRule(r"^TH_.*-APND$", LocationType.HUB),
        *_ZONES,
        LocationRule(r"-APND$", LocationType.AGGREGATE),
        LocationRule(r"", LocationType.NODE),
    ),
    values={},
    components=Components(
        column="LMP_TYPE",
        value="MW",
        into={
            "LMP": "price_total",
            "MCE": "price_energy",
            "MCC": "price_congestion",
            "MCL": "price_loss",
            # In day-ahead answers since the extended day-ahead market of May 2026; null before, never zero.
            "MGHG": "price_ghg",
        },
    ),
    classes=(Class("ALL_APNODES", _AGGREGATES),),
    named_limit=10,
    span_days=31,
    span_days_all=1,
    first_day=date(2023, 4, 1),
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=16_600,
    source_url="https://oasis.caiso.com/mrioasis/logon.do",
)

LOAD_ACTUAL = Dataset(
    key="caiso_load",
    iso=Iso.CAISO,
    contract=LOAD,
    title="actual hourly integrated load of the CAISO and the Western imbalance areas",
    feed="SLD_FCST",
    parameters={"version": "1", "market_run_id": "ACTUAL"},
    clock=GMT,
    interval_minutes=60,
    published={
        GMT.start: Published.INSTANT,
        GMT.end: Published.INSTANT,
        "TAC_AREA_NAME": Published.WORD,
        "XML_DATA_ITEM": Published.WORD,
        "MW": Published.NUMBER,
    },
    # A file that was asked for without a run holds them all.
    belonging=Belonging(
        "XML_DATA_ITEM",
        "SYS_FCST_ACT_MW",
        frozenset({"SYS_FCST_DA_MW", "SYS_FCST_2DA_MW", "SYS_FCST_7DA_MW", "SYS_FCST_15MIN_MW", "SYS_FCST_5MIN_MW"}),
    ),
    location="TAC_AREA_NAME",
    location_rules=(
        LocationRule(r"^CA ISO-TAC$", LocationType.SYSTEM),
        # The five parts of the total. "PGE" without the suffix is Portland General, a neighbour.
        LocationRule(r"^(PGE|SCE|SDGE|VEA|MWD)-TAC$", LocationType.ZONE),
        LocationRule(r"", LocationType.REGION),
    ),
    values={"MW": "load_mw"},
    words={"load_type": LoadType.SYSTEM, "load_native": "SYS_FCST_ACT_MW"},
    span_days_all=31,
    first_day=date(2016, 1, 1),
    lag=timedelta(hours=2),
    patience=timedelta(hours=24),
    rows_per_location_day=24,
    locations=35,
    source_url="https://oasis.caiso.com/mrioasis/logon.do",
)

_NO_DATA = 1000
_TRY_LATER = frozenset({1003, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1015})
_BEING_PREPARED = 1015
_PREPARING_SECONDS = 20.0
_RETRY_AFTER = re.compile(rb"after (\d+) seconds")


class Caiso:
    """OASIS `SingleZip`: one report at a time."""

    iso = Iso.CAISO
    default_base = "https://oasis.caiso.com/oasisapi"
    requests_per_minute = 12.0
    datasets = (LMP_DAY_AHEAD, LOAD_ACTUAL)

    def requests(self, dataset: Dataset, chunk: Chunk) -> list[Request]:
        """One request, or one per ten named nodes."""
        return [
            Request(
                iso=self.iso,
                path="SingleZip",
                query=tuple(
                    {
                        "resultformat": "6",
                        "queryname": dataset.feed,
                        **dataset.parameters,
                        **locations,
                        **_gmt(chunk.window),
                    }.items()
                ),
            )
            for locations in _locations(dataset, chunk)
        ]

    def batches(self, dataset: Dataset, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """One batch per csv member, or per xml report of the older form."""
        from aurum_etl import decode

        found = False
        for member in decode.file_members(path, where, max_bytes):
            found = True
            if member.name.lower().endswith(".csv"):
                yield decode.csv(member.content, dataset.published, where)
            else:
                yield _report(member, dataset, where)
        if not found:
            raise SourceUnavailable(f"{where}: the zip has no member")

    def busy_seconds(self, answer: Answer) -> float | None:
        """The seconds that the html body of a 429 names."""
        with answer.body.open("rb") as body:
            named = _RETRY_AFTER.search(body.read(4096))
        return float(named.group(1)) if named else None


CAISO = Caiso()


def _locations(dataset: Dataset, chunk: Chunk) -> Iterator[dict[str, str]]:
    """The part of each request that says which locations."""
    names = chunk.selection.names
    if names:
        for first in range(0, len(names), dataset.named_limit):
            yield {"node": ",".join(names[first : first + dataset.named_limit])}
    elif dataset.named_limit:
        yield {"grp_type": chunk.selection.word}
    else:
        yield {}


def _gmt(window: Window) -> dict[str, str]:
    """The window as OASIS wants it: the offset is written, and is always zero."""
    return {
        "startdatetime": f"{window.start:%Y%m%dT%H:%M}-0000",
        "enddatetime": f"{window.end:%Y%m%dT%H:%M}-0000",
    }


def _report(member: decode.Member, dataset: Dataset, where: str) -> pa.RecordBatch:
    """Rows of an xml report, under the names that the csv form uses.

    Only answers asked for without `resultformat`, and files from before csv was served, come in this form.
    """
    import polars as pl

    from aurum_etl import decode

    if b"<" not in member.content[:64]:
        raise SourceChanged(f"{where}: {member.name} is neither csv nor xml")
    if b"<html" in member.content[:512].lower():
        raise SourceUnavailable(f"{where}: an html page instead of data: {_first_words(member.content)}")
    root = decode.xml(member.content, where)
    for error in _named(root, "ERROR"):
        raise _oasis_error(_text(error, "ERR_CODE"), _text(error, "ERR_DESC"), where)
    rows: dict[str, list[str | None]] = {name: [] for name in _XML_NAMES.values()}
    for item in _named(root, "REPORT_ITEM"):
        run = next((_text(header, "MKT_TYPE") for header in _named(item, "REPORT_HEADER")), "")
        for data in _named(item, "REPORT_DATA"):
            cells = {child.tag.rpartition("}")[2]: child.text for child in data}
            for xml_name, csv_name in _XML_NAMES.items():
                rows[csv_name].append(run if xml_name == "MKT_TYPE" else cells.get(xml_name))
    missing = [name for name in dataset.published if name not in rows]
    if missing:
        raise SourceChanged(f"{where}: {dataset.key} cannot be read from the xml form, which has no {missing[0]}")
    frame = pl.DataFrame(
        {name: rows[name] for name in dataset.published}, schema=dict.fromkeys(dataset.published, pl.String)
    )
    numbers = [name for name, kind in dataset.published.items() if kind is Published.NUMBER]
    for name in numbers:
        bad = frame.filter(pl.col(name).is_not_null() & pl.col(name).cast(pl.Float64, strict=False).is_null())
        if len(bad):
            raise SourceChanged(f'{where}: column {name} holds "{bad.item(0, name)}", which is no number')
    frame = frame.with_columns(
        pl.col(name).cast(pl.Float64 if name in numbers else pl.Categorical) for name in dataset.published
    )
    return decode.to_batch(decode.typed(frame, dataset.published, where), where)


_XML_NAMES = {
    "INTERVAL_START_GMT": "INTERVALSTARTTIME_GMT",
    "INTERVAL_END_GMT": "INTERVALENDTIME_GMT",
    "RESOURCE_NAME": "TAC_AREA_NAME",
    "DATA_ITEM": "XML_DATA_ITEM",
    "MKT_TYPE": "MARKET_RUN_ID",
    "VALUE": "MW",
}


def _oasis_error(code: str, description: str, where: str) -> AurumError:
    """The error that an OASIS code stands for, the code and OASIS's own words kept."""
    message = f"{where}: OASIS error {code}: {description}"
    if code == str(_NO_DATA):
        return NoData(message)
    if code.isdecimal() and int(code) in _TRY_LATER:
        return SourceUnavailable(message, wait_seconds=_PREPARING_SECONDS if int(code) == _BEING_PREPARED else None)
    return SourceChanged(message)


def _named(element: Element, name: str) -> Iterator[Element]:
    """Elements of that name, whatever their namespace: the prefix has changed over the years."""
    return (each for each in element.iter() if each.tag.rpartition("}")[2] == name)


def _text(element: Element, name: str) -> str:
    return next((each.text or "" for each in _named(element, name)), "").strip()


def _first_words(content: bytes) -> str:
    return " ".join(re.sub(rb"<[^>]*>", b" ", content).decode("utf-8", "replace").split())[:200]
