"""Passwords and whole users of a database change while a sink is open: a PostgreSQL that asks everybody for one."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import hvac
import psycopg
import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.errors import SinkUnavailable
from aurum_etl.health.base import Watch
from aurum_etl.health.stores import checks
from aurum_etl.secrets import Reference
from aurum_etl.settings import read_settings
from aurum_etl.sinks import sink as sink_of
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import default_sink
from tests import services
from tests.conftest import server
from tests.frames import DAY, rows, scope
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.settings import Settings


@dataclass
class Guarded:
    """A database whose server wants passwords, with a role that all of our tables are to belong to."""

    owner: str
    """The address for who may do everything."""
    role: str

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

    def prices(self) -> list[tuple[float, int]]:
        return self.ask("select price_total, count(*) from iso_lmp group by 1 order by 1")


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with services.database(server("guarded postgres")["dsn"]) as dsn:
        found = Guarded(dsn, f"loader_{secrets.token_hex(4)}")
        found.do(f"create role {found.role}", f"grant create on schema public to {found.role}")
        yield found
        found.do(f"drop owned by {found.role}", f"drop role {found.role}")


def opened(settings: Settings) -> TimescaleSink:
    sink = sink_of(default_sink("timescale"), settings)
    assert isinstance(sink, TimescaleSink)
    sink.open(LMP_DAY_AHEAD)
    return sink


def load(sink: TimescaleSink, price: float, days_later: int = 0) -> None:
    of = scope(LMP_DAY_AHEAD, DAY + timedelta(days_later))
    sink.stage(rows(of, "A", price=price), of).commit()


@pytest.mark.parametrize("place", ["file", "vault"])
def test_a_new_password_is_shown_from_the_next_chunk_on(
    guarded: Guarded, tmp_path: Path, vault: dict[str, str], place: str
) -> None:
    """Also where what is cached is old: the server's refusal tells."""
    user = guarded.role
    kept = Kept(tmp_path, vault if place == "vault" else None)
    guarded.do(f"alter role {user} login password 'first'")
    kept.put(TIMESCALE_CONNECTION=guarded.address(user, "first"))
    sink = opened(kept.settings())
    load(sink, 1.0)
    half_way = scope(LMP_DAY_AHEAD, DAY + timedelta(1))
    staged = sink.stage(rows(half_way, "A", price=2.0), half_way)
    guarded.do(f"alter role {user} password 'second'")
    kept.put(TIMESCALE_CONNECTION=guarded.address(user, "second"))
    assert staged.commit().rows == 24
    if place == "vault":
        # What was cached is still good for connections that are there, and no longer for new ones.
        sink.close()
    load(sink, 3.0, 2)
    (there,) = guarded.ask(f"select count(*) from pg_stat_activity where usename = '{user}'")
    assert there == (1,), "those of the old password are put away"
    sink.close()
    assert guarded.prices() == [(1.0, 24), (2.0, 24), (3.0, 24)]


def test_a_password_that_stays_wrong_is_told_and_never_shown(guarded: Guarded, tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put(TIMESCALE_CONNECTION=guarded.address(guarded.role, "sesame-of-nobody"))
    settings = kept.settings()
    for ask in (opened, looked_at):
        with pytest.raises(
            SinkUnavailable, match=r"authentication failed.*check the password in TIMESCALE_CON"
        ) as caught:
            ask(settings)
        assert "sesame" not in str(caught.value)


def looked_at(settings: Settings) -> object:
    """What the health of the database is."""
    (check,) = (each for each in checks(settings, ()) if each.name == "timescale")
    return check.look(Watch(10))


def test_health_looks_past_what_is_cached(guarded: Guarded, tmp_path: Path, vault: dict[str, str]) -> None:
    kept = Kept(tmp_path, vault)
    guarded.do(f"alter role {guarded.role} login password 'first'")
    kept.put(TIMESCALE_CONNECTION=guarded.address(guarded.role, "first"))
    settings = kept.settings()
    assert "PostgreSQL" in str(looked_at(settings))
    guarded.do(f"alter role {guarded.role} password 'second'")
    kept.put(TIMESCALE_CONNECTION=guarded.address(guarded.role, "second"))
    assert "PostgreSQL" in str(looked_at(settings))


@dataclass
class Leasing:
    """A Vault that makes users of the database, each for a while."""

    guarded: Guarded
    client: Any
    mount: str
    settings: Settings

    def users(self) -> set[str]:
        """Those that there are."""
        member = f"pg_has_role(oid, '{self.guarded.role}', 'member') and rolname like 'v-%'"
        return {name for (name,) in self.guarded.ask(f"select rolname from pg_roles where {member}")}

    def revoke(self) -> None:
        """End every lease now; Vault takes the users away."""
        self.client.sys.revoke_prefix(f"{self.mount}/creds")


@pytest.fixture(params=[(3600, 3600)])
def leasing(
    request: pytest.FixtureRequest, guarded: Guarded, tmp_path: Path, vault: dict[str, str]
) -> Iterator[Leasing]:
    seconds, most_seconds = request.param
    client: Any = hvac.Client(vault["VAULT_ADDR"], token=vault["VAULT_TOKEN"])
    mount, place = f"db{secrets.token_hex(4)}", urlsplit(guarded.owner)
    client.sys.enable_secrets_engine("database", path=mount)
    client.secrets.database.configure(
        "energy",
        plugin_name="postgresql-database-plugin",
        allowed_roles=["loader"],
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{guarded.address().partition('://')[2]}",
        username=place.username,
        password=place.password,
        mount_point=mount,
    )
    client.secrets.database.create_role(
        "loader",
        "energy",
        # As the README has it.
        creation_statements=[
            "create role \"{{name}}\" login password '{{password}}' valid until '{{expiration}}' in role "
            + guarded.role,
            f'alter role "{{{{name}}}}" set role {guarded.role}',
        ],
        revocation_statements=['drop role if exists "{{name}}"'],
        default_ttl=f"{seconds}s",
        max_ttl=f"{most_seconds}s",
        mount_point=mount,
    )
    settings = read_settings(
        {**vault, "AURUM_HOME": str(tmp_path / "home"), "TIMESCALE_CONNECTION": guarded.address()}
    ).referring({"TIMESCALE_CONNECTION": Reference.parse(f"vault:/{mount}/creds/loader")})
    yield Leasing(guarded, client, mount, settings)
    client.sys.disable_secrets_engine(mount)


def test_a_user_that_vault_takes_away_costs_no_chunk(leasing: Leasing) -> None:
    """Before it is used, and in the middle of a transaction; what it made stays, since it belongs to the role."""
    sink = opened(leasing.settings)
    load(sink, 1.0)
    (first,) = leasing.users()
    half_way = scope(LMP_DAY_AHEAD, DAY + timedelta(40))
    staged = sink.stage(rows(half_way, "A", price=2.0), half_way)
    leasing.revoke()
    assert leasing.users() == set()
    assert staged.commit().rows == 24
    sink.close()
    load(sink, 3.0, 80)
    (second,) = leasing.users()
    assert first != second
    assert leasing.guarded.owners() == {leasing.guarded.role}
    sink.close()
    assert leasing.guarded.prices() == [(1.0, 24), (2.0, 24), (3.0, 24)]
    assert "PostgreSQL" in str(looked_at(leasing.settings))


@pytest.mark.parametrize("leasing", [(2, 4)], indirect=True)
def test_leases_that_end_between_chunks_are_not_noticed(leasing: Leasing) -> None:
    """Users of two seconds, which can be made to last for four."""
    sink, seen = opened(leasing.settings), set()
    ends = time.monotonic() + 8
    chunks = 0
    while time.monotonic() < ends:
        load(sink, 1.0, chunks % 3)
        seen |= leasing.users()
        chunks += 1
        time.sleep(0.3)
    sink.close()
    assert len(seen) > 1
    assert leasing.guarded.prices() == [(1.0, 24 * min(chunks, 3))]
    assert leasing.guarded.owners() == {leasing.guarded.role}
