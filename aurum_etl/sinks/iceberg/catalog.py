"""Where Iceberg tables are: the catalog, the dialect of the contract, and what to do when either refuses."""

from __future__ import annotations

import errno
import logging
import sqlite3
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aurum_etl.contracts import ColumnType
from aurum_etl.errors import SpecError, in_words
from aurum_etl.sinks.iceberg.sealed import sealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema

    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings

CATALOG = "aurum"
NAMESPACE = "iso"

_WRITABLE = "check that AURUM_HOME is a folder that you may write to"
_ROOM = "make room on its disk, or point AURUM_HOME at another"
_RESTORE = "put back a copy of catalog.db, or use another AURUM_HOME"
_ADVICE: dict[int | str | None, str] = {
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _WRITABLE,
    errno.ENOENT: "check that AURUM_HOME is still where it was",
    errno.ENOTDIR: "check that nothing but folders is on the way there",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    "SQLITE_CANTOPEN": _WRITABLE,
    "SQLITE_READONLY": _WRITABLE,
    "SQLITE_FULL": _ROOM,
    "SQLITE_BUSY": "another process holds the catalog; try again when it is done",
    "SQLITE_NOTADB": _RESTORE,
    "SQLITE_CORRUPT": _RESTORE,
}
"""What to do, by the number of an operating system's error or the name of one of SQLite's."""
_ADVICE_BY_WORD = {
    "NoSuchBucket": "make the bucket of AURUM_ICEBERG_WAREHOUSE, or name another",
    "bucket does not exist": "make the bucket of AURUM_ICEBERG_WAREHOUSE, or name another",
    "ACCESS_DENIED": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and their rights to the bucket",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "password authentication failed": "check the user and the password in AURUM_ICEBERG_URI",
    "does not exist": "make it, or name another in AURUM_ICEBERG_URI",
    "Connection refused": "check that it runs, and where AURUM_ICEBERG_URI and AWS_ENDPOINT_URL point",
    "Unauthorized": "check AURUM_ICEBERG_TOKEN or AURUM_ICEBERG_CREDENTIAL",
}
"""The same by words of the error, for stores that have no numbers."""
_REFUSED = (
    "ACCESS_DENIED",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "authentication failed",
    "Unauthorized",
    "Forbidden",
    "AuthorizationExpired",
)
"""Words of who does not take us for who we say we are, or no longer."""


def open_catalog(settings: Settings, limits: Mapping[str, str] = MappingProxyType({})) -> Catalog:
    """The catalog that the settings name: SQLite under home, a PostgreSQL database, or a REST catalog; `limits` are properties
    of its storage that the settings leave open.

    Raises: SpecError if `AURUM_ICEBERG_URI` is none of them, or a part that it needs is missing.
    """
    named = settings.catalog
    properties = {**limits, **named}
    uri = properties.pop("uri", "")
    scheme = urlsplit(uri).scheme
    properties.setdefault("warehouse", str(settings.home / "warehouse"))
    if properties.get("s3.endpoint"):
        # Stores that are not Amazon's want no region, but the client asks for one.
        properties.setdefault("s3.region", "us-east-1")
    if not uri:
        from sqlalchemy import URL

        # Plain paths: an escaped blank in a file address would be taken for part of a folder's name.
        uri = URL.create("sqlite", database=str(settings.home / "catalog.db")).render_as_string()
    elif scheme in ("http", "https"):
        from pyiceberg.catalog.rest import RestCatalog

        if "warehouse" not in named:
            properties.pop("warehouse")  # such a catalog has one of its own
        # The server removes old metadata; the library tries it again, and warns each time.
        logging.getLogger("pyiceberg.catalog").setLevel(logging.ERROR)
        return sealed(RestCatalog)(CATALOG, uri=uri, **properties)
    elif scheme in ("postgresql", "postgres"):
        uri = _with_driver(uri)
        # A server that was restarted has left dead connections, and each would cost a chunk its attempt.
        properties.setdefault("pool_pre_ping", "true")
    else:
        raise SpecError(
            f'AURUM_ICEBERG_URI: a catalog of scheme "{scheme}" is not one of postgresql://, http://, https://'
        )
    from pyiceberg.catalog.sql import SqlCatalog

    return sealed(SqlCatalog)(CATALOG, uri=uri, **properties)


def _with_driver(uri: str) -> str:
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        raise SpecError(
            "AURUM_ICEBERG_URI: a PostgreSQL catalog needs psycopg; pip install 'aurum-etl[postgres-catalog]'"
        )
    return f"postgresql+psycopg://{uri.partition('://')[2]}"


def close_catalog(catalog: Catalog) -> None:
    """Let go of the catalog's connections."""
    if engine := getattr(catalog, "engine", None):
        engine.dispose()
    elif session := getattr(catalog, "_session", None):
        session.close()


def iceberg_schema(contract: Contract) -> Schema:
    """The contract in Iceberg's dialect, from its one definition. Iceberg has no 16-bit integer: 32 bits stand in."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import DateType, DoubleType, IntegerType, NestedField, StringType, TimestamptzType

    types = {
        ColumnType.STRING: StringType(),
        ColumnType.INT16: IntegerType(),
        ColumnType.DOUBLE: DoubleType(),
        ColumnType.TIMESTAMP: TimestamptzType(),
        ColumnType.DATE: DateType(),
    }
    fields = [
        NestedField(
            field_id=number,
            name=column.name,
            field_type=types[column.type],
            required=not column.nullable,
            doc=f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
        )
        for number, column in enumerate(contract.columns, start=1)
    ]
    return Schema(*fields)


def is_refusal(error: Exception) -> bool:
    """Whether catalog or storage refuse what they were shown; storage that is refused says so in a chain of errors."""
    found: BaseException | None = error
    while found is not None:
        if any(word in f"{type(found).__name__}: {found}" for word in _REFUSED):
            return True
        found = found.__cause__ or found.__context__
    return False


def told(error: BaseException) -> str:
    """The error in one line, without SQL, and what to do about it where that is known."""
    if isinstance(cause := getattr(error, "orig", None), BaseException):
        error = cause
    code: int | str | None = getattr(error, "errno", None)
    if isinstance(error, sqlite3.Error):
        # Extended names say more than is needed: SQLITE_CANTOPEN_ISDIR.
        code = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    line = in_words(error).splitlines()[0]
    if code in _ADVICE:
        return f"{line}; {_ADVICE[code]}"
    advice = next((advice for word, advice in _ADVICE_BY_WORD.items() if word in str(error)), None)
    return f"{line}; {advice}" if advice else line
