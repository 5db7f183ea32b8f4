"""`inspect` answers questions about the home, and does nothing else, whatever it is asked."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from aurum_etl.errors import WatermarkError
from aurum_etl.quota.record import tables_of
from aurum_etl.watermarks import Store
from tests.hostile import JULY

if TYPE_CHECKING:
    from tests.hostile import Victim

REFUSED = [
    "select * from read_text('{secret}')",
    "select * from read_blob('{secret}')",
    "select * from read_csv('{secret}')",
    "select * from read_json('{secret}')",
    "select * from read_parquet('{secret}')",
    "select * from '{secret}'",
    "select * from sniff_csv('{secret}')",
    "select * from parquet_metadata('{secret}')",
    "select * from glob('/*')",
    "select * from query('copy (select 1) to ''{out}''')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select * from read_text(''{secret}'')'))",
    "copy (select 1) to '{out}'",
    "copy lmp from '{secret}'",
    "explain analyze copy (select 1) to '{out}'",
    "explain (format json) copy (select 1) to '{out}'",
    "with x as (copy (select 1) to '{out}') select 1",
    "export database '{out}'",
    "import database '{home}'",
    "attach '{out}' as x",
    "attach '{home}/watermarks.duckdb' as x",
    "explain analyze attach '{out}' as x",
    "select * from sqlite_scan('{home}/quota/requests.sqlite', 'requests')",
    "install httpfs",
    "load httpfs",
    "load '{secret}'",
    "select * from read_csv('http://127.0.0.1:9/x.csv')",
    "select * from read_parquet('s3://x/y')",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset lock_configuration",
    "set temp_directory = '{out}'",
    "set python_enable_replacements = true",
    "set global secret_directory = '{out}'",
    "pragma enable_profiling",
    "select * from enable_logging()",
    "create secret x (type s3)",
    "select * from duckdb_secrets()",
    "select * from which_secret('s3://x', 's3')",
    "create or replace view lmp as select 1",
    "create table x as select 1",
    "create macro x() as 1",
    "insert into receipts select * from receipts",
    "update receipts set outcome = 'done'",
    "delete from receipts",
    "truncate receipts",
    "drop view receipts",
    "alter view receipts rename to x",
    "explain analyze delete from receipts",
    "explain analyze update receipts set outcome = 'done'",
    "checkpoint",
    "vacuum",
    "begin; delete from receipts; commit",
    "select 1; copy (select 1) to '{out}'",
    "select 1 -- ; \n; drop view receipts",
    "prepare x as select 1",
    "execute x",
    "call pragma_version()",
    "use memory",
    "select getenv('AURUM_HOME')",
    "select * from environment",
    "select * from settings",
    "select * from arrow_scan(1, 2, 3)",
    "select * from pandas_scan(1)",
    "select * from python_map_function(1)",
    "",
    ";",
    "\0",
    "select '\0",
    "(" * 5_000 + "1" + ")" * 5_000,
]


@pytest.fixture
def full(victim: Victim) -> Victim:
    """A home with something in it, and a secret beside it."""
    victim("run", victim.spec, *JULY)
    (victim.folder / "secret.csv").write_text("hush\n1\n")
    return victim


def test_it_refuses_whatever_is_no_question(full: Victim) -> None:
    before = {path: path.read_bytes() for path in full.home.rglob("*") if path.is_file() and path.suffix != ".owner"}
    places = {"secret": full.folder / "secret.csv", "out": full.folder / "out.csv", "home": full.home}
    for sql in REFUSED:
        asked = sql
        for name, path in places.items():
            asked = asked.replace("{" + name + "}", str(path))
        answered = full.json("inspect", asked.replace("\0", "\N{NULL}"), code=3)
        assert answered["error"]["kind"] == "SpecError", sql
        assert "hush" not in answered["error"]["message"]
        assert not places["out"].exists(), sql
    assert {path: path.read_bytes() for path in before} == before
    assert full.json("inspect", "select count(*) as n from lmp") == [{"n": 48}]


def test_it_opens_what_is_on_record_for_reading_alone(full: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, object]] = []
    connect, connect_sqlite = duckdb.connect, sqlite3.connect

    def told(database: str = "", **named: Any) -> Any:
        opened.append((database, named.get("read_only")))
        return connect(database, **named)

    def told_sqlite(database: str, **named: Any) -> Any:
        opened.append((database, "mode=ro" in database))
        return connect_sqlite(database, **named)

    monkeypatch.setattr(duckdb, "connect", told)
    monkeypatch.setattr(sqlite3, "connect", told_sqlite)
    assert full.json("inspect", "select count(*) as n from receipts, requests") == [{"n": 1}]
    of_files = [
        read_only for database, read_only in opened if str(full.home) in str(database) and "catalog" not in database
    ]
    assert of_files == [True, True]


def test_a_reader_cannot_write(full: Victim) -> None:
    store = Store(full.home / "watermarks.duckdb")
    with pytest.raises(WatermarkError, match="read-only"), store.transaction(write=False) as connection:
        connection.execute("delete from receipts")
    assert len(store.receipts()) == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4096, b"x" * 10_000])
def test_a_file_that_is_no_record_is_told(full: Victim, content: bytes) -> None:
    path = full.home / "quota" / "requests.sqlite"
    for each in path.parent.glob("requests.sqlite*"):
        each.unlink()
    path.write_bytes(content)
    with pytest.raises(WatermarkError, match=r"requests\.sqlite: "):
        tables_of(path.parent)
    full.json("inspect", "from requests", code=1)


@pytest.mark.parametrize("name", ["a?b", "a\\b"])
def test_a_home_that_would_be_another_one_is_refused(victim: Victim, name: str) -> None:
    victim.environment["AURUM_HOME"] = str(victim.folder / name)
    assert "AURUM_HOME" in victim.json("run", victim.spec, code=3)["error"]["message"]
    assert list(victim.folder.iterdir()) == [victim.spec]


@pytest.mark.parametrize("name", ["it's", 'a"b', "a*b[c]", "{x}", "a;b", "$HOME", "a b", "~"])
def test_a_home_of_any_name_is_a_folder(victim: Victim, name: str) -> None:
    """It is part of statements, patterns and addresses of files; the folders that a pattern would mean stay as they are."""
    home = victim.folder / name / "home"
    others = [victim.folder / each / "home" for each in ("axb", "axbc", "x", "a")]
    for other in others:
        (other / "quarantine" / "caiso_lmp").mkdir(parents=True)
        (other / "quarantine" / "caiso_lmp" / "x.parquet").write_bytes(b"no parquet")
    victim.environment["AURUM_HOME"] = str(home)
    victim("run", victim.spec, *JULY)
    victim("maintain", "--apply")
    assert victim.json("inspect", "select count(*) as n from lmp, receipts") == [{"n": 48}]
    assert victim.json("inspect", "from quarantine") == []
    assert all((other / "quarantine" / "caiso_lmp" / "x.parquet").exists() for other in others)
    assert victim.json("inspect", "select count(*) as n from requests")[0]["n"] == 1
