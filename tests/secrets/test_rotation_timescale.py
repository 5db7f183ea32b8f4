"""Passwords and whole users of a database change while a sink is open: a PostgreSQL that asks everybody for one."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import hvac
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
from tests.frames import DAY, rows, scope
from tests.secrets.guarded import Guarded, guarded_database, let_vault_make_users
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.settings import Settings


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with guarded_database() as found:
        yield found


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


@pytest.fixture
def client(vault: dict[str, str]) -> Any:
    """Whoever keeps the Vault."""
    return hvac.Client(vault["VAULT_ADDR"], token=vault["VAULT_TOKEN"])


@pytest.fixture(params=[(3600, 3600)])
def mount(request: pytest.FixtureRequest, guarded: Guarded, client: Any) -> Iterator[str]:
    """A mount that makes users."""
    found = let_vault_make_users(client, guarded, *request.param)
    yield found
    client.sys.disable_secrets_engine(found)


@pytest.fixture
def leased(guarded: Guarded, mount: str, tmp_path: Path, vault: dict[str, str]) -> Settings:
    """The settings of who has such a user."""
    home = str(tmp_path / "home")
    found = read_settings({**vault, "AURUM_HOME": home, "TIMESCALE_CONNECTION": guarded.address()})
    return found.referring({"TIMESCALE_CONNECTION": Reference.parse(f"vault:/{mount}/creds/loader")})


def test_a_user_that_vault_takes_away_costs_no_chunk(
    guarded: Guarded, leased: Settings, client: Any, mount: str
) -> None:
    """Before it is used, and in the middle of a transaction; what it made stays, since it belongs to the role."""
    sink = opened(leased)
    load(sink, 1.0)
    (first,) = guarded.users()
    half_way = scope(LMP_DAY_AHEAD, DAY + timedelta(40))
    staged = sink.stage(rows(half_way, "A", price=2.0), half_way)
    client.sys.revoke_prefix(f"{mount}/creds")
    assert guarded.users() == set()
    assert staged.commit().rows == 24
    sink.close()
    load(sink, 3.0, 80)
    (second,) = guarded.users()
    assert first != second
    assert guarded.owners() == {guarded.role}
    sink.close()
    assert guarded.prices() == [(1.0, 24), (2.0, 24), (3.0, 24)]
    assert "PostgreSQL" in str(looked_at(leased))


@pytest.mark.parametrize("mount", [(2, 4)], indirect=True)
def test_leases_that_end_between_chunks_are_not_noticed(guarded: Guarded, leased: Settings) -> None:
    """Users of two seconds, which can be made to last for four."""
    sink, seen = opened(leased), set[str]()
    ends = time.monotonic() + 8
    chunks = 0
    while time.monotonic() < ends:
        load(sink, 1.0, chunks % 3)
        seen |= guarded.users()
        chunks += 1
        time.sleep(0.3)
    sink.close()
    assert len(seen) > 1
    assert guarded.prices() == [(1.0, 24 * min(chunks, 3))]
    assert guarded.owners() == {guarded.role}
