"""Secrets that would be recognized anywhere, and a look into everything that a home, a database and a topic hold."""

from __future__ import annotations

import base64
import gzip
import io
import json
import secrets
import sqlite3
import zipfile
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import duckdb
import fastavro
import polars as pl
from adbc_driver_postgresql import dbapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SHAPES = {
    "plain": "{}-{}",
    "percent": "{}%20/@:?&#+= {}",
    "quotes": "{}'x\"y\\z{}",
    "dollar": "{}$HOME${}",
    "json": '{}", "a": [{{}}], "b": "{}',
    "letters": "{}wörd–ß{}",
}


class Canaries:
    """Values that are planted, each by the name of its place."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def __call__(self, place: str, shape: str = "plain", user: str = "") -> str:
        """A new value of that shape; with a user it is also looked for as a Basic header has the two."""
        head, tail = (f"{word}{secrets.token_hex(5)}" for word in ("Head", "Tail"))
        value = SHAPES[shape].format(head, tail)
        self._marks |= {head: place, tail: place}
        if user:
            pair = base64.b64encode(f"{user}:{value}".encode()).decode().rstrip("=")
            self._marks[pair] = f"{place}, as a header has it"
        return value

    def found_in(self, told: bytes | str) -> set[str]:
        """The places whose secrets are in it, in whatever spelling: letters and digits stay what they are in all of them."""
        text = told if isinstance(told, str) else told.decode("utf-8", "replace")
        return {place for mark, place in self._marks.items() if mark in text}


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below the folder as it is, and what is packed in it, as text."""
    # All at once: who opens a database takes away what lies beside it.
    found = [(path, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    for path, content in found:
        yield path, content
        for told in _unpacked(path, content):
            yield path, told


def _unpacked(path: Path, content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError):
            yield gzip.decompress(content)
    elif content.startswith(b"PK"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif content.startswith(b"PAR1"):
        yield pl.read_parquet(io.BytesIO(content)).write_ndjson().encode()
        yield repr(pl.read_parquet_metadata(io.BytesIO(content))).encode()
    elif content.startswith(b"Obj\x01"):
        reader = fastavro.reader(io.BytesIO(content))
        yield repr((reader.metadata, list(reader))).encode()
    elif content.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as database:
            yield "\n".join(database.iterdump()).encode()
    elif content[8:12] == b"DUCK":
        with duckdb.connect(path, read_only=True) as database:
            for (name,) in database.execute("select table_name from duckdb_tables()").fetchall():
                # As text: instants as Python has them want a package that nothing else here does.
                yield repr(database.execute(f'select found::varchar from "{name}" found').fetchall()).encode()


def rows_of_database(dsn: str) -> Iterator[tuple[str, str]]:
    """Every row of every table there, as text, and what is said about the tables."""
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
        for schema, name in cursor.fetchall():
            cursor.execute(f'select t::text from "{schema}"."{name}" t')
            yield from ((f"{schema}.{name}", text) for (text,) in cursor.fetchall())
        cursor.execute("select description from pg_description")
        yield from (("comments", text) for (text,) in cursor.fetchall())


def as_received(archive: Path) -> set[str]:
    """Digests of the bodies that are kept to the byte: those of status 200."""
    records: Iterable[dict[str, object]] = (
        json.loads(path.read_text()) for path in archive.rglob("exchanges/*/*/*.json")
    )
    return {str(each["sha256"]) for each in records if each["status"] == 200}
