"""The database that `inspect` asks: everything under home, for reading alone."""

from __future__ import annotations

import json
import re
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import IdentityTransform

from aurum_etl import inspection
from aurum_etl.contracts import CONTRACTS, LMP
from aurum_etl.errors import SpecError
from aurum_etl.plot import draw
from aurum_etl.quarantine import Quarantine, rejected
from aurum_etl.quota import Call, Reply, Terms, ledger_of
from aurum_etl.settings import Settings, read_settings
from aurum_etl.sinks.iceberg.catalog import iceberg_schema
from aurum_etl.watermarks import Store
from tests.frames import DAY, chunk, rows, scope
from tests.test_watermarks import day, receipt

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    from pyiceberg.table import Table


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home whose name needs quoting."""
    return read_settings({"AURUM_HOME": str(tmp_path / "it's home")})


def connected(home: Settings) -> duckdb.DuckDBPyConnection:
    return inspection.connect(home, Store(home.home / "watermarks.duckdb"))


def asked(home: Settings, sql: str) -> list[dict[str, object]]:
    answer: list[dict[str, object]] = inspection.query(connected(home), sql).to_pylist()
    return answer


def lmp_table(home: Settings) -> Table:
    """An empty `iso.lmp`, as pyiceberg alone makes it."""
    warehouse = home.private_folder("warehouse")
    catalog = SqlCatalog("aurum", uri=f"sqlite:///{home.home / 'catalog.db'}", warehouse=f"file://{warehouse}")
    catalog.create_namespace("iso")
    schema = iceberg_schema(LMP)
    partitions = PartitionSpec(
        *(
            PartitionField(schema.find_field(name).field_id, 1000 + place, IdentityTransform(), name)
            for place, name in enumerate(("iso_code", "operating_date"))
        )
    )
    return catalog.create_table("iso.lmp", schema=schema, partition_spec=partitions)


def day_of(which: date, *locations: str, price: float = 1.0) -> pa.Table:
    """One market day; Iceberg has no 16-bit integer."""
    table = rows(scope(day=which), *locations, price=price)
    place = table.schema.get_field_index("iso_interval_minutes")
    return table.cast(table.schema.set(place, pa.field("iso_interval_minutes", pa.int32(), nullable=False)))


@pytest.fixture
def loaded(home: Settings) -> Settings:
    """Two market days at two places, one receipt, one rejected row."""
    table = lmp_table(home)
    for each in (DAY, DAY + timedelta(1)):
        table.append(day_of(each, "A", "B"))
    Store(home.home / "watermarks.duckdb").append(receipt(day(0)))
    bad = rejected(pl.DataFrame({"price_total": ["x"]}), "value_is_a_number", "price_total")
    Quarantine(home.private_folder("quarantine")).replace(bad, chunk(), datetime(2026, 7, 15, tzinfo=UTC))
    return home


def test_a_fresh_home_can_be_asked_and_stays_as_it_is(home: Settings) -> None:
    """Whoever asks before the first run gets empty tables of the right shape, and no folder."""
    connection = connected(home)
    assert {each["rows"] for each in inspection.tables(connection)} == {0}
    assert inspection.query(connection, "from lmp").column_names == list(LMP.names)
    assert inspection.query(connection, "from quarantine").num_rows == 0
    assert not home.home.exists()


def test_every_table_answers_to_its_name(loaded: Settings) -> None:
    connection = connected(loaded)
    for name, count in (("lmp", 96), ("iso.lmp", 96), ("load", 0), ("iso.load", 0), ("quarantine", 1), ("receipts", 1)):
        assert inspection.query(connection, f"from {name}").num_rows == count, name
    for name in ("written", "findings", "watermarks"):
        assert inspection.query(connection, f"from {name}").num_rows == 1, name


def test_the_audit_log_is_read_where_the_question_is_about_it(home: Settings) -> None:
    with closing(ledger_of(home)) as ledger:
        reserved = ledger.budget(Terms("caiso_lmp")).reserve(Call("CAISO", "GET", "https://iso/a"), threading.Event())
        reserved.received(Reply(200, 7, "ab", 0.1, 0.1, healthy=True))
        reserved.settle(3)
    store = Store(home.home / "watermarks.duckdb")
    for sql in (
        "select sum(records) as n from requests",
        "with r as (from main.REQUESTS) select max(records) as n from r",
    ):
        assert inspection.query(inspection.connect(home, store, sql), sql).to_pylist() == [{"n": 3}]
    sql = "from alerts"
    assert inspection.query(inspection.connect(home, store, sql), sql).num_rows == 0
    with pytest.raises(SpecError, match=r"Tables: .*alerts, .*requests"):
        inspection.query(inspection.connect(home, store, "from request"), "from request")


def test_tables_are_listed_with_what_they_span(loaded: Settings) -> None:
    connection = connected(loaded)
    listed = {each["table"]: each for each in inspection.tables(connection)}
    assert list(listed["iso.lmp"].values()) == ["iso.lmp", 96, 2, 2, DAY, DAY + timedelta(1)]
    of_ours = {"alerts", "findings", "quarantine", "receipts", "requests", "watermarks", "written"}
    assert set(listed) == {*(f"iso.{kind}" for kind in CONTRACTS), *of_ours}
    assert inspection.query(connection, "select 1 as n").to_pylist() == [{"n": 1}], "listing leaves the connection free"


def test_instants_are_utc_and_zones_are_known_without_a_download(loaded: Settings) -> None:
    (row,) = asked(
        loaded,
        """select min(interval_start)::varchar as utc,
                  min(interval_start at time zone 'America/Los_Angeles')::varchar as local from lmp""",
    )
    assert row == {"utc": "2026-07-14 07:00:00+00", "local": "2026-07-14 00:00:00"}


def test_only_the_newest_snapshot_is_seen(loaded: Settings) -> None:
    """Files of older snapshots still lie in the warehouse: a folder of Parquet files would show rows twice."""
    with_table = SqlCatalog("aurum", uri=f"sqlite:///{loaded.home / 'catalog.db'}").load_table("iso.lmp")
    with_table.overwrite(day_of(DAY, "A", "B", price=2.0), overwrite_filter=f"operating_date = '{DAY}'")
    assert asked(loaded, "select sum(price_total) as s, count(*) as n from lmp") == [{"s": 144.0, "n": 96}]
    assert len(list((loaded.home / "warehouse").rglob("*.parquet"))) == 3


def test_a_table_without_rows_has_its_columns(home: Settings) -> None:
    lmp_table(home)
    assert inspection.query(connected(home), "from lmp").column_names == list(LMP.names)
    assert asked(home, "select count(*) as n from lmp") == [{"n": 0}]


def test_a_column_that_older_files_lack_is_null_there(loaded: Settings) -> None:
    table = SqlCatalog("aurum", uri=f"sqlite:///{loaded.home / 'catalog.db'}").load_table("iso.lmp")
    with table.update_schema() as update:
        update.add_column("price_extra", iceberg_schema(LMP).find_type("price_total"))
    assert asked(loaded, "select count(*) as n, count(price_extra) as extra from lmp") == [{"n": 96, "extra": 0}]


WRITES = "copy (select 1 as x) to '{file}'"


@pytest.mark.parametrize(
    "sql",
    [
        WRITES,
        f"explain analyze {WRITES}",
        f"explain (analyze) {WRITES}",
        f"with x as ({WRITES}) select 1",
        f"with x as ({WRITES} (format parquet)) select 1",
        "attach '{file}'",
        "export database '{file}'",
        "call enable_logging('QueryLog', storage = 'file', storage_path = '{file}')",
        "from read_parquet('{file}')",
        "from '{file}'",
        "from read_text('/etc/hosts')",
        "from glob('/*')",
        "set enable_external_access = true",
        "set temp_directory = '/'",
        "load httpfs",
        "install httpfs",
        "pragma version",
        "select 1; select 2",
        "-- nothing",
        "from home",
    ],
)
def test_nothing_can_be_written_and_no_file_opened(loaded: Settings, sql: str) -> None:
    """A copy inside a select is a select by its kind: so that DuckDB may open no file at all is what protects the rows."""
    (file, *_) = (loaded.home / "warehouse").rglob("*.parquet")
    before = {path: path.read_bytes() for path in loaded.home.rglob("*") if path.is_file()}
    connection = connected(loaded)
    for target in (file, loaded.home / "warehouse" / "new", loaded.home / "spill" / ".." / "warehouse" / "new"):
        with pytest.raises(SpecError):
            inspection.query(connection, sql.replace("{file}", str(target).replace("'", "''")))
    assert {path: path.read_bytes() for path in loaded.home.rglob("*") if path.is_file()} == before


def test_what_is_dropped_in_memory_comes_back(loaded: Settings) -> None:
    connection = connected(loaded)
    inspection.query(connection, "explain analyze drop view iso.lmp")
    assert inspection.query(connection, "from lmp").num_rows == 96


def test_every_kind_of_question_is_answered(loaded: Settings) -> None:
    connection = connected(loaded)
    for sql in (
        "describe lmp",
        "summarize lmp",
        "show tables",
        "explain from lmp",
        "with x as (from lmp) from x",
        "values (1)",
    ):
        assert inspection.query(connection, sql).num_rows > 0, sql


def test_an_unknown_table_is_answered_with_the_known_ones(loaded: Settings) -> None:
    with pytest.raises(
        SpecError, match=r"(?s)lpm does not exist.*Tables: iso\.asm, .*iso\.lmp, .*findings, quarantine"
    ):
        asked(loaded, "from lpm")


def test_a_column_twice_keeps_both_values(home: Settings) -> None:
    """As records the second would silently take the place of the first, and Polars refuses such a table."""
    assert asked(home, "select 1 as a, 2 as A, 3 as a_1, 4 as a") == [{"a": 1, "A_1": 2, "a_1_1": 3, "a_2": 4}]


def test_calendar_intervals_are_text(home: Settings) -> None:
    (row,) = asked(home, """select interval 1 month as "a""b", [interval 2 day] as many, 'INTERVAL' as word""")
    assert row == {'a"b': "1 month", "many": "[2 days]", "word": "INTERVAL"}


ANSWER = pa.table({"place": ["A", "B"], "price": [1.5, None]})


def test_an_answer_is_written_by_its_suffix(tmp_path: Path) -> None:
    inspection.write(ANSWER, tmp_path / "o.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "o.parquet").equals(ANSWER)
    inspection.write(ANSWER, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == '"place","price"\n"A",1.5\n"B",\n'
    assert {path.name for path in tmp_path.iterdir()} == {"o.csv", "o.parquet"}


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("o.xls", ANSWER, "is not one of .csv, .parquet"),
        ("o.csv", pa.table({"many": [[1, 2]]}), "cannot hold"),
        ("absent/o.csv", ANSWER, "cannot be written"),
    ],
)
def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, name: str, table: pa.Table, words: str) -> None:
    """Half a file under the right name would pass for the answer."""
    for suffix in ("xls", "csv"):
        (tmp_path / f"o.{suffix}").write_text("before")
    with pytest.raises(SpecError, match=words):
        inspection.write(table, tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"o.xls": "before", "o.csv": "before"}


def test_numbers_are_drawn_with_one_line_per_word(loaded: Settings) -> None:
    sql = "select interval_start, iso_location_id, price_total + (iso_location_id = 'B')::int as price from lmp"
    picture = draw(inspection.query(connected(loaded), sql), None)
    assert {"A", "B"} <= set(re.sub(r"\x1b\[[0-9;]*m", " ", picture).split())
    assert "2026-07-15 06:30" in picture, "half way from the first hour to the last"


@pytest.mark.parametrize(
    "sql",
    [
        "select sum(1) as total, current_date as at",
        "select time '10:00' as at, 2 as n",
        "select interval_start - min(interval_start) over () as since, price_total from lmp",
        "select iso_location_id, avg(price_total) as price from lmp group by all order by all",
        "select interval_start, iso_location_id, if(iso_location_id = 'A', null, price_total) as price from lmp",
    ],
)
def test_whatever_has_numbers_is_drawn(loaded: Settings, sql: str) -> None:
    """Sums are decimals in DuckDB; times of day, spans and places are no instants; a place may have no number at all."""
    assert draw(inspection.query(connected(loaded), sql), None).count("\n") > 10


def test_places_stand_in_the_order_of_the_answer(loaded: Settings) -> None:
    answer = inspection.query(
        connected(loaded), "select iso_location_id, 1.5 as price from lmp group by all order by all desc"
    )
    assert re.search(r"B.*A", re.sub(r"\x1b\[[0-9;]*m", "", draw(answer, None)).splitlines()[-1])


def test_without_a_number_there_is_nothing_to_draw(home: Settings) -> None:
    for sql in (
        "select 'a' as word",
        "select interval_start, price_total from lmp",
        "select 1 as at, null::double as n",
    ):
        with pytest.raises(SpecError, match="no number to draw"):
            draw(inspection.query(connected(home), sql), None)


def test_receipts_are_asked_as_they_were_written(loaded: Settings) -> None:
    (row,) = asked(loaded, "select outcome, origin, window_start, seconds, rows_committed from receipts")
    assert (row["outcome"], row["origin"], row["window_start"], row["rows_committed"]) == (
        "done",
        "live",
        day(0).start,
        5,
    )
    assert json.loads(str(row["seconds"])) == {"fetch": 0.5}


def test_a_picture_goes_to_a_file(tmp_path: Path) -> None:
    table = pa.table({"at": [datetime(2026, 7, 14, hour, tzinfo=UTC) for hour in range(3)], "price": [1.0, -2.0, None]})
    out = tmp_path / "p.png"
    assert draw(table, out) == f"drawn to {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SpecError, match=r"the suffix is not \.png"):
        draw(table, tmp_path / "p.pdf")
