"""A PostgreSQL that asks everybody for a password, and a Vault that makes users of it."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests import services
from tests.conftest import server

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Guarded:
    """A database whose server wants passwords, with a role that all of our tables are to belong to."""

    owner: str
    """The address for who may do everything."""
    role: str

    @property
    def maker(self) -> str:
        """Who may make users that are members of the role, and nothing else; the name is the password."""
        return f"{self.role}_vault"

    def do(self, *statements: str) -> None:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            for each in statements:
                connection.execute(each.encode())

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner) as connection:
            return connection.execute(sql.encode()).fetchall()

    def address(self, user: str = "", password: str = "") -> str:
        """The address for that user."""
        place = urlsplit(self.owner)
        login = f"{user}:{password}@" if user else ""
        return urlunsplit(place._replace(netloc=login + place.netloc.rpartition("@")[2]))

    def owners(self) -> set[str]:
        """Whom our tables, partitions and views belong to."""
        found = self.ask("select distinct relowner::regrole::text from pg_class where relname like 'iso\\_%'")
        return {name for (name,) in found}

    def users(self) -> set[str]:
        """Those that Vault has made, and not taken away yet."""
        member = f"pg_has_role(oid, '{self.role}', 'member') and rolname like 'v-%'"
        return {name for (name,) in self.ask(f"select rolname from pg_roles where {member}")}

    def prices(self) -> list[tuple[float, int]]:
        return self.ask("select price_total, count(*) from iso_lmp group by 1 order by 1")


@contextmanager
def guarded_database() -> Iterator[Guarded]:
    """A new one, gone in the end."""
    with services.database(server("guarded postgres")["dsn"]) as dsn:
        found = Guarded(dsn, f"loader_{secrets.token_hex(4)}")
        found.do(
            f"create role {found.role}",
            f"grant create on schema public to {found.role}",
            f"create role {found.maker} login createrole password '{found.maker}'",
            f"grant {found.role} to {found.maker} with admin option",
        )
        yield found
        found.do(f"drop owned by {found.role}", f"drop role {found.role}", f"drop role {found.maker}")


def let_vault_make_users(client: Any, guarded: Guarded, seconds: int, most_seconds: int) -> str:
    """The mount whose `creds/loader` are users of that database for so many seconds, made as the README has it."""
    mount = f"db{secrets.token_hex(4)}"
    client.sys.enable_secrets_engine("database", path=mount)
    client.secrets.database.configure(
        "energy",
        plugin_name="postgresql-database-plugin",
        allowed_roles=["loader"],
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{guarded.address().partition('://')[2]}",
        username=guarded.maker,
        password=guarded.maker,
        mount_point=mount,
    )
    user = "create role \"{{name}}\" login password '{{password}}' valid until '{{expiration}}'"
    client.secrets.database.create_role(
        "loader",
        "energy",
        creation_statements=[
            f"{user} in role {guarded.role}",
            f'alter role "{{{{name}}}}" set role {guarded.role}',
        ],
        revocation_statements=['drop role if exists "{{name}}"'],
        default_ttl=f"{seconds}s",
        max_ttl=f"{most_seconds}s",
        mount_point=mount,
    )
    return mount
