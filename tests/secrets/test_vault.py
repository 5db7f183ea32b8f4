"""What is read out of a Vault: where it lies, in what form it comes, and for how long it is gone by."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aurum_etl.errors import SecretDenied, SecretError
from aurum_etl.secrets.vault import Vault, VaultAccess
from tests.secrets.keeper import Clock

if TYPE_CHECKING:
    from tests.secrets.between import Between
    from tests.secrets.keeper import Keeper

KEY = {"api_key": "orchid-lantern-42"}


def test_a_secret_is_under_mount_and_prefix(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault()
    assert vault.read("iso/pjm") == KEY
    assert vault.read("/secret/aurum/iso/pjm") == KEY
    assert vault.full_path("iso/pjm") == vault.full_path("/secret/aurum/iso/pjm") == "secret/aurum/iso/pjm"


def test_there_may_be_no_prefix_and_the_mount_may_be_deep(keeper: Keeper) -> None:
    keeper.mount("teams/etl/kv")
    keeper.client.secrets.kv.v2.create_or_update_secret("iso/pjm", KEY, mount_point="teams/etl/kv")
    vault = keeper.vault(mount="/teams/etl/kv/", prefix="")
    assert vault.read("iso/pjm") == KEY
    assert vault.full_path("iso/pjm") == "teams/etl/kv/iso/pjm"


@pytest.mark.parametrize("kv_version", [None, 1], ids=["the mount says", "the settings say"])
def test_the_first_version_of_kv_is_read_as_well(keeper: Keeper, kv_version: int | None) -> None:
    keeper.client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    keeper.client.secrets.kv.v1.create_or_update_secret("aurum/iso/pjm", KEY, mount_point="old")
    vault = keeper.vault(mount="old", kv_version=kv_version)
    assert vault.read("iso/pjm") == KEY
    assert vault.read("iso/miso") is None


def test_a_version_that_is_in_the_settings_is_not_asked_for(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault(address=line.address, kv_version=2)
    assert vault.read("iso/pjm") == KEY
    assert line.heard == ["GET auth/token/lookup-self", "GET secret/data/aurum/iso/pjm"]


def test_a_mount_is_asked_for_once_for_all_its_paths(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    keeper.put("iso/miso", KEY)
    vault = keeper.vault(address=line.address)
    assert vault.read("iso/pjm") == vault.read("iso/miso") == KEY
    assert line.heard == [
        "GET auth/token/lookup-self",
        "GET sys/internal/ui/mounts/secret/aurum/iso/pjm",
        "GET secret/data/aurum/iso/pjm",
        "GET secret/data/aurum/iso/miso",
    ]


def test_where_the_mount_may_not_be_asked_for_it_is_what_it_should_be(keeper: Keeper, line: Between) -> None:
    """Some let nobody ask: then the second version is read, as a development server has it."""
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault(address=line.address)
    line.faults.extend([line_refuses(), line_refuses()])
    assert vault.read("iso/pjm") == KEY


def line_refuses() -> tuple[int, bytes, dict[str, str]]:
    """What a policy refuses, in Vault's words."""
    words = b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}'
    return 403, words, {"content-type": "application/json"}


def test_names_with_odd_characters_are_names(keeper: Keeper) -> None:
    keeper.put("iso/50% of ü?#1", KEY)
    assert keeper.vault().read("iso/50% of ü?#1") == KEY


@pytest.mark.parametrize("path", ["", "/", "/secret", "iso/../../sys/seal", "iso//pjm", "./pjm"])
def test_what_is_no_path_is_refused_before_anybody_is_asked(path: str) -> None:
    vault = Vault(VaultAccess("http://127.0.0.1:1", token="a-token", mount="secret", prefix=""))
    with pytest.raises(SecretError, match="is no path of a secret"):
        vault.read(path)


def test_fields_are_text_whatever_they_were(keeper: Keeper) -> None:
    """A price of 1.10 and a PIN of 0.50 keep their noughts: a password may be written as a number."""
    keeper.put(
        "odd", {"word": "as it is", "whole": 17, "share": 1.5, "is_on": True, "none": None, "deep": {"a": [1, 0.5]}}
    )
    assert keeper.vault().read("odd") == {
        "word": "as it is",
        "whole": "17",
        "share": "1.5",
        "is_on": "true",
        "deep": '{"a": [1, 0.5]}',
    }


def test_digits_stay_as_they_were_written(keeper: Keeper, line: Between) -> None:
    body = b'{"data":{"data":{"pin":1.10,"big":12345678901234567890}}}'
    vault = keeper.vault(address=line.address, kv_version=2)
    vault.read("first, so that it is logged in")
    line.faults.append((200, body, {}))
    assert vault.read("pin") == {"pin": "1.10", "big": "12345678901234567890"}


def test_nothing_there_is_none_and_so_is_what_was_deleted(keeper: Keeper) -> None:
    vault = keeper.vault()
    assert vault.read("iso/pjm") is None
    keeper.put("iso/miso", KEY)
    keeper.client.secrets.kv.v2.delete_latest_version_of_secret("aurum/iso/miso")
    assert vault.read("iso/miso") is None


def test_that_there_is_nothing_is_gone_by_for_a_shorter_time(keeper: Keeper) -> None:
    clock = Clock()
    vault = keeper.vault(clock=clock)
    assert vault.read("iso/pjm") is None
    keeper.put("iso/pjm", KEY)
    assert vault.read("iso/pjm") is None
    clock.ahead += 31
    assert vault.read("iso/pjm") == KEY


def test_a_mount_or_namespace_that_is_not_there_is_an_error(keeper: Keeper) -> None:
    with pytest.raises(SecretError, match=r"nowhere/aurum/iso/pjm: .*AURUM_VAULT_MOUNT, VAULT_NAMESPACE"):
        keeper.vault(mount="nowhere").read("iso/pjm")
    with pytest.raises(SecretError, match=r"VAULT_TOKEN.*namespace not found"):
        keeper.vault(namespace="nowhere").read("iso/pjm")


def test_what_no_engine_can_read_is_told_in_its_words(keeper: Keeper) -> None:
    keeper.client.sys.enable_secrets_engine("database")
    with pytest.raises(SecretError, match=r"database/creds/nobody .*status 400 \(unknown role: nobody\)"):
        keeper.vault().read("/database/creds/nobody")


def test_namespaces_do_not_see_each_other(keeper: Keeper, vault: dict[str, str]) -> None:
    keeper.put("iso/pjm", KEY)
    assert keeper.vault(namespace="").read("iso/pjm") is None
    assert keeper.vault().read("iso/pjm") == KEY


def test_what_is_known_is_gone_by_until_its_time_is_over(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    clock = Clock()
    vault = keeper.vault(clock=clock, address=line.address, kv_version=2)
    assert vault.read("iso/pjm") == KEY
    keeper.put("iso/pjm", {"api_key": "rotated"})
    clock.ahead += 290
    assert vault.read("iso/pjm") == KEY
    assert len(line.heard) == 2
    clock.ahead += 20
    assert vault.read("iso/pjm") == {"api_key": "rotated"}


def test_what_is_forgotten_is_asked_for_at_once_and_once(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault(address=line.address, kv_version=2)
    vault.read("iso/pjm")
    keeper.put("iso/pjm", {"api_key": "rotated"})
    vault.forget("iso/pjm")
    assert vault.read("/secret/aurum/iso/pjm") == vault.read("iso/pjm") == {"api_key": "rotated"}
    assert line.heard.count("GET secret/data/aurum/iso/pjm") == 2


def test_a_hint_of_the_first_version_shortens_the_time(keeper: Keeper) -> None:
    keeper.client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    keeper.client.secrets.kv.v1.create_or_update_secret("a", {"word": "one", "ttl": "10s"}, mount_point="old")
    clock = Clock()
    vault = keeper.vault(clock=clock)
    assert vault.read("/old/a") == {"word": "one", "ttl": "10s"}
    keeper.client.secrets.kv.v1.create_or_update_secret("a", {"word": "two", "ttl": "10s"}, mount_point="old")
    clock.ahead += 11
    assert vault.read("/old/a") == {"word": "two", "ttl": "10s"}


def test_a_mount_that_is_made_anew_in_another_version_is_noticed(keeper: Keeper) -> None:
    clock = Clock()
    keeper.client.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    keeper.client.secrets.kv.v1.create_or_update_secret("a", KEY, mount_point="kv")
    vault = keeper.vault(clock=clock)
    assert vault.read("/kv/a") == KEY
    keeper.client.sys.disable_secrets_engine("kv")
    keeper.mount("kv")
    keeper.client.secrets.kv.v2.create_or_update_secret("a", KEY, mount_point="kv")
    vault.forget("/kv/a")
    vault.read("/kv/a")
    clock.ahead += 31
    assert vault.read("/kv/a") == KEY


def test_many_threads_at_once_make_one_question(keeper: Keeper, line: Between) -> None:
    for name in ("pjm", "miso"):
        keeper.put(f"iso/{name}", {"name": name})
    vault = keeper.vault(keeper.approle(keeper.policy("reader")), address=line.address)
    together = threading.Barrier(40)

    def read(number: int) -> object:
        together.wait()
        return vault.read("iso/pjm" if number % 2 else "iso/miso")

    with ThreadPoolExecutor(40) as pool:
        found = list(pool.map(read, range(40)))
    assert found == [{"name": "miso"}, {"name": "pjm"}] * 20
    reads = [each for each in line.heard if each.startswith("GET secret/")]
    assert sorted(reads) == ["GET secret/data/aurum/iso/miso", "GET secret/data/aurum/iso/pjm"]
    assert line.heard.count("POST auth/approle/login") == 1


def test_nothing_is_sent_before_something_is_read(keeper: Keeper, line: Between) -> None:
    vault = keeper.vault(address=line.address)
    vault.full_path("iso/pjm")
    vault.forget("iso/pjm")
    vault.close()
    assert line.heard == []


def test_a_closed_vault_opens_again_when_it_is_asked(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault()
    vault.read("iso/pjm")
    vault.close()
    vault.forget("iso/pjm")
    assert vault.read("iso/pjm") == KEY


def test_what_is_given_out_cannot_be_changed(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    found = keeper.vault().read("iso/pjm")
    with pytest.raises(TypeError, match="does not support item assignment"):
        found["api_key"] = "another"  # type: ignore[index]


def test_one_path_is_denied_and_the_others_are_read(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    keeper.put("iso/miso", KEY)
    narrow = 'path "secret/data/aurum/iso/pjm" { capabilities = ["read"] }'
    clock = Clock()
    token = keeper.token(keeper.policy("narrow", narrow))
    vault = keeper.vault(clock=clock, token=token, address=line.address)
    for _ in range(2):
        with pytest.raises(SecretDenied) as refused:
            vault.read("iso/miso")
    assert "VAULT_TOKEN" in str(refused.value)
    assert 'must allow "read" on "secret/data/aurum/iso/miso"' in str(refused.value)
    assert token not in str(refused.value)
    assert line.heard.count("GET secret/data/aurum/iso/miso") == 1, "a refusal is gone by for a while"
    assert vault.read("iso/pjm") == KEY
    keeper.policy("narrow")
    clock.ahead += 31
    assert vault.read("iso/miso") == KEY


def test_a_right_that_is_taken_away_takes_what_was_read(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    clock = Clock()
    vault = keeper.vault(clock=clock, token=keeper.token(keeper.policy("reader")))
    assert vault.read("iso/pjm") == KEY
    keeper.policy("reader", 'path "secret/data/aurum/other" { capabilities = ["read"] }')
    vault.forget("iso/pjm")
    for _ in range(2):
        with pytest.raises(SecretDenied):
            vault.read("iso/pjm")
    keeper.policy("reader")
    vault.forget("iso/pjm")
    assert vault.read("iso/pjm") == KEY, "a refusal can be forgotten as well"


def test_nothing_secret_is_in_what_is_shown_of_it(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    access = replace(keeper.access, role_id="role-id-1", secret_id="secret-id-1")
    shown = repr(access)
    assert not any(word in shown for word in (keeper.access.token, "role-id-1", "secret-id-1"))
