"""The record of what is done: receipts as appended facts in a DuckDB file, and everything else derived from them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.chunk import Chunk, Selection
from aurum_etl.errors import Overtaken
from aurum_etl.receipt import Content, Day, Finding, Origin, Outcome, Receipt, Severity, Written
from aurum_etl.redaction import redacted
from aurum_etl.sinks.base import Position
from aurum_etl.watermarks.file import StoreFile
from aurum_etl.window import Window, days_of, market_day, merge, subtract

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    import duckdb
    import pyarrow as pa

    from aurum_etl.sinks.base import Progress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """Where one selection of one dataset stands."""

    dataset: str
    selection: str
    origins: tuple[str, ...]
    watermark: datetime | None
    """End of the unbroken coverage from the first settled instant: a gap holds it back."""
    first: datetime | None
    last: datetime | None
    """First and last settled instant."""
    covered_days: int
    """Market days that are settled from midnight to midnight."""
    missing_days: tuple[date, ...]
    """Market days between the first and the last that are not, or not wholly."""
    rows: int
    rejected: int
    """Rows of the latest receipt of each chunk."""
    failed: tuple[tuple[str, str], ...]
    """Chunk key and error of each chunk whose latest receipt is a failure."""
    last_run: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one window stands, by all its receipts that count."""

    window: Window
    settled: Outcome | None
    """The newest outcome that settles it. `empty` only where nothing was ever loaded: what a store holds is not erased
    because the source has forgotten it. None where nothing settles it."""
    rows: int
    """Rows of the receipt that settles it."""
    failed: bool
    """Whether its newest receipt is a failure."""


class Store(StoreFile):
    """The receipts, in one file."""

    def append(self, receipt: Receipt, progress: Progress | None = None) -> None:
        """Add one receipt, in one transaction with that step of a drain, if there is one.

        Raises: Overtaken if the position on record is not where the step begins.
        """
        with self.transaction() as connection:
            insert(connection, [receipt])
            if progress is not None:
                self._step(connection, progress)

    def extend(self, receipts: Sequence[Receipt]) -> None:
        """Add many receipts in one transaction; none make no file."""
        if receipts:
            with self.transaction() as connection:
                insert(connection, receipts)

    def position(self, group: str, topic: str) -> Position:
        """How far the receipts of a drain reach; the beginning if there are none."""
        with self.reading() as connection:
            if connection is None:
                return Position()
            return self._position(connection, group, topic)

    def advance(self, progress: Progress) -> None:
        """Take a step that brings no receipt.

        Raises: Overtaken if the position on record is not where the step begins.
        """
        with self.transaction() as connection:
            self._step(connection, progress)

    def _position(self, connection: duckdb.DuckDBPyConnection, group: str, topic: str) -> Position:
        # Homes of before there were drains have no such table.
        if not connection.execute("select 1 from duckdb_tables() where table_name = 'positions'").fetchall():
            return Position()
        found = connection.execute(
            "select position from positions where consumer_group = ? and topic = ?", [group, topic]
        ).fetchall()
        return Position.parse(found[0][0] if found else None)

    def _step(self, connection: duckdb.DuckDBPyConnection, progress: Progress) -> None:
        found = self._position(connection, progress.group, progress.topic)
        if found != progress.before:
            raise Overtaken(f"{self.path}: another drain of {progress.group} has read {progress.topic} on to {found}")
        connection.execute(
            "create table if not exists positions (consumer_group varchar, topic varchar, position varchar, "
            "primary key (consumer_group, topic))"
        )
        connection.execute(
            "insert or replace into positions values (?, ?, ?)", [progress.group, progress.topic, str(progress.after)]
        )

    def receipts(
        self, *, dataset: str | None = None, within: Window | None = None, limit: int | None = None
    ) -> list[Receipt]:
        """Receipts, newest first: of all datasets or of one, and of that those that have an instant of a window."""
        terms: dict[str, object] = {"dataset = ?": dataset} if dataset is not None else {}
        if within is not None:
            terms |= {"window_start < ?": within.end, "window_end > ?": within.start}
        where = f"where {' and '.join(terms)}" if terms else ""
        top = "" if limit is None else f"limit {int(limit)}"
        with self.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                f"select {_WHOLE} from receipts {where} order by number desc {top}",  # noqa: S608 - words of ours
                list(terms.values()),
            ).fetchall()
        return [_receipt(row) for row in rows]

    def last_loads(
        self, dataset: str, selection: Selection, stores: Sequence[str], within: Window
    ) -> dict[str, Receipt]:
        """The last loads of chunks of exactly this selection, by chunk key: those that just these stores took, and after
        which nothing was tried with any of them, not even in vain. A receipt that does not tell what it was made from is
        none of them.
        """
        with self.reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute(
                f"""select {_WHOLE} from (
                        from receipts
                        where dataset = ? and selection = ? and window_start >= ? and window_end <= ?
                          and (outcome in ('failed', 'empty') or list_has_any(stores, ?))
                        qualify row_number() over (partition by chunk_key order by number desc) = 1)
                    where outcome not in ('failed', 'empty') and content <> '' and len(stores) = ?
                      and list_has_all(stores, ?)""",  # noqa: S608 - words of ours
                [dataset, str(selection), within.start, within.end, list(stores), len(stores), list(stores)],
            ).fetchall()
        return {receipt.chunk.key: receipt for receipt in map(_receipt, rows)}

    def settled(
        self,
        dataset: str,
        selection: Selection,
        stores: Sequence[str],
        *,
        simulated: bool,
        lower: Sequence[str] = (),
    ) -> list[Window]:
        """Windows that need no more work, merged.

        A chunk counts if its selection covers this one, and each of `stores` took its rows, or the source said that
        there are none. Without `simulated`, chunks of the simulator do not count: invented data never passes for done.
        Neither do those of `lower` revisions, where higher ones are wanted.
        """
        with self.reading() as connection:
            if connection is None:
                return []
            covering = _covering(connection, dataset, selection)
            rows = connection.execute(
                f"""with settled as (
                        select dataset, '' as selection, window_start, window_end from receipts
                        where dataset = ? and list_contains(?, selection) and (? or origin <> ?)
                          and not list_contains(?, revision)
                          and (outcome = ? or outcome <> ? and list_has_all(stores, ?))),
                    {_ISLANDS}
                    select epoch_us(window_start), epoch_us(window_end) from islands order by all""",  # noqa: S608 - ours
                [
                    dataset,
                    covering,
                    simulated,
                    Origin.SIMULATOR.value,
                    list(lower),
                    Outcome.EMPTY.value,
                    Outcome.FAILED.value,
                    list(stores),
                ],
            ).fetchall()
        return [window(start, end) for start, end in rows]

    def standings(
        self,
        dataset: str,
        selection: Selection,
        stores: Sequence[str],
        *,
        simulated: bool,
        lower: Sequence[str] = (),
    ) -> list[Standing]:
        """Every window that is settled, or whose newest receipt is a failure.

        Those that were loaded last come last, those of which nothing was ever loaded first. What settles a window,
        `settled` says.
        """
        with self.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                """with counted as (
                        select window_start, window_end, number, outcome, rows_accepted,
                               outcome = 'empty' or outcome <> 'failed' and list_has_all(stores, ?) as settles,
                               settles and outcome <> 'empty' as loads
                        from receipts
                        where dataset = ? and list_contains(?, selection) and (? or origin <> ?)
                          and not list_contains(?, revision)),
                    standing as (
                        select window_start, window_end, max(number) filter (where loads) as loaded,
                               max_by(outcome, number) filter (where loads) as outcome,
                               max_by(rows_accepted, number) filter (where loads) as rows,
                               bool_or(settles) as settled, max_by(outcome, number) = 'failed' as failed
                        from counted group by window_start, window_end)
                    select epoch_us(window_start), epoch_us(window_end),
                           case when settled then coalesce(outcome, 'empty') end, coalesce(rows, 0), failed
                    from standing where settled or failed order by loaded nulls first, window_start, window_end""",
                [
                    list(stores),
                    dataset,
                    _covering(connection, dataset, selection),
                    simulated,
                    Origin.SIMULATOR.value,
                    list(lower),
                ],
            ).fetchall()
        return [
            Standing(window(start, end), None if outcome is None else Outcome(outcome), rows, failed)
            for start, end, outcome, rows, failed in rows
        ]

    def published(self, dataset: str) -> list[Window]:
        """Windows of which a store holds data that an ISO published, merged: what a simulation may not replace.

        A chunk that failed counts too, if one of its stores had committed before another refused.
        """
        with self.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                """select distinct epoch_us(window_start), epoch_us(window_end) from receipts
                   where dataset = ? and origin in (?, ?) and rows_accepted > 0 and len(stores) > 0""",
                [dataset, Origin.LIVE.value, Origin.FILES.value],
            ).fetchall()
        return merge(window(start, end) for start, end in rows)

    def of_revisions(self, dataset: str, marks: Sequence[str]) -> dict[Selection, list[Window]]:
        """Windows of which a store holds rows of one of those revisions, merged, by selection."""
        with self.reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute(
                """select distinct selection_word, selection_names, epoch_us(window_start), epoch_us(window_end)
                   from receipts
                   where dataset = ? and list_contains(?, revision) and rows_accepted > 0 and len(stores) > 0""",
                [dataset, list(marks)],
            ).fetchall()
        found: defaultdict[Selection, list[Window]] = defaultdict(list)
        for word, names, start, end in rows:
            found[Selection(word, tuple(names))].append(window(start, end))
        return {selection: merge(windows) for selection, windows in found.items()}

    def failed(self, dataset: str, selection: Selection) -> set[str]:
        """Keys of the chunks of exactly this selection whose last attempt failed."""
        with self.reading() as connection:
            if connection is None:
                return set()
            rows = connection.execute(
                """select chunk_key from receipts where dataset = ? and selection = ?
                   group by chunk_key having max_by(outcome, number) = ?""",
                [dataset, str(selection), Outcome.FAILED.value],
            ).fetchall()
        return {key for (key,) in rows}

    def bytes_per_row(self, dataset: str) -> float | None:
        """What a row of the dataset was last received as; None where no receipt tells."""
        with self.reading() as connection:
            if connection is None:
                return None
            ((size, rows),) = connection.execute(
                """select sum(bytes), sum(rows_accepted) from
                   (select bytes, rows_accepted from receipts where dataset = ? and bytes > 0 and rows_accepted > 0
                    order by number desc limit 100)""",
                [dataset],
            ).fetchall()
        return float(size / rows) if rows else None

    def status(self, zone: Callable[[str], str], touched: Container[str] = ()) -> list[DatasetStatus]:
        """Where every selection of every dataset stands; `zone` tells the market's time zone of a dataset.

        Of the datasets of `touched`, whose sources serve what is newest and no days, a day counts with anything of it.
        """
        with self.reading() as connection:
            if connection is None:
                return []
            groups = connection.execute(
                """with latest as (
                        from receipts qualify row_number() over (partition by dataset, chunk_key order by number desc) = 1),
                    counted as (
                        select dataset, selection, sum(rows_committed) as rows, sum(rows_rejected) as rejected,
                               coalesce(list([chunk_key, error] order by window_start, chunk_key)
                                        filter (where outcome = ?), []) as failed
                        from latest group by all),
                    runs as (
                        select dataset, selection, epoch_us(max(finished_at)) as last_run,
                               list(distinct origin order by origin) as origins
                        from receipts group by all)
                   select dataset, selection, last_run, origins, rows, rejected, failed
                   from runs join counted using (dataset, selection) order by dataset, selection""",
                [Outcome.FAILED.value],
            ).fetchall()
            islands = connection.execute(
                f"""with {_SETTLED}, {_ISLANDS}
                    select dataset, selection, epoch_us(window_start), epoch_us(window_end) from islands order by all"""  # noqa: S608 - ours
            ).fetchall()
        windows: defaultdict[tuple[str, str], list[Window]] = defaultdict(list)
        for dataset, selection, start, end in islands:
            windows[dataset, selection].append(window(start, end))
        for (dataset, selection), found in windows.items():
            if dataset in touched:
                days = (market_day(day, zone(dataset)) for each in found for day in days_of(each, zone(dataset)))
                windows[dataset, selection] = merge(days)
        return [
            _status(
                dataset,
                selection,
                last_run,
                origins,
                rows,
                rejected,
                failed,
                windows[dataset, selection],
                zone(dataset),
            )
            for dataset, selection, last_run, origins, rows, rejected, failed in groups
        ]

    def tables(self) -> dict[str, pa.Table]:
        """The receipts and what follows from them, for `inspect`: flat tables under the names shown there."""
        with self.transaction(create=False, write=False) as connection:
            return {name: connection.sql(sql).to_arrow_table() for name, sql in _VIEWS.items()}


_WHOLE = """dataset, selection_word, selection_names, epoch_us(window_start), epoch_us(window_end), origin, outcome,
    epoch_us(started_at), epoch_us(finished_at), rows_read, rows_accepted, rows_rejected, attempts, seconds, written, findings,
    error, revision, bytes, days, job, content, epoch_us(unchanged_since)"""
"""A receipt's columns, as `_receipt` takes them."""

_SETTLED = """settled as (
    select dataset, selection, window_start, window_end from receipts
    where outcome <> 'failed' and (outcome = 'empty' or len(stores) > 0))"""
"""What counts whichever stores a spec names."""

# Windows that touch or overlap are one island: a new one begins where no earlier window reaches.
_ISLANDS = """
    reached as (
        select *, coalesce(max(window_end) over (partition by dataset, selection order by window_start, window_end
                                                 rows between unbounded preceding and 1 preceding) >= window_start,
                           false) as joined
        from settled),
    numbered as (
        select *, count(*) filter (where not joined)
                  over (partition by dataset, selection order by window_start, window_end) as island
        from reached),
    islands as (
        select dataset, selection, island, min(window_start) as window_start, max(window_end) as window_end
        from numbered group by dataset, selection, island)"""

_VIEWS = {
    "receipts": """
        select number, dataset, selection, chunk_key, window_start, window_end, origin, outcome, rows_read, rows_accepted,
               rows_rejected, rows_committed, attempts, started_at, finished_at, seconds, error, revision, bytes, job,
               unchanged_since
        from receipts order by number""",
    "written": """
        select number, chunk_key, each->>'$[0]' as sink, each->>'$[1]' as table_name,
               cast(each->>'$[2]' as bigint) as rows, each->>'$[3]' as version
        from (select number, chunk_key, unnest(cast(written as json[])) as each from receipts) order by number""",
    "findings": """
        select number, chunk_key, each->>'$[0]' as "check", each->>'$[1]' as severity,
               cast(each->>'$[2]' as bigint) as count, each->>'$[3]' as detail
        from (select number, chunk_key, unnest(cast(findings as json[])) as each from receipts) order by number""",
    # The first island's end is the watermark.
    "watermarks": f"""
        with {_SETTLED}, {_ISLANDS}
        select dataset, selection, window_start as first, window_end as watermark
        from islands where island = 1 order by all""",  # noqa: S608 - words of ours
}


def _covering(connection: duckdb.DuckDBPyConnection, dataset: str, selection: Selection) -> list[str]:
    """The selections on record that cover this one, as text."""
    # One receipt tells the names of each selection; reading the names of all would take seconds.
    found = connection.execute(
        """select selection, selection_word, selection_names from receipts
           where number in (select min(number) from receipts where dataset = ? group by selection)""",
        [dataset],
    ).fetchall()
    return [text for text, word, names in found if Selection(word, tuple(names)).covers(selection)]


def insert(connection: duckdb.DuckDBPyConnection, receipts: Sequence[Receipt]) -> None:
    """Append receipts within a transaction, in their order."""
    import pyarrow as pa

    if not receipts:
        return
    # All at once: a statement per receipt would take two milliseconds each, and a record is rebuilt of ten thousand.
    columns = [pa.array(values) for values in zip(*map(_row, receipts), strict=True)]
    coming = pa.table(
        [pa.array(range(1, len(receipts) + 1)), *columns], [f"c{each}" for each in range(len(columns) + 1)]
    )
    connection.register("coming", coming)
    connection.execute(
        "insert into receipts select (select coalesce(max(number), 0) from receipts) + c0, * exclude (c0) "
        "from coming order by c0"
    )
    connection.unregister("coming")


def _row(receipt: Receipt) -> tuple[object, ...]:
    return (
        receipt.chunk.dataset,
        str(receipt.chunk.selection),
        receipt.chunk.selection.word,
        list(receipt.chunk.selection.names),
        receipt.chunk.window.start,
        receipt.chunk.window.end,
        receipt.chunk.key,
        receipt.origin.value,
        receipt.outcome.value,
        receipt.started_at,
        receipt.finished_at,
        receipt.rows_read,
        receipt.rows_accepted,
        receipt.rows_rejected,
        receipt.rows_committed,
        receipt.attempts,
        list(receipt.stores),
        json.dumps(dict(receipt.seconds)),
        json.dumps([[each.sink, each.table, each.rows, each.version, each.durable] for each in receipt.written]),
        json.dumps([[each.check, each.severity, each.count, redacted(each.detail)] for each in receipt.findings]),
        receipt.error and redacted(receipt.error),
        receipt.revision,
        receipt.bytes,
        json.dumps([[each.day.isoformat(), each.rows, each.checksum] for each in receipt.days]),
        receipt.job,
        "" if receipt.content is None else json.dumps(asdict(receipt.content)),
        receipt.unchanged_since,
    )


def _status(
    dataset: str,
    selection: str,
    last_run: int,
    origins: list[str],
    rows: int,
    rejected: int,
    failed: list[list[str]],
    settled: list[Window],
    zone: str,
) -> DatasetStatus:
    whole, missing = _days(settled, zone)
    return DatasetStatus(
        dataset=dataset,
        selection=selection,
        origins=tuple(origins),
        watermark=settled[0].end if settled else None,
        first=settled[0].start if settled else None,
        last=settled[-1].end if settled else None,
        covered_days=whole,
        missing_days=missing,
        rows=rows,
        rejected=rejected,
        failed=tuple((key, error) for key, error in failed),
        last_run=instant(last_run),
    )


def _days(settled: list[Window], zone: str) -> tuple[int, tuple[date, ...]]:
    """How many market days are settled as a whole, and which between the first and the last are not."""
    if not settled:
        return 0, ()
    local = ZoneInfo(zone)
    span = Window(settled[0].start, settled[-1].end)
    first, last = span.start.astimezone(local).date(), list(days_of(span, zone))[-1]
    whole_span = Window(market_day(first, zone).start, market_day(last, zone).end)
    missing = sorted({day for hole in subtract([whole_span], settled) for day in days_of(hole, zone)})
    return (last - first).days + 1 - len(missing), tuple(missing)


def instant(microseconds: object) -> datetime:
    """Instants come out of DuckDB as integers: as times they would need a package that is not there."""
    return _EPOCH + timedelta(microseconds=int(str(microseconds)))


def window(start: object, end: object) -> Window:
    """The window between two such instants."""
    return Window(instant(start), instant(end))


def _receipt(row: tuple[object, ...]) -> Receipt:
    dataset, word, names, start, end, origin, outcome, started, finished, read, accepted, rejected, attempts, *rest = (
        row
    )
    seconds, written, findings, error, revision, size, days, job, content, unchanged_since = rest
    assert isinstance(names, list)  # noqa: S101 - the column is a list
    return Receipt(
        chunk=Chunk(str(dataset), Selection(str(word), tuple(names)), window(start, end)),
        origin=Origin(str(origin)),
        outcome=Outcome(str(outcome)),
        started_at=instant(started),
        finished_at=instant(finished),
        rows_read=int(str(read)),
        rows_accepted=int(str(accepted)),
        rows_rejected=int(str(rejected)),
        attempts=int(str(attempts)),
        seconds=json.loads(str(seconds)),
        written=tuple(Written(*each) for each in json.loads(str(written))),
        findings=tuple(
            Finding(check, Severity(severity), count, detail)
            for check, severity, count, detail in json.loads(str(findings))
        ),
        error=None if error is None else str(error),
        revision=str(revision),
        bytes=int(str(size)),
        days=tuple(Day(date.fromisoformat(day), *counted) for day, *counted in json.loads(str(days))),
        job=str(job),
        content=_content(str(content)),
        unchanged_since=None if unchanged_since is None else instant(unchanged_since),
    )


def _content(text: str) -> Content | None:
    if not text:
        return None
    found = json.loads(text)
    return Content(found["program"], tuple(found["answers"]), found["rows"])
