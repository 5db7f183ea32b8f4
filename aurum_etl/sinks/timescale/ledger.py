"""`iso_chunk`, the last commit of each chunk: how it is written, and what it tells together with the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.checksum import day_of, day_of_registry
from aurum_etl.chunk import ChunkKey
from aurum_etl.contracts import CONTRACT_VERSION
from aurum_etl.exports import checksum_sql, ddl
from aurum_etl.sinks.base import ingested_at
from aurum_etl.sinks.ledger import Entry, Held, Provenance, is_wanted
from aurum_etl.sinks.timescale.connection import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day
    from aurum_etl.window import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNTOLD: dict[str, Any] = {"origin": None, "revision": "", "days": []}
"""What a commit of before there was a `content` says."""


def enter(connection: Connection, table: pa.Table, scope: Scope, attempt: str) -> int:
    """The chunk's number in the ledger, which stays the same from attempt to attempt."""
    instant = ingested_at(table)
    entry = Entry(scope.chunk, table.num_rows, instant, Provenance.of(table))
    ((number,),) = ask(
        connection,
        "insert into iso_chunk (chunk_key, kind, attempt, ingested_at, rows, contract_version, committed_at, content) "
        "values ($1, $2, $3, $4::timestamptz, $5, $6, now(), $7::jsonb) on conflict (chunk_key) do update set "
        "attempt = excluded.attempt, ingested_at = excluded.ingested_at, rows = excluded.rows, "
        "contract_version = excluded.contract_version, committed_at = excluded.committed_at, content = excluded.content "
        "returning number",
        scope.chunk.key,
        scope.contract.kind,
        attempt,
        instant and instant.isoformat(),
        table.num_rows,
        CONTRACT_VERSION,
        json.dumps(entry.content()),
    )
    return int(number)


def held(connection: Connection, contract: Contract, dataset: Dataset | None, window: Window | None) -> Iterator[Held]:
    """The chunks of the kind that still have a row."""
    if not _is_there(connection, "iso_chunk", ddl.fact_name(contract)):
        return
    prefix = "" if dataset is None else f"{dataset.key}["
    names = _names(connection, contract, prefix)
    lines = [line for line in ask(connection, _lines(), contract.kind, prefix) if is_wanted(line[1], dataset, window)]
    there = {
        number for (number,) in ask(connection, _with_rows(contract), json.dumps([number for number, *_ in lines]))
    }
    for number, key, attempt, instant, rows, content in lines:
        if number in there:
            yield Held.of(
                key,
                {**_UNTOLD, **json.loads(content or "{}"), "rows": rows},
                _EPOCH + timedelta(microseconds=instant),
                table=ddl.view_name(contract),
                version=attempt,
                names=names.get(ChunkKey.parse(key).selection, ()),
            )


def days(connection: Connection, scope: Scope, condition: str) -> tuple[Day, ...]:
    """Rows and checksum by market day of the rows that meet the condition."""
    fact = ddl.fact_name(scope.contract)
    if not _is_there(connection, fact):
        return ()
    found = ask(connection, checksum_sql.days(scope.contract, fact, condition))
    return tuple(day_of(day_of_registry(scope) if day is None else day, rows, int(total)) for day, rows, total in found)


# A ledger of before it had words has no such column: as JSON its line has none either.
_WORDS = "nullif(to_jsonb(each)->'content', 'null')"


def _lines() -> str:
    """The query for the lines of a kind whose keys begin with a prefix, without their names, which may be thousands."""
    return (
        "select number, chunk_key, attempt, (extract(epoch from ingested_at) * 1000000)::bigint, rows, "  # noqa: S608 - ours
        f"({_WORDS} - 'selection')::text from iso_chunk as each "
        "where kind = $1 and starts_with(chunk_key, $2) and ingested_at is not null order by chunk_key"
    )


def _with_rows(contract: Contract) -> str:
    """The query for those of some lines that have a row; their days let whole pieces of the fact table be passed over."""
    within = ""
    if not contract.is_registry:
        # A market day begins and ends within a day of the UTC date of the same name.
        within = (
            " and f.interval_start >= coalesce(c.first - 1, '-infinity')::timestamptz "
            "and f.interval_start < coalesce(c.last + 2, 'infinity')::timestamptz "
            "and f.operating_date between coalesce(c.first, '-infinity') and coalesce(c.last, 'infinity')"
        )
    return f"""
        with c as (
            select number, (words->'days'->0->>0)::date as first, (words->'days'->-1->>0)::date as last
            from (select number, {_WORDS} as words from iso_chunk as each) lines
            where number in (select value::integer from jsonb_array_elements_text($1::jsonb)))
        select number from c
        where exists (select 1 from {ddl.fact_name(contract)} f where f.chunk = c.number{within})"""  # noqa: S608 - ours


def _names(connection: Connection, contract: Contract, prefix: str) -> dict[str, list[str]]:
    """The names behind each digest, once however many chunks have it."""
    found = ask(
        connection,
        "select distinct on (selection) selection, names::text from ("
        "  select substring(chunk_key from '\\[(.+)\\]@') as selection, to_jsonb(each)->'content'->'selection' as names"
        "  from iso_chunk as each where kind = $1 and starts_with(chunk_key, $2)) lines "
        "where jsonb_typeof(names) = 'array' order by selection",
        contract.kind,
        prefix,
    )
    return {selection: json.loads(names) for selection, names in found}


def _is_there(connection: Connection, *tables: str) -> bool:
    ((there,),) = ask(
        connection,
        "select bool_and(to_regclass(name) is not null) from jsonb_array_elements_text($1::jsonb) name",
        json.dumps(tables),
    )
    return bool(there)
