"""A PostgreSQL connection by ADBC: statements, locks, and errors in words."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tenacity

from aurum_etl.errors import SinkUnavailable
from aurum_etl.redaction import redacted
from aurum_etl.secrets.refusal import once_more_if_refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from adbc_driver_manager.dbapi import Connection

OLDEST_SERVER = 15
"""The major version of PostgreSQL that is needed at least."""
LOCK_SECONDS = 120
"""How long a load waits for another one of the same days."""
_CONNECT_SECONDS = 10
_START_SECONDS = 60
"""How long a server that starts is waited for: after a crash it replays its log before it lets anybody in."""
ADVICE = {
    "28P01": "check the password in TIMESCALE_CONNECTION",
    "28000": "check the user in TIMESCALE_CONNECTION, and what pg_hba.conf allows",
    "3D000": "make it (create database …), or name another in TIMESCALE_CONNECTION",
    "42501": "let the owner of the tables run this, or grant its rights: create on the schema, select, insert and delete on "
    "its tables",
    "53100": "make room on the server's disk; nothing was written",
    "53300": "raise max_connections, or let fewer processes load at once",
    "55P03": f"another process has been loading the same days for {LOCK_SECONDS} s; try again when it is done",
    "57P03": "the server is starting or stopping; try again",
    "25006": "this server only reads; name the primary in TIMESCALE_CONNECTION",
    "22021": "a text holds a character that PostgreSQL cannot store",
}
"""What to do, by SQLSTATE."""
_COMES_AND_GOES = "the database system is "
"""It starts up, shuts down, recovers, or does not yet accept connections."""
_ADVICE_BY_WORDS = {
    "password authentication failed": ADVICE["28P01"],
    "no password supplied": ADVICE["28P01"],
    'role "': ADVICE["28000"],
    'database "': ADVICE["3D000"],
    "too many clients": ADVICE["53300"],
    _COMES_AND_GOES: ADVICE["57P03"],
    "Connection refused": "check that the server runs, and where TIMESCALE_CONNECTION points",
    "could not translate host name": "check the host in TIMESCALE_CONNECTION",
    "connection info string": "TIMESCALE_CONNECTION is postgresql://user@host:port/database, or words such as host=… dbname=…",
    "No space left on device": ADVICE["53100"],
}
"""The same where there is no connection yet, and no SQLSTATE."""
_REFUSED = frozenset({"28P01", "28000"})
_REFUSED_WORDS = ("authentication failed", "no password supplied", 'role "', "no pg_hba.conf entry")


@tenacity.retry(
    retry=tenacity.retry_if_exception(lambda error: _COMES_AND_GOES in str(error)),
    wait=tenacity.wait_random_exponential(0.5, max=3),
    stop=tenacity.stop_after_delay(_START_SECONDS),
    reraise=True,
)
def connect(dsn: str) -> Connection:
    """A new connection, which runs in UTC, does not wait for ever, and takes backslashes for what they are.

    Raises: the driver's Error if there is none to be had; one that starts is waited for.
    """
    from adbc_driver_postgresql import dbapi

    connection: Connection = dbapi.connect(with_defaults(dsn))
    do(
        connection,
        # Partitions are told in UTC, whatever the server or the user prefers.
        "set timezone = 'UTC'",
        f"set lock_timeout = '{LOCK_SECONDS}s'",
        "set standard_conforming_strings = on",
    )
    connection.commit()
    return connection


@dataclass(frozen=True, slots=True)
class Link:
    """A connection, and what it was made with."""

    connection: Connection
    dsn: str = field(repr=False)

    def explain(self, error: BaseException) -> str:
        """See `explain`."""
        return explain(error, self.dsn)


def linked(dsn: Callable[[], str], forget: Callable[[], None], connect: Callable[[str], Connection] = connect) -> Link:
    """A connection with what the secrets are now: looked up past what is cached, where the server does not know them.

    Raises: SinkUnavailable if there is none to be had; SecretError if the secrets are not.
    """
    from adbc_driver_manager.dbapi import Error

    def link(found: str) -> Link:
        try:
            return Link(connect(found), found)
        except Error as error:
            raise SinkUnavailable(f"timescale: cannot be reached: {explain(error, found)}") from error

    return once_more_if_refused(link, dsn, forget, lambda error: _is_refusal(error.__cause__))


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the server does not take us for who we say we are; before there is a connection, only words tell."""
    return getattr(error, "sqlstate", None) in _REFUSED or any(words in str(error) for words in _REFUSED_WORDS)


def ask(connection: Connection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The answer to a small question."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def do(connection: Connection, *statements: str, parameters: tuple[object, ...] | None = None) -> None:
    """Execute the statements one after the other: the driver takes one at a time."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, parameters)


def lives(connection: Connection) -> bool:
    """Whether the server still answers on it."""
    try:
        ask(connection, "select 1")
        connection.rollback()
    except Exception:  # noqa: BLE001 - whatever it is, it is of no use
        return False
    return True


def drop(connection: Connection) -> None:
    """Let go of a connection that may be broken; the server rolls back what it had begun."""
    with suppress(Exception):
        connection.close()


def number_of(text: str) -> int:
    """A lock's number, the same on any machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def with_defaults(dsn: str, seconds: int = _CONNECT_SECONDS) -> str:
    """Give up on a host that does not answer, unless the connection says how long to wait."""
    if "connect_timeout" in dsn:
        return dsn
    if "://" in dsn:
        return f"{dsn}{'&' if '?' in dsn else '?'}connect_timeout={seconds}"
    return f"{dsn} connect_timeout={seconds}"


def quoted(text: str) -> str:
    """The text as a literal; every connection is told to take backslashes for what they are."""
    return "'" + text.replace("'", "''") + "'"


def explain(error: BaseException, dsn: str) -> str:
    """The error in one line, without what is secret, and what to do about it where that is known."""
    # A connection that cannot be read is repeated in libpq's complaint, password and all.
    text = str(error).replace(with_defaults(dsn), "TIMESCALE_CONNECTION").replace(dsn, "TIMESCALE_CONNECTION")
    text = redacted(text).strip().splitlines()[0].replace("[libpq] ", "")
    state = getattr(error, "sqlstate", None)
    advice = ADVICE.get(str(state)) or next((told for words, told in _ADVICE_BY_WORDS.items() if words in text), None)
    return f"{text}; {advice}" if advice else text
