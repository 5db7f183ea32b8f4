"""Dynamic secrets: roles of a real PostgreSQL that Vault makes, and takes away when their lease or its token ends."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl.errors import SecretDenied, SecretError, VaultUnavailable
from tests import services
from tests.secrets.keeper import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aurum_etl.secrets.vault import Vault
    from tests.secrets.between import Between
    from tests.secrets.keeper import Keeper

LOADER = "/database/creds/loader"
READ = "GET database/creds/loader"
RENEWAL = "PUT sys/leases/renew"
RIGHTS = 'path "database/*" { capabilities = ["read"] }'
MAKE = """create role "{{name}}" with login password '{{password}}' valid until '{{expiration}}'"""
REPLACE = """alter user "{{name}}" with password '{{password}}'"""


class Database:
    """A database whose roles Vault makes. Its server asks nobody for a password: what counts is who one is there."""

    def __init__(self, keeper: Keeper, dsn: str) -> None:
        self._keeper = keeper
        self._dsn = dsn
        place = urlsplit(dsn)
        keeper.client.sys.enable_secrets_engine("database")
        keeper.client.secrets.database.configure(
            name="here",
            plugin_name="postgresql-database-plugin",
            allowed_roles="*",
            connection_url="postgresql://{{username}}:{{password}}@"
            f"{place.hostname}:{place.port}{place.path}?sslmode=disable",
            username=place.username or "postgres",
            password=place.password or "whatever",
        )
        keeper.policy("database", RIGHTS)

    def lasts(self, seconds: int, at_most: int) -> None:
        """So long does a role of the loader's last from now on."""
        self._keeper.client.secrets.database.create_role(
            name="loader",
            db_name="here",
            creation_statements=[MAKE],
            default_ttl=f"{seconds}s",
            max_ttl=f"{at_most}s",
        )

    def rotates(self, user: str, seconds: int) -> None:
        """That user's password is changed so often."""
        services.execute(self._dsn, f"create role {user} login")
        self._keeper.client.secrets.database.create_static_role(
            name=user,
            db_name="here",
            username=user,
            rotation_statements=[REPLACE],
            rotation_period=f"{seconds}s",
        )

    def rotate(self, user: str) -> None:
        """Change it now."""
        self._keeper.post(f"database/rotate-role/{user}")

    def user(self, secret: Mapping[str, str] | None) -> str:
        """Who one is there, by that secret.

        Raises: dbapi.Error if the role is not there.
        """
        assert secret is not None
        place = urlsplit(self._dsn)
        who = f"{quote(secret['username'])}:{quote(secret['password'])}@{place.hostname}:{place.port}"
        with dbapi.connect(urlunsplit(place._replace(netloc=who))) as connection, connection.cursor() as cursor:
            cursor.execute("select current_user::text")
            ((found,),) = cursor.fetchall()
        return str(found)

    def has(self, secret: Mapping[str, str] | None) -> bool:
        """Whether the role is there, a moment after it may have been taken away."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.user(secret)
            except dbapi.Error:
                return False
            time.sleep(0.2)
        return True


@pytest.fixture
def roles(keeper: Keeper, database: str) -> Iterator[Database]:
    found = Database(keeper, database)
    found.lasts(60, at_most=600)
    yield found
    # What it made goes with it, and its connections.
    keeper.client.sys.disable_secrets_engine("database")


def line_vault(keeper: Keeper, line: Between, clock: Clock | None = None) -> Vault:
    return keeper.vault(clock=clock, address=line.address)


def demand_another_role(vault: Vault, first: Mapping[str, str] | None, roles: Database) -> None:
    """What is read now is another role than the first, and one that the database lets in."""
    second = vault.read(LOADER)
    assert second is not None
    assert second != first
    assert roles.user(second) == second["username"]


def test_a_role_is_made_and_gets_into_the_database(keeper: Keeper, roles: Database, line: Between) -> None:
    vault = line_vault(keeper, line)
    found = vault.read(LOADER)
    assert found is not None
    assert roles.user(found) == found["username"]
    assert vault.read(LOADER) == found
    assert line.heard.count(READ) == 1


def test_a_lease_is_renewed_when_half_of_it_is_over(keeper: Keeper, roles: Database, line: Between) -> None:
    clock = Clock()
    vault = line_vault(keeper, line, clock)
    found = vault.read(LOADER)
    clock.ahead += 25
    assert vault.read(LOADER) == found
    assert line.heard.count(RENEWAL) == 0
    clock.ahead += 10
    assert vault.read(LOADER) == found
    assert vault.read(LOADER) == found
    assert (line.heard.count(RENEWAL), line.heard.count(READ)) == (1, 1)


def test_a_role_outlives_its_lease_by_being_used_up_to_its_end(keeper: Keeper, roles: Database, line: Between) -> None:
    """In real time: four seconds, renewed up to eight; then there is another one, and nobody notices."""
    roles.lasts(4, at_most=8)
    vault = line_vault(keeper, line)
    first = vault.read(LOADER)
    seen: dict[str, float] = {}
    until = time.monotonic() + 12
    while time.monotonic() < until:
        found = vault.read(LOADER)
        assert found is not None
        assert roles.user(found) == found["username"]
        seen[found["username"]] = time.monotonic()
        time.sleep(0.1)
    assert 2 <= line.heard.count(RENEWAL) <= 12, "once in a while, not at each use"
    assert 2 <= len(seen) <= 4, "neither a new one each time, nor one beyond its end"
    assert not roles.has(first)


def test_a_renewal_that_brings_nothing_is_the_last(keeper: Keeper, roles: Database, line: Between) -> None:
    """Near the end that Vault sets, it renews for less and less: another role is had while the first still has time."""
    clock = Clock()
    vault = line_vault(keeper, line, clock)
    first = vault.read(LOADER)
    clock.ahead += 35
    line.faults.append((200, b'{"lease_id":"x","lease_duration":20,"renewable":true,"data":null}', {}))
    second = vault.read(LOADER)
    assert second is not None
    assert second != first
    assert vault.read(LOADER) == second
    assert (line.heard.count(RENEWAL), line.heard.count(READ)) == (1, 2)


def test_a_lease_that_ended_unused_is_followed_by_another(keeper: Keeper, roles: Database, line: Between) -> None:
    roles.lasts(2, at_most=2)
    vault = line_vault(keeper, line)
    first = vault.read(LOADER)
    time.sleep(3)
    demand_another_role(vault, first, roles)
    assert not roles.has(first)


def test_a_lease_that_was_revoked_is_followed_by_another_at_its_renewal(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    clock = Clock()
    vault = line_vault(keeper, line, clock)
    first = vault.read(LOADER)
    keeper.client.sys.revoke_prefix("database/creds/loader")
    clock.ahead += 40
    demand_another_role(vault, first, roles)


def test_what_is_forgotten_is_not_renewed_but_had_anew(keeper: Keeper, roles: Database, line: Between) -> None:
    """Whoever was refused by the database wants another role, not the same for longer."""
    vault = line_vault(keeper, line)
    first = vault.read(LOADER)
    vault.forget(LOADER)
    demand_another_role(vault, first, roles)


def test_leases_end_with_their_token_and_are_had_anew(keeper: Keeper, roles: Database, line: Between) -> None:
    """In real time: a lease for ten minutes is worth nothing after a token for two seconds that cannot be renewed."""
    roles.lasts(600, at_most=600)
    access = keeper.approle("database", token_ttl="2s", token_max_ttl="2s")
    vault = keeper.vault(access, address=line.address)
    first = vault.read(LOADER)
    time.sleep(3)
    demand_another_role(vault, first, roles)
    assert not roles.has(first)


def test_what_is_leased_to_a_token_near_its_end_is_had_anew_in_time(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    """Whoever still uses the old role has as long as its token has left."""
    roles.lasts(600, at_most=600)
    clock = Clock()
    access = keeper.approle("database", token_ttl="90s", token_type="batch")
    vault = keeper.vault(access, clock, address=line.address)
    first = vault.read(LOADER)
    clock.ahead += 65
    second = vault.read(LOADER)
    assert first is not None
    assert second is not None
    assert roles.user(second) == second["username"] != first["username"]
    assert roles.user(first) == first["username"]
    assert vault.read(LOADER) == second


def test_what_is_leased_to_a_token_that_has_ended_is_not_given_out(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    """In real time: where nothing can be had in its place, that is told."""
    roles.lasts(600, at_most=600)
    access = keeper.approle("database", token_ttl="3s", token_max_ttl="3s")
    given = keeper.vault(token=keeper.token("database", ttl="3s", renewable=False), address=line.address)
    own = keeper.vault(access, address=line.address)
    assert given.read(LOADER) is not None
    assert own.read(LOADER) is not None
    time.sleep(4)
    with pytest.raises(SecretError, match="VAULT_TOKEN: it has ended"):
        given.read(LOADER)
    line.faults.extend([(503, b'{"errors":["Vault is sealed"]}', {})] * 9)
    with pytest.raises(VaultUnavailable, match="sealed"):
        own.read(LOADER)


def test_a_lease_keeps_its_token_alive(keeper: Keeper, roles: Database, line: Between) -> None:
    """In real time: nothing but what is known is used for longer than the token would last."""
    roles.lasts(600, at_most=600)
    vault = keeper.vault(keeper.approle("database", token_ttl="5s"), address=line.address)
    first = vault.read(LOADER)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        assert vault.read(LOADER) == first
        time.sleep(0.1)
    assert first is not None
    assert roles.user(first) == first["username"]
    assert line.heard.count("POST auth/approle/login") == line.heard.count(READ) == 1
    assert line.heard.count(RENEWAL) == 0


def test_leases_of_a_revoked_token_are_had_anew_as_soon_as_that_is_known(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    access = keeper.approle("database", keeper.policy("reader"))
    keeper.put("iso/pjm", {"api_key": "orchid"})
    vault = keeper.vault(access, address=line.address)
    first = vault.read(LOADER)
    (accessor,) = keeper.accessors()
    keeper.client.auth.token.revoke_accessor(accessor)
    assert vault.read("iso/pjm") == {"api_key": "orchid"}, "another token was had"
    demand_another_role(vault, first, roles)


def test_a_password_that_is_changed_on_a_schedule_is_not_gone_by_for_longer(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    user = f"user_{time.time_ns()}"
    roles.rotates(user, 60)
    clock = Clock()
    vault = line_vault(keeper, line, clock)
    first = vault.read(f"/database/static-creds/{user}")
    assert roles.user(first) == user
    roles.rotate(user)
    assert vault.read(f"/database/static-creds/{user}") == first
    clock.ahead += 61
    second = vault.read(f"/database/static-creds/{user}")
    assert first is not None
    assert second is not None
    assert second["password"] != first["password"]
    assert roles.user(second) == user


def test_a_lease_that_cannot_be_renewed_for_a_while_is_used_up_to_its_end(
    keeper: Keeper, roles: Database, line: Between
) -> None:
    clock = Clock()
    vault = line_vault(keeper, line, clock)
    first = vault.read(LOADER)
    clock.ahead += 35
    line.faults.append((503, b'{"errors":["Vault is sealed"]}', {}))
    assert vault.read(LOADER) == vault.read(LOADER) == first
    assert line.heard.count(RENEWAL) == 1, "it is left alone for a moment"
    clock.ahead += 6
    assert vault.read(LOADER) == first
    assert line.heard.count(RENEWAL) == 2
    assert line.heard.count(READ) == 1


def test_who_may_not_ask_for_a_role_is_told_what_to_allow(keeper: Keeper, roles: Database) -> None:
    vault = keeper.vault(replace(keeper.access, token=keeper.token(keeper.policy("reader"))))
    with pytest.raises(SecretDenied, match='must allow "read" on "database/creds/loader"'):
        vault.read(LOADER)
