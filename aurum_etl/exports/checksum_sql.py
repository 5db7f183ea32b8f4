"""The checksum of a market day (`checksum.py`) as PostgreSQL computes it, on the server, without a row leaving it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl.checksum import FACTOR, PRIME, TWIST, summed
from aurum_etl.contracts import ColumnType

if TYPE_CHECKING:
    from aurum_etl.contracts import Column, Contract


def days(contract: Contract, table: str, condition: str) -> str:
    """The query for market day, rows and sum of the rows that meet the condition; a registry's day is null."""
    state = "0::bigint"
    for column in summed(contract):
        state = f"({state} # {_number(column)}) * {FACTOR} % {PRIME}"
    day = "null::date" if contract.is_registry else "operating_date"
    # Without the offset the planner would put the state into the outer query as often as it stands there.
    inner = f"select {day} as day, {state} as state from {table} where {condition} offset 0"  # noqa: S608 - names of ours
    return (
        f"select day, count(*), sum(state * (state # {TWIST}) % {PRIME})::text "  # noqa: S608 - names of ours
        f"from ({inner}) rows group by day order by day"
    )


def _number(column: Column) -> str:
    """The column as a number, null as `PRIME`."""
    name = column.name
    if column.type is ColumnType.STRING:
        found = _bits(f"substr(sha256(convert_to({name}, 'UTF8')), 1, 4)", 32)
    elif column.type is ColumnType.TIMESTAMP:
        found = _residue(f"(extract(epoch from {name}) * 1000000)::bigint")
    else:
        found = _residue(_bits(f"float8send({name})", 64))
    return f"coalesce({found}, {PRIME})"


def _bits(octets: str, width: int) -> str:
    return f"('x' || encode({octets}, 'hex'))::bit({width})::bigint"


def _residue(number: str) -> str:
    """A remainder that is never negative."""
    return f"(({number} % {PRIME} + {PRIME}) % {PRIME})"
