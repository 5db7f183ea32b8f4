"""A Vault that is sealed, gone, or tired of a token while `aurum-etl backfill` runs: a process, a PostgreSQL whose users it
makes, and an ISO that is asked twice a second.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl.market import Iso
from aurum_etl.secrets import SECRETS
from aurum_etl.simulator import Simulator
from tests.frames import spec
from tests.secrets.guarded import Guarded, guarded_database, let_vault_make_users
from tests.secrets.keeper import READER
from tests.secrets.test_outage import sealable
from tests.test_cli import Shell
from tests.test_reload import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.secrets.keeper import Keeper

DAYS = 8
JULY = ("--from", "2026-07-01", "--to", f"2026-07-{1 + DAYS:02}", "--profile", "production", "--attempts", "1")
TEXT = """
dataset: pjm_load
source: {{concurrent_chunks: 1}}
quota: {{requests_per_minute: 120, burst: 1}}
sinks: [{{kind: timescale, secret: "vault:/{mount}/creds/loader"}}]
"""
CACHE_SECONDS = 2


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with guarded_database() as found:
        yield found


@pytest.fixture
def pjm() -> Iterator[Simulator]:
    with Simulator(isos=[Iso.PJM]) as found:
        yield found


def shell_of(home: Path, simulator: Simulator, guarded: Guarded, **variables: str) -> Shell:
    """The command, where nothing but Vault has a secret."""
    found = Shell(home, simulator)
    for name in (*SECRETS, *(each for each in found.environment if each.startswith("VAULT_"))):
        found.environment.pop(name, None)
    found.environment |= {"TIMESCALE_CONNECTION": guarded.address(), **variables}
    return found


def rows(guarded: Guarded) -> tuple[int, int, int]:
    """Rows, distinct keys, and days."""
    sql = "select count(*), count(distinct (series_id, interval_start)), count(distinct operating_date) from iso_load"
    (found,) = guarded.ask(sql)
    return found


def states(job: Any) -> list[str]:
    """Of the chunks, in the order of their days."""
    return [each["state"] for each in sorted(job["chunks"], key=lambda each: each["key"])]


def test_a_seal_in_mid_backfill_is_gone_by_for_a_while_then_loud_and_then_made_good(
    tmp_path: Path, guarded: Guarded, pjm: Simulator
) -> None:
    with sealable() as vault:
        mount = let_vault_make_users(vault.keeper.client, guarded, 3600, 3600)
        vault.keeper.put("iso/pjm", {"api_key": pjm.env["PJM_API_KEY"]})
        access = vault.keeper.access
        login = {"VAULT_ADDR": access.address, "VAULT_TOKEN": access.token}
        shell = shell_of(tmp_path / "home", pjm, guarded, AURUM_VAULT_CACHE_SECONDS=str(CACHE_SECONDS), **login)
        path = spec(tmp_path, TEXT.format(mount=mount))
        with shell.start("backfill", path, *JULY, "--json") as running:
            until(lambda: len(pjm.log) >= 2)
            vault.seal()
            asked = len(pjm.log)
            out, err = running.communicate(timeout=120)
        assert running.returncode == 1, err
        (job,) = shell.json("backfill", "list")
        status = shell.json("backfill", "show", job["job"])
        found = states(status)
        done = found.count("done")
        assert asked <= done < DAYS, "for a while the key is known"
        assert found == ["done"] * done + ["failed"] * (DAYS - done)
        assert "sealed" in out + err
        failed = [each["error"] for each in status["chunks"] if each["state"] == "failed"]
        assert all(re.match(r"VaultUnavailable: .*is sealed: `vault operator unseal`", each) for each in failed), failed
        (reached,) = shell.json("inspect", "select watermark from watermarks")
        # Midnight in New York.
        assert reached["watermark"].startswith(f"2026-07-{1 + done:02}T04:00"), "no further than what is there"
        assert rows(guarded)[2] == done
        vault.unseal()
        resumed = shell.json("backfill", "resume", job["job"])
        assert (resumed["state"], resumed["counts"]) == ("completed", {"done": DAYS})
        count, distinct, days = rows(guarded)
        assert count == distinct
        assert days == DAYS


def test_tokens_that_end_in_mid_backfill_are_not_noticed(
    tmp_path: Path, guarded: Guarded, pjm: Simulator, keeper: Keeper
) -> None:
    """Tokens of two seconds, each of which takes the users with it that it has asked for."""
    mount = let_vault_make_users(keeper.client, guarded, 3600, 3600)
    keeper.put("iso/pjm", {"api_key": pjm.env["PJM_API_KEY"]})
    rights = keeper.policy("loader", f'{READER}path "{mount}/creds/*" {{ capabilities = ["read"] }}')
    access = keeper.approle(rights, token_ttl="1s", token_max_ttl="2s")
    login = {"VAULT_ROLE_ID": access.role_id, "VAULT_SECRET_ID": access.secret_id, "VAULT_NAMESPACE": access.namespace}
    shell = shell_of(tmp_path / "home", pjm, guarded, VAULT_ADDR=access.address, **login)
    shell.environment["AURUM_VAULT_CACHE_SECONDS"] = "0"
    job = shell.json("backfill", spec(tmp_path, TEXT.format(mount=mount)), *JULY)
    assert (job["state"], job["counts"]) == ("completed", {"done": DAYS})
    assert guarded.owners() == {guarded.role}
    count, distinct, days = rows(guarded)
    assert (count, days) == (distinct, DAYS)


def test_without_a_vault_nothing_is_fetched(tmp_path: Path, guarded: Guarded, pjm: Simulator) -> None:
    shell = shell_of(tmp_path / "home", pjm, guarded, VAULT_ADDR="http://127.0.0.1:1", VAULT_TOKEN="of-nobody")
    path = spec(tmp_path, TEXT.format(mount="database"))
    out = shell("backfill", path, *JULY, code=3)
    assert "cannot be reached" in out + shell.err
    assert "VAULT_ADDR" in out + shell.err
    assert pjm.log == []
