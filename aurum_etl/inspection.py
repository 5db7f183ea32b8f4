"""A DuckDB over everything that lies under AURUM_HOME: each table a view under its own name, for reading alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb
    import pyarrow as pa
    from pyiceberg.table import Table

    from aurum_etl.settings import Settings
    from aurum_etl.watermarks import Store

SCHEMA = "iso"
_ASKING = ("SELECT", "EXPLAIN", "CALL")


def connect(settings: Settings, store: Store) -> duckdb.DuckDBPyConnection:
    """A database in memory in which every table there is can be asked by name.

    Iceberg tables are `iso.lmp`, `iso.load` and so on, and answer to `lmp` alone too; their views read the Parquet files of
    the newest snapshot where they lie. The watermark store's tables and the quarantine stand beside them. Nothing can be
    written through it, and nothing but these files be read.
    """
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute(f"set timezone = 'UTC'; create schema {SCHEMA}; set search_path = 'main,{SCHEMA}'")
    for name, table in store.tables().items():
        _create_table(connection, name, table, schema="main")
    stored = dict(_iceberg_tables(settings.home))
    for kind, contract in CONTRACTS.items():
        if kind in stored:
            _create_view(connection, kind, stored[kind])
        else:
            _create_table(connection, kind, contract.arrow_schema.empty_table())
    _create_quarantine(connection, settings.home / "quarantine")
    folders = [str(settings.home / each) for each in ("warehouse", "quarantine")]
    quoted = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
    connection.execute(f"set allowed_directories = [{quoted}]")
    connection.execute("set enable_external_access = false; set lock_configuration = true")
    return connection


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The answer to one question.

    Raises: SpecError if it is no question, or DuckDB cannot answer it; the message names the tables there are.
    """
    import duckdb

    try:
        statements = connection.extract_statements(sql)
        kinds = [statement.type.name for statement in statements]
        if len(kinds) != 1 or kinds[0] not in _ASKING:
            found = ", ".join(kinds) or "nothing"
            raise SpecError(f"inspect answers one question at a time, such as a select; found {found}")
        relation = connection.sql(sql)
        # Arrow's calendar intervals are understood by few: as text they can be printed and written anywhere.
        columns = ", ".join(
            f'"{name}"::varchar as "{name}"' if str(kind) == "INTERVAL" else f'"{name}"'
            for name, kind in zip(relation.columns, relation.types, strict=True)
        )
        plain = relation.project(columns) if "INTERVAL" in map(str, relation.types) else relation
        answer: pa.Table = plain.to_arrow_table()
    except duckdb.Error as error:
        names = ", ".join(each["name"] for each in _names(connection))
        raise SpecError(f"{str(error).strip()}\nTables: {names}") from error
    return answer


def tables(connection: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """Every table with its rows, and for observations their days, locations, first and last day."""
    listed: list[dict[str, object]] = []
    for each in _names(connection):
        name = each["name"]
        if each["schema"] == SCHEMA:
            counted = (
                "count(*), count(distinct operating_date), count(distinct iso_location_id), "
                "min(operating_date), max(operating_date)"
            )
        else:
            counted = "count(*), null, null, null, null"
        row = connection.execute(f"select {counted} from {name}").fetchone()  # noqa: S608 - names of ours
        assert row is not None  # noqa: S101 - an aggregate has one row
        listed.append(dict(zip(("table", "rows", "days", "locations", "first", "last"), (name, *row), strict=True)))
    return listed


def write(table: pa.Table, path: Path) -> None:
    """The table as a file of the kind that its suffix names, whole or not at all.

    Raises: SpecError if the suffix is neither `.csv` nor `.parquet`, or the file cannot be written.
    """
    import pyarrow.csv
    import pyarrow.parquet

    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, partial, compression="zstd")
        elif path.suffix == ".csv":
            pyarrow.csv.write_csv(table, partial)
        else:
            raise SpecError(f"--out {path}: the suffix is not one of .csv, .parquet")
        partial.replace(path)
    except OSError as error:
        raise SpecError(f"--out {path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _iceberg_tables(home: Path) -> Iterator[tuple[str, Table]]:
    if not (home / "catalog.db").exists():
        return
    from aurum_etl.sinks.iceberg import NAMESPACE, open_catalog

    catalog = open_catalog(home)
    try:
        for kind in CONTRACTS:
            identifier = f"{NAMESPACE}.{kind}"
            if catalog.table_exists(identifier):
                yield kind, catalog.load_table(identifier)
    finally:
        catalog.engine.dispose()


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table, *, schema: str = SCHEMA) -> None:
    connection.register("_incoming", table)
    connection.execute(f'create table {schema}."{name}" as from _incoming')
    connection.unregister("_incoming")


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    from urllib.parse import unquote, urlsplit

    tasks = list(table.scan().plan_files())
    if any(task.delete_files for task in tasks) or not tasks:
        # Another engine wrote row-level deletes, which the data files alone don't show; or there is no file at all.
        _create_table(connection, name, table.scan().to_arrow())
        return
    paths = (unquote(urlsplit(task.file.file_path).path) for task in tasks)
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    columns = ", ".join(f'"{field.name}"' for field in table.schema().fields)
    connection.execute(
        f'create view {SCHEMA}."{name}" as select {columns} from '  # noqa: S608 - file names of the table's own
        f"read_parquet([{quoted}], union_by_name = true, hive_partitioning = false)"
    )


def _create_quarantine(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    if any(folder.glob("*/*.parquet")):
        pattern = str(folder / "*" / "*.parquet").replace("'", "''")
        connection.execute(f"create view quarantine as from read_parquet('{pattern}', hive_partitioning = false)")
    else:
        connection.execute(
            "create table quarantine (dataset varchar, chunk_key varchar, ingested_at timestamptz, "
            '"check" varchar, "column" varchar, value varchar, record varchar)'
        )


def _names(connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    rows = connection.execute(
        "select table_schema, table_name from information_schema.tables order by table_schema, table_name"
    ).fetchall()
    return [{"schema": schema, "name": f"{schema}.{name}" if schema == SCHEMA else name} for schema, name in rows]
