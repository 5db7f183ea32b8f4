"""The forms in which ERCOT publishes: rows of the public API, documents of the archive and of MIS, and a dashboard."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aurum_etl.clock import ByInstant
from aurum_etl.dataset import Published, Report
from aurum_etl.errors import AccessDenied, AurumError, NoData, SourceChanged, SourceUnavailable, TooLarge
from aurum_etl.market import Iso
from aurum_etl.redaction import start_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from aurum_etl.decode import Member

ZONE = Iso.ERCOT.timezone
FLAGGED = ("Y", "true")
"""What csv and json have in the column that marks one of two equal hours."""
FLAG_MEANS: Mapping[str, tuple[str, ...]] = {"flag_means": ("second", "first")}
"""Which of the two it marks is documented nowhere."""

ROWS, DOCUMENTS, POINTS, FUEL_MIX = "rows", "documents", "points", "fuel mix"
FORM, PRODUCT, TYPE_ID, MEMBER, DATED, MISLABELED = "form", "product", "type id", "member", "dated", "mislabeled"
"""Parameters of a report: its form; the product's EMIL id, and its number among the report types; which member of a zip is
meant; whether its rows are nothing without the instant of their posting; whether the repeated hour has the label of the
hour after it."""
LISTED, FIRST, LAST, LABEL_FIRST, LABEL_LAST, NEWEST = (
    "listed",
    "first",
    "last",
    "label first",
    "label last",
    "newest",
)
"""The same, where a list of documents was asked for: that it was, and which of them are wanted, by the span of their postings
and that of the stamps in their names, both by the clock on the wall, and by whether the newest alone counts."""
IDS, CONTAINER = "ids", "container"
"""The same, of one answer: the documents that must be in it, or the name of the one that it is."""

POSTED = "posted"
"""The column of documents that says when they were posted: their names do, and no csv has it."""
POSTED_AT = ByInstant(POSTED)

_Parts = list[tuple[tuple[str, ...], int]]
"""Of documents that are read as one: the names that may say when each was posted, and how many rows it has."""
TOO_MUCH = re.compile("(?i)too (?:large|long|many|much)|exceed|(?:longer|more) than")
"""What a refusal says that is about how much was asked for."""
_JOINED_BYTES = 32 * 2**20
_BLANK_LINE = re.compile(rb"(?m)^\r?\n")
_POSTED_NAME = re.compile(r"(?:^|[/.])cdr\.(\d{8})\.\d{16}\.(\d{8})\.(\d{6})")
_LABEL = re.compile(r"_(\d{8})_(\d{4,6})(?!\d)")
_TOTALS = {name: re.compile(rb'"%b"\s*:\s*(\d+)' % name) for name in (b"totalRecords", b"totalPages", b"currentPage")}


@dataclass(frozen=True, slots=True)
class Document:
    """One entry of a list of documents."""

    id: str
    name: str
    posted: datetime
    """By the clock on the wall; the offsets that MIS writes are wrong around the change of the clock."""


def documents_of(
    name: str, product: str, type_id: int, published: Mapping[str, Published], **how: str
) -> dict[str, Any]:
    """What the reports of documents have in common."""
    return {
        "name": name,
        "parameters": {FORM: DOCUMENTS, PRODUCT: product, TYPE_ID: str(type_id), **how},
        "published": {POSTED: Published.UTC, **published},
        "published_at": POSTED_AT,
    }


def rows(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A page of the public API: arrays whose places `fields` names."""
    import polars as pl

    from aurum_etl import decode

    content = _content(path, where, max_bytes)
    shape = {
        "report": pl.Struct({"reportEMIL": pl.String}),
        "fields": pl.List(pl.Struct({"name": pl.String})),
        "data": pl.List(pl.List(pl.String)),
    }
    try:
        page = pl.read_json(io.BytesIO(content), schema=shape)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise told(decode.json(content, where), "rows with the columns of fields", where) from error
    product = page.get_column("report").struct.field("reportEMIL").drop_nulls()
    if len(product) and product[0].upper() != report.parameters[PRODUCT]:
        raise SourceChanged(f"{where}: an answer of {product[0]}, and {report.parameters[PRODUCT]} is expected")
    arrays = page.get_column("data").explode().drop_nulls()
    names = page.get_column("fields").explode().struct.unnest().get_column("name").to_list()
    if arrays.is_empty():
        total = said(content, b"totalRecords")
        if total == 0:
            raise NoData(f"{where}: ERCOT has no rows for it")
        if total is None:
            raise told(decode.json(content, where), "fields and data", where)
        raise SourceUnavailable(f"{where}: {total:,} rows are promised, and the page has none")
    lengths = arrays.list.len().unique().to_list()
    if lengths != [len(names)] or None in names:
        raise SourceChanged(f"{where}: rows of {lengths} cells do not fit the columns {', '.join(map(str, names))}")
    yield decode.records(arrays.list.to_struct(fields=names).struct.unnest(), report, where)


def said(content: bytes, name: bytes) -> int | None:
    """A number that an answer says of itself."""
    found = _TOTALS[name].search(content)
    return int(found[1]) if found else None


def documents(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The csv files of one document, or of many in one zip; a list of documents has no rows of its own."""
    from aurum_etl import decode

    if _is_list(report, path, where, max_bytes):
        return
    came = False
    for content, parts in _joined(_members(report, path, where, max_bytes)):
        batch = decode.csv(content, _unposted(report), where)
        if not parts:
            continue
        came = True
        yield _with_posting(batch, report, parts, where)
    if came:
        return
    with path.open("rb") as file:
        if not file.read(2).startswith(b"PK"):
            raise SourceUnavailable(f"{where}: the document has a header and no rows: cut short?")
    raise NoData(f"{where}: the document has a header and no rows")


def _joined(members: Iterator[tuple[Member, str]]) -> Iterator[tuple[bytes, _Parts]]:
    """Documents of one header after the other as one csv, with the names and the number of rows of each: a day of the
    dispatch is hundreds of them, and reading one has a price of its own. One without rows comes alone, with no names.
    """
    from aurum_etl import decode

    pieces: list[bytes] = []
    parts: _Parts = []
    first = b""
    for member, container in members:
        content = member.content.removeprefix(decode.BYTE_ORDER_MARK).strip()
        if b"\n\n" in content or b"\n\r\n" in content:
            # Lines are counted here, and these are no rows.
            content = _BLANK_LINE.sub(b"", content)
        header, _, body = content.partition(b"\n")
        if not body:
            yield header, []
            continue
        if pieces and (header.rstrip() != first or sum(map(len, pieces)) + len(body) > _JOINED_BYTES):
            yield b"\n".join([first, *pieces]), parts
            pieces, parts = [], []
        first = header.rstrip()
        pieces.append(body)
        parts.append(((member.name, container), body.count(b"\n") + 1))
    if pieces:
        yield b"\n".join([first, *pieces]), parts


def points(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The settlement points of a list that has a row for every electrical bus."""
    import polars as pl

    from aurum_etl import decode

    if _is_list(report, path, where, max_bytes):
        return
    node, hub, zone = "RESOURCE_NODE", "HUB", "SETTLEMENT_LOAD_ZONE"
    buses = replace(report, published={node: Published.TEXT, hub: Published.TEXT, zone: Published.WORD})
    for member, _ in _members(report, path, where, max_bytes):
        batch = decode.csv(member.content, buses, where)
        read = pl.DataFrame(batch).cast(pl.String)
        nothing = pl.lit(None, pl.String)
        found = [
            read.select(
                pl.col(kind).alias("SETTLEMENT_POINT"),
                pl.lit(kind).alias("KIND"),
                (pl.col(zone) if kind == node else nothing).alias(zone),
                (pl.col(hub) if kind == node else nothing).alias(hub),
            )
            for kind in (node, hub, zone)
        ]
        # A point has as many rows as it has buses.
        distinct = pl.concat(found).drop_nulls("SETTLEMENT_POINT").unique(maintain_order=True)
        yield decode.to_batch(distinct.cast(pl.Categorical), where, decode.drift_of(batch))


def fuel_mix(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The dashboard of generation by fuel: days, in them stamps, in them fuels."""
    import polars as pl

    from aurum_etl import decode

    document = decode.json(_content(path, where, max_bytes), where)
    days = document.get("data") if isinstance(document, dict) else None
    if not isinstance(days, dict):
        raise told(document, "data", where)
    try:
        cells = [
            (stamp, fuel, cell["gen"])
            for stamps in days.values()
            for stamp, mix in stamps.items()
            for fuel, cell in mix.items()
        ]
        stamped, fuels, generated = zip(*cells, strict=True) if cells else ((), (), ())
        frame = pl.DataFrame(
            [
                pl.Series("timestamp", stamped, pl.String),
                pl.Series("fuel", fuels, pl.String),
                pl.Series("gen", generated, pl.Float64),
            ]
        )
    except (AttributeError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
        raise SourceChanged(f"{where}: expected days, stamps, fuels and gen inside each other: {error!r}") from error
    if frame.is_empty():
        raise SourceUnavailable(f"{where}: the dashboard shows no generation")
    yield decode.records(frame, report, where)


def listed(content: bytes, where: str) -> list[Document]:
    """The documents of a list of the archive or of MIS.

    Raises: SourceChanged if it is none; others as `told`.
    """
    from aurum_etl import decode

    document = decode.json(content, where)
    found = document if isinstance(document, dict) else {}
    try:
        if "archives" in found:
            return [
                Document(str(each["docId"]), str(each["friendlyName"]), _wall(each["postDatetime"]))
                for each in _several(found["archives"])
            ]
        if "ListDocsByRptTypeRes" in found:
            inside = found["ListDocsByRptTypeRes"] or {}
            return [
                Document(str(each["DocID"]), str(each["ConstructedName"]), _wall(each["PublishDate"]))
                for entry in _several(inside.get("DocumentList"))
                for each in _several(entry["Document"])
            ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceChanged(f"{where}: an entry of the list of documents is not as it was: {error!r}") from error
    if said(content, b"totalRecords") == 0:
        return []
    raise told(document, "archives or ListDocsByRptTypeRes", where)


def wanted(found: list[Document], report: Report) -> list[Document]:
    """Those of the documents that the report is after, oldest first; of twins the csv alone."""
    asked = report.parameters
    first, last = (
        datetime.fromisoformat(asked.get(FIRST, "0001-01-01")),
        datetime.fromisoformat(asked.get(LAST, "9999-12-31")),
    )
    chosen = sorted(
        (
            each
            for each in found
            if "_xml" not in each.name.lower() and first <= each.posted <= last and _is_labeled(each.name, asked)
        ),
        key=lambda each: each.posted,
    )
    return chosen[-1:] if NEWEST in asked else chosen


def told(document: object, expected: str, where: str) -> AurumError:
    """What an answer says that is not what was asked for: the gateway's words for its statuses, whatever the status of the
    answer.
    """
    found = document if isinstance(document, dict) else {}
    status = next((int(found[name]) for name in ("statusCode", "status", "code") if _is_number(found.get(name))), None)
    words = start_of(" ".join(str(found.get("message") or found.get("error") or "").split()), 300)
    if status in (401, 403):
        return AccessDenied(f"{where}: {status}: {words}")
    if status is not None and (status == 429 or status >= 500):
        return SourceUnavailable(f"{where}: {status}: {words}")
    if status == 413 or (status == 400 and TOO_MUCH.search(words)):
        return TooLarge(f"{where}: {status}: {words}")
    if status is not None and words:
        return SourceChanged(f"{where}: {status}: {words}")
    seen = ", ".join(map(str, found)) if found else repr(document)
    return SourceChanged(f"{where}: expected {expected}; found {start_of(seen, 300)}")


def _members(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[tuple[Member, str]]:
    """The csv files of an answer, each with the name of what it was packed in: the zip of its document, or the file.

    Raises: SourceUnavailable if there is none, or if a document is missing that was asked for.
    """
    from aurum_etl import decode

    missing = set(filter(None, report.parameters.get(IDS, "").split(",")))
    pattern = re.compile(report.parameters.get(MEMBER, ""))
    left, found = max_bytes, False
    with path.open("rb") as file:
        start = file.read(1024)
    if not start.strip():
        raise SourceUnavailable(f"{where}: an empty body instead of data")
    decode.demand_no_html(start, where)
    packed = start.startswith(b"PK")
    for outer in decode.file_members(path, where, max_bytes):
        # The order of the documents inside is not that of the request.
        missing.discard(outer.name.rpartition("/")[2].partition(".")[0])
        for member in decode.inner_members(outer, where, left):
            left -= len(member.content)
            if packed and not pattern.search(member.name):
                continue
            if not member.content.strip():
                raise SourceUnavailable(f"{where}: {member.name} is empty")
            found = True
            yield member, report.parameters.get(CONTAINER) or (where if member is outer else outer.name)
    if missing:
        raise SourceUnavailable(
            f"{where}: documents {', '.join(sorted(missing)[:10])} were asked for, and did not come"
        )
    if not found:
        raise SourceUnavailable(f"{where}: the zip has no such file as {pattern.pattern or 'a csv'}")


def _with_posting(batch: pa.RecordBatch, report: Report, parts: _Parts, where: str) -> pa.RecordBatch:
    """The rows of documents, each with the instant of its posting."""
    import polars as pl

    from aurum_etl import decode

    frame = pl.DataFrame(batch)
    if MISLABELED in report.parameters:
        frame = _relabeled(frame)
    postings = pl.DataFrame(
        [(_posted(report, names, where), rows) for names, rows in parts],
        schema={POSTED: pl.Datetime("us", "UTC"), "rows": pl.UInt32},
        orient="row",
    )
    posted = postings.select(pl.col(POSTED).repeat_by("rows").explode())
    if len(posted) != len(frame):
        raise SourceChanged(f"{where}: {len(posted):,} lines are {len(frame):,} rows: a line breaks inside of quotes")
    return decode.to_batch(frame.hstack(posted), where, decode.drift_of(batch))


def _relabeled(frame: pl.DataFrame) -> pl.DataFrame:
    """With the hour that ends at 02:00 where the flag says that it is there again, and the label is 03:00."""
    import polars as pl

    hour = pl.col("HourEnding").cast(pl.String).str.strip_chars()
    is_mislabeled = pl.col("DSTFlag").cast(pl.String).is_in(list(FLAGGED)) & hour.is_in(["3:00", "03:00"])
    return frame.with_columns(
        pl.when(is_mislabeled).then(pl.lit("2:00")).otherwise(hour).cast(pl.Categorical).alias("HourEnding")
    )


def _posted(report: Report, names: tuple[str, ...], where: str) -> datetime | None:
    """When the document was posted, as the first of the names says that says it.

    Raises: SourceChanged if they say that it is a document of another report, or nothing where they must.
    """
    for name in names:
        stamp = _POSTED_NAME.search(name)
        if stamp is None:
            continue
        if int(stamp[1]) != int(report.parameters[TYPE_ID]):
            raise SourceChanged(
                f"{where}: {name} is of report type {int(stamp[1])}, and {report.name} is {report.parameters[TYPE_ID]}"
            )
        # Names of what was posted in the repeated hour say so.
        again = any("xhr" in each.lower() for each in names)
        local = datetime.fromisoformat(f"{stamp[2]}T{stamp[3]}").replace(tzinfo=ZoneInfo(ZONE), fold=int(again))
        return local.astimezone(UTC)
    if DATED in report.parameters:
        raise SourceChanged(
            f"{where}: nothing but its name says when a {report.name} was posted, and it is not of the form "
            f"cdr.{int(report.parameters[TYPE_ID]):08d}.0000000000000000.20260714.123000.{report.name}.csv"
        )
    return None


def _unposted(report: Report) -> Report:
    """The report as its csv is."""
    return replace(report, published={name: kind for name, kind in report.published.items() if name != POSTED})


def _is_labeled(name: str, asked: Mapping[str, str]) -> bool:
    """Whether the stamp in a document's name, if it has one, is of the intervals that are asked for."""
    label = _LABEL.search(name)
    if LABEL_FIRST not in asked or label is None:
        return True
    try:
        stamp = datetime.fromisoformat(f"{label[1]}T{label[2][:4]}")
    except ValueError:
        return True
    return datetime.fromisoformat(asked[LABEL_FIRST]) <= stamp <= datetime.fromisoformat(asked[LABEL_LAST])


def _wall(text: str) -> datetime:
    """The clock on the wall of a stamp, without the offset that may follow it."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _several(entry: Any) -> list[Any]:
    """A list, of which one entry may stand for itself, and none for nothing."""
    return entry if isinstance(entry, list) else [entry] if entry else []


def _is_list(report: Report, path: Path, where: str, max_bytes: int) -> bool:
    """Whether it is the list of documents that was asked for: it leads to those that hold rows, and holds none itself.

    Raises: NoData if none of the documents is wanted; SourceChanged if nobody asked for a list.
    """
    from aurum_etl import decode

    with path.open("rb") as file:
        start = file.read(64).removeprefix(decode.BYTE_ORDER_MARK).lstrip()
    if start[:1] not in (b"{", b"["):
        return False
    content = _content(path, where, max_bytes)
    found = listed(content, where)
    if not found and b'"ListDocsByRptTypeRes"' in content:
        raise SourceUnavailable(f"{where}: MIS lists no document at all")
    if LISTED not in report.parameters:
        raise SourceChanged(f"{where}: a list of {len(found)} documents, and not one of them")
    if not wanted(found, report):
        raise NoData(f"{where}: no such document is listed")
    return True


def _content(path: Path, where: str, max_bytes: int) -> bytes:
    from aurum_etl import decode

    content = decode.whole(path, where, max_bytes)
    decode.demand_no_html(content, where)
    return content


def _is_number(value: object) -> bool:
    return str(value).isdecimal()
