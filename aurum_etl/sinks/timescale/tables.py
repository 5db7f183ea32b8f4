"""What the sink finds or makes in the database: tables, views, partitions, and the numbers of places."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aurum_etl.errors import SinkUnavailable
from aurum_etl.exports import ddl
from aurum_etl.sinks.timescale.connection import ADVICE, ask, do, number_of, quoted
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

    from aurum_etl.contracts import Contract


class Tables:
    """The tables of the contracts, as the layout wants them."""

    def __init__(self, layout: ddl.Layout, contracts: Mapping[str, Contract]) -> None:
        self.layout = layout
        self._contracts = contracts
        self._partitions: set[str] = set()
        self._places: dict[str, pl.DataFrame] = {}

    def ensure(self, connection: Connection) -> None:
        """Make or migrate what is not as it should be, and prove that it may be loaded.

        Raises: SinkUnavailable if there is something of another shape, or a right is missing.
        """
        made = [self._is_made(connection, contract) for contract in self._contracts.values()]
        if not all(made) or "content" not in _columns(connection, "iso_chunk"):
            self._make(connection)
        _prove_rights(connection, self._contracts.values())

    def _is_made(self, connection: Connection, contract: Contract) -> bool:
        """Whether everything of the contract is as it should be.

        Raises: SinkUnavailable if there is something of that name that cannot be brought there.
        """
        layout = self.layout
        fact, view = ddl.fact_name(contract), ddl.view_name(contract)
        found = ask(
            connection,
            "select relname, relkind, coalesce(obj_description(oid, 'pg_class'), '') from pg_class "
            "where oid in (to_regclass($1), to_regclass($2))",
            fact,
            view,
        )
        relations = {name: (kind, comment) for name, kind, comment in found}
        if view in relations and relations[view][0] != "v":
            raise SinkUnavailable(
                f"timescale: {view} is a table of somebody else's, not our view; rename it, or use another schema or database"
            )
        if fact not in relations:
            return False
        have = _columns(connection, fact)
        want = {
            name: {"timestamptz": "timestamp with time zone"}.get(kind, kind)
            for name, kind in ddl.fact_columns(contract).items()
        }
        nullable = {column.name for column in contract.columns if column.nullable}
        differing = [name for name in want if name in have and have[name] != want[name]]
        differing += [name for name in want if name not in have and name not in nullable]
        if differing:
            raise SinkUnavailable(
                f"timescale: table {fact} is not of this contract; columns that differ: {', '.join(sorted(differing))}; "
                "rename it, or use another schema or database"
            )
        comment = relations[fact][1]
        if "aurum_etl {" in comment:
            # The width of the pieces was fixed when the table was made.
            made = json.loads(comment.partition("aurum_etl ")[2])
            self.layout = layout = ddl.Layout(
                made["hypertable"],
                made["chunk_days"],
                layout.compress_after_days,
                layout.retain_days,
                layout.aggregates,
            )
        return view in relations and comment == layout.comment(contract)

    def _make(self, connection: Connection) -> None:
        """Make or migrate everything, one process at a time, all of it or nothing."""
        ask(connection, "select count(pg_advisory_xact_lock($1))", number_of("aurum_etl ddl"))
        do(connection, *ddl.SHARED_TABLES)
        for contract in self._contracts.values():
            if self._is_made(connection, contract):
                continue
            layout = self.layout
            fact = ddl.fact_name(contract)
            if not ask(connection, "select 1 where to_regclass($1) is not null", fact):
                do(connection, *ddl.create_fact(contract, layout))
                if not layout.hypertables:
                    logger().warning(
                        "timescale.plain", table=fact, told="no TimescaleDB here: a partitioned table, not compressed"
                    )
            have = _columns(connection, fact)
            for name, kind in ddl.fact_columns(contract).items():
                if name not in have:
                    do(connection, f"alter table {fact} add column {name} {kind}")
                    logger().warning("timescale.migrated", table=fact, added=name)
            do(connection, *ddl.policies(contract, layout), *ddl.create_views(contract, layout))
            do(connection, f"comment on table {fact} is {quoted(layout.comment(contract))}")
        connection.commit()

    def make_partitions(self, connection: Connection, table: pa.Table, contract: Contract) -> None:
        """Partitions for the rows, in transactions of their own: an empty one does no harm."""
        layout = self.layout
        if layout.hypertables or contract.is_registry or not table.num_rows:
            return
        days = layout.chunk_days
        for number in _pieces(table, days):
            name = ddl.partition_name(contract, number, days)
            if name in self._partitions:
                continue
            ask(connection, "select count(pg_advisory_xact_lock($1))", number_of(f"aurum_etl {name}"))
            if not ask(connection, "select 1 where to_regclass($1) is not null", name):
                do(connection, *ddl.create_partition(contract, number, days))
            connection.commit()
            self._partitions.add(name)

    def place_numbers(self, connection: Connection, table: pa.Table) -> pa.Array[Any]:
        """The number of each row's place; places that are new get one, in a transaction of their own."""
        import polars as pl

        columns = list(ddl.PLACE_COLUMNS)
        places = pl.DataFrame(table.select(columns))
        # Rows of one place stand together: of each run the first is enough.
        runs = places.select(pl.struct(columns).rle_id()).to_series()
        firsts = places.filter(runs.diff().fill_null(1) > 0)
        known = self._known(connection, firsts)
        numbered = firsts.join(known, on=columns, how="left", nulls_equal=True, maintain_order="left")
        return numbered.get_column("number").gather(runs).to_arrow()

    def _known(self, connection: Connection, wanted: pl.DataFrame) -> pl.DataFrame:
        """Numbers of at least these places."""
        import polars as pl

        columns = list(ddl.PLACE_COLUMNS)
        isos = wanted.get_column("iso_code").unique().to_list()
        empty = pl.DataFrame(schema={**dict.fromkeys(columns, pl.String), "number": pl.Int32})
        known = pl.concat([empty, *(self._places[iso] for iso in isos if iso in self._places)])
        missing = wanted.unique().join(known, on=columns, how="anti", nulls_equal=True)
        if missing.is_empty():
            return known
        with connection.cursor() as cursor:
            do(connection, "drop table if exists aurum_place")
            cursor.adbc_ingest(
                "aurum_place", missing.to_arrow(compat_level=pl.CompatLevel.oldest()), mode="create", temporary=True
            )
            # In one order, so that two that add the same places wait for each other and don't block each other.
            cursor.execute(
                f"insert into iso_place ({', '.join(columns)}) select {', '.join(columns)} from aurum_place "  # noqa: S608
                "order by iso_location_id, iso_location_name, iso_location_type on conflict do nothing"
            )
            do(connection, "drop table aurum_place")
            connection.commit()
            for iso in isos:
                cursor.execute(
                    f"select {', '.join(columns)}, number from iso_place where iso_code = $1",  # noqa: S608 - ours
                    (iso,),
                )
                self._places[iso] = pl.DataFrame(cursor.fetch_arrow_table(), schema=empty.schema)
        connection.rollback()
        return pl.concat([empty, *(self._places[iso] for iso in isos)])


def _columns(connection: Connection, table: str) -> dict[str, str]:
    """Names and types of the columns that the table has."""
    return dict(
        ask(
            connection,
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            table,
        )
    )


def _pieces(table: pa.Table, days: int) -> range:
    """Numbers of the pieces of the table that the rows lie in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    edges = pc.min_max(table["interval_start"].cast(pa.int64()))
    width = days * 86_400_000_000
    return range(edges["min"].as_py() // width, edges["max"].as_py() // width + 1)


def _prove_rights(connection: Connection, contracts: Iterable[Contract]) -> None:
    """Better now than after an hour of fetching."""
    names = [*(ddl.fact_name(contract) for contract in contracts), "iso_place", "iso_chunk", "iso_position"]
    for name in names:
        ((may,),) = ask(
            connection,
            "select bool_and(has_table_privilege($1, right_)) from unnest(array['select', 'insert', 'delete']) right_",
            name,
        )
        if not may:
            raise SinkUnavailable(f"timescale: no right to load {name}: {ADVICE['42501']}")
