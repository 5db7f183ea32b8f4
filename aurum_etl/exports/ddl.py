"""The contract as tables and views of TimescaleDB, or of PostgreSQL without the extension.

Of a contract's columns a fact table holds what varies; places and lineage are numbers that lead to two small tables, and
a view under the contract's name shows every column. What is searched for is stored and not computed, since only a stored
column lets the database skip what does not match: hence `series_id` and `iso_location_id` are both there.

Every statement of the extension stands in this module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurum_etl.contracts import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.contracts import Column, Contract

PLACE_COLUMNS = ("iso_code", "iso_location_id", "iso_location_name", "iso_location_type", "iso_timezone")
_PLACED = frozenset({"iso_location_name", "iso_location_type", "iso_timezone"})
_LINEAGE = frozenset({"chunk_key", "ingested_at"})
_TYPES = {
    ColumnType.STRING: "text",
    ColumnType.INT16: "smallint",
    ColumnType.DOUBLE: "double precision",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DATE: "date",
}

SERVER = (
    "select current_setting('server_version_num')::int, current_setting('transaction_read_only'), "
    "(select count(*) from pg_extension where extname = 'timescaledb'), "
    "(select count(*) from pg_settings where name = 'timescaledb.enable_direct_compress_copy')"
)
"""Version, whether it only reads, whether the extension is there, and whether it compresses what is copied."""
UNPACK_ANY_NUMBER = "set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
"""Before some rows of compressed batches are deleted: there is a limit otherwise."""
COMPRESS_COPIES = "set local timescaledb.enable_direct_compress_copy = on"

SHARED_TABLES = (
    """create table if not exists iso_place (
        number integer generated always as identity primary key,
        iso_code text not null,
        iso_location_id text not null,
        iso_location_name text,
        iso_location_type text not null,
        iso_timezone text not null,
        unique nulls not distinct (iso_code, iso_location_id, iso_location_name, iso_location_type, iso_timezone))""",
    """create table if not exists iso_chunk (
        number integer generated always as identity primary key,
        chunk_key text not null unique,
        kind text not null,
        attempt text not null,
        ingested_at timestamptz,
        rows bigint not null,
        contract_version text not null,
        committed_at timestamptz not null,
        content jsonb)""",
    # What a ledger of before it had no such column lacks.
    "alter table iso_chunk add column if not exists content jsonb",
    """create table if not exists iso_position (
        consumer_group text not null,
        topic text not null,
        position text not null,
        primary key (consumer_group, topic))""",
    "comment on table iso_place is 'places as published; one whose name changes is another row'",
    "comment on table iso_chunk is 'the last commit of each chunk, written in the transaction of its rows'",
    "comment on column iso_chunk.content is 'which locations and window, where the rows came from, their days and checksums'",
    "comment on table iso_position is 'how far a drain has read, written in the transaction of its rows'",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the spec says about tables, and what the server can do."""

    hypertables: bool
    """Whether the TimescaleDB extension is there; without it tables are partitioned by range."""
    chunk_days: int
    compress_after_days: int | None
    retain_days: int | None
    aggregates: tuple[str, ...]

    def comment(self, contract: Contract) -> str:
        """Kept with the fact table: what it was made from, so that making it again changes nothing."""
        made_from = {
            "hypertable": self.hypertables,
            "chunk_days": self.chunk_days,
            "compress_after_days": self.compress_after_days,
            "retain_days": self.retain_days,
            "aggregates": self.aggregates,
            "columns": [f"{column.name} {column.type}" for column in contract.columns],
        }
        return f"what varies of {view_name(contract)}; aurum_etl {json.dumps(made_from)}"


def view_name(contract: Contract) -> str:
    """What readers ask: `iso_lmp`."""
    return f"iso_{contract.kind}"


def fact_name(contract: Contract) -> str:
    """Where the rows are: `iso_lmp_fact`."""
    return f"iso_{contract.kind}_fact"


def constants(contract: Contract) -> dict[str, str | None]:
    """Columns that hold one word in all rows of a kind: the view has them, and no row does."""
    fixed: dict[str, str | None] = {
        "iso_product": contract.product.value,
        "iso_unit": contract.unit.value,
        "iso_subject": contract.subject.value,
        "iso_curve_role": contract.curve_role.value,
    }
    fixed = fixed if contract.has_market else {**fixed, "iso_market": None, "iso_market_run": None}
    return {name: word for name, word in fixed.items() if name in contract.names}


def stored(contract: Contract) -> tuple[Column, ...]:
    """The contract's columns that vary from row to row, in the contract's order."""
    left_out = _PLACED | _LINEAGE | {"interval_end"} | constants(contract).keys()
    return tuple(column for column in contract.columns if column.name not in left_out)


def fact_columns(contract: Contract) -> dict[str, str]:
    """Names and types of the fact table's columns, in order."""
    columns = {column.name: _TYPES[column.type] for column in stored(contract)}
    return {**columns, "place": "integer", "chunk": "integer"}


def create_fact(contract: Contract, layout: Layout) -> Iterator[str]:
    """The statements that make a fact table: a hypertable, or one partitioned by range."""
    name = fact_name(contract)
    nullable = {column.name for column in contract.columns if column.nullable}
    columns = ", ".join(
        f"{column} {kind}{'' if column in nullable else ' not null'}" for column, kind in fact_columns(contract).items()
    )
    if contract.is_registry:
        # A few thousand rows that are replaced as a whole.
        yield f"create table {name} ({columns})"
        return
    if not layout.hypertables:
        yield f"create table {name} ({columns}) partition by range (interval_start)"
        # Rows come sorted by place and time, so that ranges of pages tell what is in them, and cost nothing to keep.
        yield (
            f"create index on {name} using brin (iso_location_id, series_id, interval_start, operating_date, chunk) "
            f"with (pages_per_range = 16, autosummarize = on)"
        )
        return
    yield f"create table {name} ({columns})"
    # A unique key or a trigger would switch direct compression off; the default index costs and helps nobody.
    yield (
        f"do $$ begin perform create_hypertable('{name}', by_range('interval_start', interval '{layout.chunk_days} days'), "
        f"create_default_indexes => false); end $$"
    )
    run = "iso_market_run, " if contract.has_market else ""
    # A chunk is then whole batches, which a replacement deletes without unpacking them.
    yield (
        f"alter table {name} set (timescaledb.enable_columnstore, timescaledb.segmentby = 'iso_code, {run}operating_date', "
        f"timescaledb.orderby = 'iso_location_id, interval_start, series_id')"
    )


def policies(contract: Contract, layout: Layout) -> Iterator[str]:
    """What the extension does in the background; says the same however often it is said."""
    if not layout.hypertables or contract.is_registry:
        return
    name = fact_name(contract)
    yield f"call remove_columnstore_policy('{name}', if_exists => true)"
    if layout.compress_after_days is not None:
        yield f"call add_columnstore_policy('{name}', after => interval '{layout.compress_after_days} days')"
    yield f"do $$ begin perform remove_retention_policy('{name}', if_exists => true); end $$"
    if layout.retain_days is not None:
        yield (
            f"do $$ begin perform add_retention_policy('{name}', drop_after => interval '{layout.retain_days} days'); end $$"
        )


def partition_name(contract: Contract, number: int, chunk_days: int) -> str:
    """The partition with that number, counted from 1970; its name has the day since then at which it begins."""
    return f"{fact_name(contract)}_{number * chunk_days:06}"


def create_partition(contract: Contract, number: int, chunk_days: int) -> Iterator[str]:
    """The statements that make a partition.

    It is made beside the table and then attached, which keeps neither readers nor other writers waiting.
    """
    fact, name = fact_name(contract), partition_name(contract, number, chunk_days)
    # Sums of hours, since a year has five digits at the end of the calendar, and a day may have 23 hours elsewhere.
    low, high = (f"timestamptz 'epoch' + interval '{each * chunk_days * 24} hours'" for each in (number, number + 1))
    yield f"create table {name} (like {fact} including all)"
    yield f"alter table {fact} attach partition {name} for values from ({low}) to ({high})"


def create_views(contract: Contract, layout: Layout) -> Iterator[str]:
    """The view under the contract's name, with every contract column, and the aggregates."""
    view, fact = view_name(contract), fact_name(contract)
    yield f"drop view if exists {view}"
    yield (
        f"create view {view} as select {', '.join(_shown(contract))} from {fact} f "
        f"left join iso_place p on p.number = f.place left join iso_chunk c on c.number = f.chunk"
    )
    yield f"comment on view {view} is {_quoted(f'{contract.product.value}: every column of the contract')}"
    for column in contract.columns:
        meaning = f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
        yield f"comment on column {view}.{column.name} is {_quoted(meaning)}"
    for width in () if contract.is_registry else ("hour", "day"):
        yield f"drop view if exists {view}_{width}"
        if layout.hypertables:
            yield f"drop materialized view if exists {view}_{width}_sums"
        if width in layout.aggregates:
            yield from _aggregate(contract, layout, width)


def _shown(contract: Contract) -> Iterator[str]:
    fixed = constants(contract)
    for column in contract.columns:
        name = column.name
        if name in fixed:
            word = fixed[name]
            yield f"{'null' if word is None else _quoted(word)}::text as {name}"
        elif name == "interval_end":
            yield "f.interval_start + f.iso_interval_minutes * interval '1 minute' as interval_end"
        else:
            yield f"{'p' if name in _PLACED else 'c' if name in _LINEAGE else 'f'}.{name}"


def _aggregate(contract: Contract, layout: Layout, width: str) -> Iterator[str]:
    """Mean, minimum, maximum and count of every number, by hour or by market day.

    Days are the market's own, of 23 to 25 hours: the extension sums up days of UTC apart for each operating date, and the
    view adds up the two that make one.
    """
    view, fact = f"{view_name(contract)}_{width}", fact_name(contract)
    numbers = [column.name for column in contract.values if column.type is ColumnType.DOUBLE]
    keys = ["series_id", *(name for name in contract.key if name != "interval_start")]
    by = ", ".join(dict.fromkeys(keys))
    shown = "hour" if width == "hour" else "operating_date"
    if not layout.hypertables:
        # Without the extension nothing is kept: it is computed when asked for.
        bucket = "date_trunc('hour', interval_start, 'UTC') as hour" if width == "hour" else "operating_date"
        values = ", ".join(
            f"avg({name}) as {name}_mean, min({name}) as {name}_min, max({name}) as {name}_max, "
            f"count({name}) as {name}_count"
            for name in numbers
        )
        yield f"create view {view} as select {by}, {bucket}, {values} from {fact} group by {by}, {shown}"
        return
    sums = ", ".join(
        f"sum({name}) as {name}_sum, min({name}) as {name}_min, max({name}) as {name}_max, count({name}) as {name}_count"
        for name in numbers
    )
    date = "" if width == "hour" else ", operating_date"
    yield (
        f"create materialized view {view}_sums with (timescaledb.continuous) as "
        f"select {by}{date}, time_bucket('1 {width}', interval_start) as bucket, {sums} "
        f"from {fact} group by {by}{date}, bucket with no data"
    )
    # What is older than the retention is gone from the facts, and a refresh would take it out of the sums as well.
    start = "null" if layout.retain_days is None else f"interval '{layout.retain_days - 1} days'"
    yield (
        f"do $$ begin perform add_continuous_aggregate_policy('{view}_sums', start_offset => {start}, "
        f"end_offset => interval '1 hour', schedule_interval => interval '1 hour'); end $$"
    )
    totals = ", ".join(
        f"sum({name}_sum) / nullif(sum({name}_count), 0) as {name}_mean, min({name}_min) as {name}_min, "
        f"max({name}_max) as {name}_max, sum({name}_count)::bigint as {name}_count"
        for name in numbers
    )
    bucket = "bucket as hour" if width == "hour" else "operating_date"
    yield f"create view {view} as select {by}, {bucket}, {totals} from {view}_sums group by {by}, {shown}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
