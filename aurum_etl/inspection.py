"""A DuckDB over everything that lies under AURUM_HOME: each table a view under its own name, for reading alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl import database, quota
from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import AurumError, SinkUnavailable, SpecError
from aurum_etl.outside import made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import duckdb
    import pyarrow as pa
    from pyarrow.dataset import Dataset
    from pyiceberg.table import Table

    from aurum_etl.settings import Settings
    from aurum_etl.watermarks import Store

SCHEMA = "iso"
_ASKING = ("SELECT", "EXPLAIN")


def connect(settings: Settings, store: Store, sql: str | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory in which every table there is can be asked by name; `sql` is what will be asked, if known.

    Iceberg tables are `iso.lmp`, `iso.load` and so on, and answer to `lmp` alone too; their views read the Parquet files of
    the newest snapshot where they lie. The watermark store's tables, the quarantine, and the record of requests with its
    alerts stand beside them.

    DuckDB may open no file: Arrow opens them for it. A kind of statement is no protection, since a `copy … to` may stand
    inside a select or behind `explain analyze`, and a folder that may be read may be written as well.
    """
    connection = database.connect()
    # Unknown tables would otherwise be looked for among the variables of this program.
    connection.execute(f"set timezone = 'UTC'; set python_enable_replacements = false; create schema {SCHEMA}")
    # A look at the record alone needs no catalog, which may be somewhere else, and want to know who asks.
    stored = dict(_iceberg_tables(settings)) if _is_about(sql, CONTRACTS) else {}
    connection.execute(f"set schema = '{SCHEMA}'")
    for kind, contract in CONTRACTS.items():
        rows = _rows(stored[kind]) if kind in stored else contract.arrow_schema.empty_table()
        connection.from_arrow(rows).create_view(kind)
    connection.execute("set schema = 'main'")
    for name, table in store.tables().items():
        connection.from_arrow(table).create_view(name)
    connection.from_arrow(_quarantine(settings.home / "quarantine")).create_view("quarantine")
    # They may be long.
    asked = _is_about(sql, ("requests", "alerts"))
    for name, table in (quota.tables(settings) if asked else quota.no_tables()).items():
        connection.from_arrow(table).create_view(name)
    # What does not fit into memory is spilled here, and nowhere else: by default it would be where the user stands.
    spill = str(settings.home / "spill").replace("'", "''")
    connection.execute(f"set search_path = 'main,{SCHEMA}'; set temp_directory = '{spill}'")
    connection.execute("set enable_external_access = false; set lock_configuration = true")
    return connection


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The answer to one question.

    Shape:  column names are distinct: the second `price` is `price_1`. Calendar intervals, which few understand, are text.
    Raises: SpecError if it is no question, or DuckDB cannot answer it; the message names the tables there are.
    """
    import duckdb

    names = ", ".join(each["name"] for each in _names(connection))
    connection.begin()
    try:
        kinds = [statement.type.name for statement in connection.extract_statements(sql)]
        if len(kinds) != 1 or kinds[0] not in _ASKING:
            found = ", ".join(kinds) or "nothing"
            raise SpecError(f"inspect answers one question at a time, such as a select; found {found}")
        relation = connection.sql(sql)
        columns = ", ".join(
            f"#{place}{'::varchar' if 'INTERVAL' in str(kind) else ''} as {_quoted(name)}"
            for place, (name, kind) in enumerate(zip(_distinct(relation.columns), relation.types, strict=True), start=1)
        )
        answer: pa.Table = relation.project(columns).to_arrow_table()
    except duckdb.Error as error:
        raise SpecError(f"{str(error).strip()}\nTables: {names}") from error
    finally:
        # Whatever an `explain analyze` did to the tables in memory is undone.
        connection.rollback()
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
            if CONTRACTS[name.removeprefix(f"{SCHEMA}.")].is_registry:
                counted = "count(*), null, count(distinct iso_location_id), null, null"
        else:
            counted = "count(*), null, null, null, null"
        (row,) = connection.execute(f"select {counted} from {name}").fetchall()  # noqa: S608 - names of ours
        listed.append(dict(zip(("table", "rows", "days", "locations", "first", "last"), (name, *row), strict=True)))
    return listed


def write(table: pa.Table, path: Path) -> None:
    """The table as a file of the kind that its suffix names, whole or not at all.

    Raises: SpecError if the suffix is neither `.csv` nor `.parquet`, or such a file cannot hold the values or be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if path.suffix not in (".csv", ".parquet"):
        raise SpecError(f"--out {path}: the suffix is not one of .csv, .parquet")
    try:
        with made(path) as partial:
            if path.suffix == ".parquet":
                pyarrow.parquet.write_table(table, partial, compression="zstd")
            else:
                pyarrow.csv.write_csv(table, partial)
    except OSError as error:
        raise SpecError(f"--out {path}: cannot be written: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise SpecError(f"--out {path}: {path.suffix} cannot hold a column of this answer: {error}") from error


def _iceberg_tables(settings: Settings) -> Iterator[tuple[str, Table]]:
    if "uri" not in settings.catalog and not (settings.home / "catalog.db").exists():
        return
    from aurum_etl.sinks.iceberg.catalog import NAMESPACE, close_catalog, open_catalog, told

    try:
        catalog = open_catalog(settings)
        try:
            for kind in CONTRACTS:
                identifier = f"{NAMESPACE}.{kind}"
                if catalog.table_exists(identifier):
                    yield kind, catalog.load_table(identifier)
        finally:
            close_catalog(catalog)
    except AurumError:
        raise
    except Exception as error:
        raise SinkUnavailable(f"iceberg: the catalog cannot be read: {told(error)}") from error


def _rows(table: Table) -> Dataset | pa.Table:
    """The newest snapshot's rows, left in their files where that is possible."""
    import pyarrow.dataset
    from pyiceberg.io.pyarrow import PyArrowFileIO

    tasks = list(table.scan().plan_files())
    if any(task.delete_files for task in tasks) or not tasks:
        # Another engine wrote row-level deletes, which the data files alone don't show; or there is no file at all.
        return table.scan().to_arrow()
    places = [PyArrowFileIO.parse_location(task.file.file_path) for task in tasks]
    filesystem = PyArrowFileIO(table.io.properties).fs_by_scheme(*places[0][:2])
    paths = [path for _, _, path in places]
    return pyarrow.dataset.dataset(paths, schema=table.schema().as_arrow(), format="parquet", filesystem=filesystem)


def _quarantine(folder: Path) -> Dataset | pa.Table:
    import pyarrow as pa
    import pyarrow.dataset

    names = ("dataset", "chunk_key", "ingested_at", "check", "column", "value", "record")
    instant = pa.timestamp("us", tz="UTC")
    schema = pa.schema([pa.field(name, instant if name == "ingested_at" else pa.string()) for name in names])
    paths = sorted(str(path) for path in folder.glob("*/*.parquet"))
    return pyarrow.dataset.dataset(paths, schema=schema, format="parquet") if paths else schema.empty_table()


def _is_about(sql: str | None, names: Iterable[str]) -> bool:
    """Whether the question is about one of these tables; without a question all are asked for."""
    import duckdb

    if sql is None:
        return True
    try:
        # To look for names is to begin to answer: an export makes its folder, a file that is named is opened.
        with database.connect(shut=True) as apart:
            return not {name.casefold() for name in apart.get_table_names(sql)}.isdisjoint(names)
    except duckdb.Error:
        # What is wrong with it, who asks it will be told.
        return False


def _names(connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    rows = connection.execute(
        "select table_schema, table_name from information_schema.tables order by table_schema, table_name"
    ).fetchall()
    return [{"schema": schema, "name": f"{schema}.{name}" if schema == SCHEMA else name} for schema, name in rows]


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, with a number behind each that came before: a join has many columns twice."""
    taken: set[str] = set()
    distinct = []
    for name in names:
        other, number = name, 0
        while other.casefold() in taken:
            number += 1
            other = f"{name}_{number}"
        taken.add(other.casefold())
        distinct.append(other)
    return distinct


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
