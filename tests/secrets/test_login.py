"""Who asks a Vault: tokens that are renewed, end and are replaced, and ways to get one."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import certifi
import pytest

from aurum_etl.errors import SecretDenied, SecretError
from aurum_etl.secrets.vault import Vault, VaultAccess
from tests.adapters.loopback import server
from tests.secrets.keeper import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path

    from tests.adapters.loopback import Heard, Said
    from tests.secrets.between import Between
    from tests.secrets.keeper import Keeper

KEY = {"api_key": "orchid-lantern-42"}
LOGIN = "POST auth/approle/login"
RENEWAL = "POST auth/token/renew-self"


def logins(line: Between) -> int:
    return line.heard.count(LOGIN)


@pytest.fixture(autouse=True)
def _a_secret(keeper: Keeper) -> None:
    keeper.put("iso/pjm", KEY)
    keeper.policy("reader")


def again(vault: Vault) -> object:
    """What Vault itself says now."""
    vault.forget("iso/pjm")
    return vault.read("iso/pjm")


def test_an_approle_logs_in_once(keeper: Keeper, line: Between) -> None:
    vault = keeper.vault(keeper.approle("reader"), address=line.address)
    assert vault.read("iso/pjm") == again(vault) == KEY
    assert logins(line) == 1


def test_the_first_way_in_that_there_is_is_taken(keeper: Keeper, line: Between, tmp_path: Path) -> None:
    """A token before an AppRole before a Kubernetes role."""
    access = replace(keeper.approle("reader"), kubernetes_role="loader", kubernetes_token_path=tmp_path / "none")
    assert keeper.vault(access, address=line.address, token=keeper.token("reader")).read("iso/pjm") == KEY
    assert logins(line) == 0
    assert keeper.vault(access, address=line.address).read("iso/pjm") == KEY
    with pytest.raises(SecretError, match="VAULT_KUBERNETES_TOKEN_PATH"):
        keeper.vault(access, role_id="").read("iso/pjm")


def test_an_approle_elsewhere_without_a_secret_id_gets_in(keeper: Keeper) -> None:
    keeper.client.sys.enable_auth_method("approle", path="teams/etl")
    keeper.client.auth.approle.create_or_update_approle(
        "open",
        token_policies=["reader"],
        bind_secret_id=False,
        token_bound_cidrs=["127.0.0.1/32"],
        mount_point="teams/etl",
    )
    role_id = keeper.client.auth.approle.read_role_id("open", mount_point="teams/etl")["data"]["role_id"]
    access = replace(keeper.access, token="", role_id=role_id, approle_mount="teams/etl")
    assert keeper.vault(access).read("iso/pjm") == KEY


def test_nothing_to_log_in_with_is_told(keeper: Keeper) -> None:
    access = replace(keeper.access, token="")
    assert not access.has_login
    with pytest.raises(
        SecretError, match="set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE"
    ):
        keeper.vault(access).read("iso/pjm")


def test_a_wrong_secret_id_is_told_and_is_not_insisted_on(keeper: Keeper, line: Between) -> None:
    """Vault locks out who tries again and again."""
    access = replace(keeper.approle("reader"), secret_id="no-such-secret-id")
    clock = Clock()
    vault = keeper.vault(access, clock, address=line.address)
    for path in ("iso/pjm", "iso/pjm", "iso/miso"):
        with pytest.raises(SecretError) as refused:
            vault.read(path)
    message = str(refused.value)
    assert "VAULT_SECRET_ID" in message
    assert "auth/approle" in message
    assert access.secret_id not in message
    assert access.role_id not in message
    assert logins(line) == 1
    clock.ahead += 11
    with pytest.raises(SecretError, match="VAULT_SECRET_ID"):
        vault.read("iso/pjm")
    assert logins(line) == 2


def test_a_token_with_less_than_a_third_left_is_renewed_in_use(keeper: Keeper, line: Between) -> None:
    clock = Clock()
    vault = keeper.vault(keeper.approle("reader", token_ttl="90s"), clock, address=line.address)
    assert again(vault) == KEY
    clock.ahead += 55
    assert again(vault) == KEY
    assert line.heard.count(RENEWAL) == 0
    clock.ahead += 10
    assert again(vault) == again(vault) == KEY
    assert (logins(line), line.heard.count(RENEWAL)) == (1, 1)


def test_a_token_outlives_its_time_by_being_used(keeper: Keeper, line: Between) -> None:
    """In real time: Vault would not know it any more after five seconds."""
    vault = keeper.vault(keeper.approle("reader", token_ttl="5s"), address=line.address)
    until = time.monotonic() + 7
    while time.monotonic() < until:
        assert again(vault) == KEY
        time.sleep(0.1)
    assert logins(line) == 1
    assert line.heard.count(RENEWAL) >= 1


def test_a_token_at_the_end_of_its_life_is_replaced_before_it_ends(
    keeper: Keeper, line: Between, told: list[MutableMapping[str, Any]]
) -> None:
    """In real time: three seconds, renewed up to six."""
    vault = keeper.vault(keeper.approle("reader", token_ttl="3s", token_max_ttl="6s"), address=line.address)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        assert again(vault) == KEY
        time.sleep(0.05)
    assert logins(line) >= 2
    assert line.heard.count(RENEWAL) <= 12, "once in a while, not at each use"
    assert [each["event"] for each in told if each["log_level"] == "warning"] == []


def test_a_renewal_that_brings_nothing_is_the_last(keeper: Keeper, line: Between) -> None:
    """Near the end that Vault sets, it renews for less and less: another token is had while the first still has time."""
    clock = Clock()
    vault = keeper.vault(keeper.approle("reader", token_ttl="90s"), clock, address=line.address)
    assert again(vault) == KEY
    clock.ahead += 65
    line.faults.append((200, b'{"auth":{"client_token":"x","lease_duration":20,"renewable":true}}', {}))
    assert again(vault) == again(vault) == KEY
    assert (logins(line), line.heard.count(RENEWAL)) == (2, 1)


def test_a_token_that_ended_unseen_is_replaced(keeper: Keeper, line: Between) -> None:
    """Between two uses is as much time as it pleases."""
    vault = keeper.vault(keeper.approle("reader", token_ttl="2s", token_max_ttl="2s"), address=line.address)
    assert again(vault) == KEY
    time.sleep(3)
    assert again(vault) == KEY
    assert logins(line) == 2


@pytest.mark.parametrize("policies", [["default"], []], ids=["may look at itself", "may not"])
def test_a_token_that_is_revoked_in_the_middle_is_replaced(keeper: Keeper, line: Between, policies: list[str]) -> None:
    """Nothing but a refusal tells that it is gone."""
    access = keeper.approle("reader", *policies, token_no_default_policy=not policies)
    vault = keeper.vault(access, address=line.address)
    assert vault.read("iso/pjm") == KEY
    (accessor,) = keeper.accessors()
    keeper.client.auth.token.revoke_accessor(accessor)
    assert again(vault) == KEY
    assert logins(line) == 2


def test_a_denial_is_no_reason_to_log_in_again(keeper: Keeper, line: Between) -> None:
    for no_default in (False, True):
        access = keeper.approle("reader", token_no_default_policy=no_default)
        vault = keeper.vault(access, address=line.address, prefix="other")
        line.heard.clear()
        with pytest.raises(SecretDenied, match=r'AppRole login.*"secret/data/other/iso/pjm"'):
            vault.read("iso/pjm")
        assert logins(line) == 1


def test_a_token_for_so_many_uses_is_replaced_when_they_are_used_up(keeper: Keeper) -> None:
    vault = keeper.vault(keeper.approle("reader", token_num_uses=3))
    for _ in range(6):
        assert again(vault) == KEY


def test_a_login_that_is_refused_later_leaves_what_is_left_of_the_token(
    keeper: Keeper, told: list[MutableMapping[str, Any]]
) -> None:
    """A secret id for one use, and a token that cannot be renewed: it is used to its end, with a warning."""
    access = keeper.approle("reader", secret_id_num_uses=1, token_ttl="1h", token_type="batch")
    clock = Clock()
    vault = keeper.vault(access, clock)
    assert again(vault) == KEY
    clock.ahead += 3000
    assert again(vault) == again(vault) == KEY
    warnings = [each for each in told if each["log_level"] == "warning"]
    assert [each["event"] for each in warnings] == ["vault.login_refused"]
    assert access.secret_id not in str(warnings)
    clock.ahead += 700
    with pytest.raises(SecretError, match="VAULT_SECRET_ID"):
        again(vault)


def test_a_given_token_is_renewed_too(keeper: Keeper, line: Between) -> None:
    """In real time, by a token for five seconds."""
    vault = keeper.vault(address=line.address, token=keeper.token("reader", ttl="5s"))
    until = time.monotonic() + 7
    while time.monotonic() < until:
        assert again(vault) == KEY
        time.sleep(0.1)
    assert line.heard.count(RENEWAL) >= 1


@pytest.mark.parametrize("rights", ["reader default", "reader"])
def test_a_given_token_that_has_ended_is_told(keeper: Keeper, rights: str) -> None:
    policies = rights.split()
    token = keeper.token(*policies, ttl="1h", no_default_policy="default" not in policies)
    vault = keeper.vault(token=token)
    assert vault.read("iso/pjm") == KEY
    keeper.revoke(token)
    assert vault.read("iso/pjm") == KEY, "what is known is gone by"
    with pytest.raises(SecretError) as ended:
        again(vault)
    assert not isinstance(ended.value, SecretDenied)
    assert "VAULT_TOKEN" in str(ended.value)
    assert "set it to a new token" in str(ended.value)
    assert token not in str(ended.value)


def test_a_given_token_whose_time_is_over_is_told(keeper: Keeper) -> None:
    token = keeper.token("reader", ttl="2s", renewable=False)
    vault = keeper.vault(token=token)
    assert again(vault) == KEY
    time.sleep(3)
    with pytest.raises(SecretError, match="VAULT_TOKEN: it has ended"):
        again(vault)


def test_after_a_given_token_comes_the_next_way_in(keeper: Keeper, line: Between) -> None:
    token = keeper.token("reader")
    vault = keeper.vault(keeper.approle("reader"), address=line.address, token=token)
    assert vault.read("iso/pjm") == KEY
    keeper.revoke(token)
    assert again(vault) == KEY
    assert logins(line) == 1


@pytest.mark.parametrize("token", ["s.no-such-token", "two words", "line\nbreak", "bäd"])
def test_a_token_that_is_none_is_told_and_not_repeated(keeper: Keeper, token: str) -> None:
    with pytest.raises(SecretError, match="VAULT_TOKEN") as refused:
        keeper.vault(token=token).read("iso/pjm")
    assert not isinstance(refused.value, SecretDenied)
    shown = str(refused.value)
    error: BaseException | None = refused.value
    while error is not None:
        shown += repr(error)
        error = error.__cause__ or error.__context__
    assert token not in shown
    assert repr(token)[1:-1] not in shown


def test_white_space_around_a_token_is_not_part_of_it(keeper: Keeper) -> None:
    """Files end with a line end, and variables are set from files."""
    assert keeper.vault(token=f" {keeper.token('reader')}\n").read("iso/pjm") == KEY


def segment(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def service_account_token(name: str, number: int) -> str:
    """As Kubernetes makes them for pods, with a signature that only Kubernetes could judge."""
    place = "kubernetes.io/serviceaccount"
    claims: dict[str, object] = {
        "iss": place,
        "sub": f"system:serviceaccount:etl:{name}",
        f"{place}/namespace": "etl",
        f"{place}/service-account.name": name,
        f"{place}/service-account.uid": f"uid-of-{name}",
        "jti": str(number),
    }
    return f"{segment({'alg': 'RS256', 'kid': 'k'})}.{segment(claims)}.c2lnbmF0dXJl"


class Cluster:
    """Kubernetes, as far as Vault asks it: whether a service account token is good, and whose it is."""

    def __init__(self) -> None:
        self.reviewed: list[str] = []

    def answer(self, heard: Heard) -> Said:
        token = json.loads(heard.body)["spec"]["token"]
        self.reviewed.append(token)
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        user = {"username": claims["sub"], "uid": f"uid-of-{claims['sub'].rpartition(':')[2]}", "groups": []}
        return 201, {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
            "status": {"authenticated": True, "user": user},
        }


@pytest.fixture
def cluster(keeper: Keeper) -> Iterator[Cluster]:
    """A cluster that Vault's own Kubernetes method asks, and a role there for the service account `loader`."""
    found = Cluster()
    with server(found.answer, lambda heard: heard.path) as (address, _):
        keeper.client.sys.enable_auth_method("kubernetes")
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        certificate = certifi.contents().split(begin)[1].split(end)[0]
        keeper.post(
            "auth/kubernetes/config",
            kubernetes_host=address,
            kubernetes_ca_cert=f"{begin}{certificate}{end}",
            disable_local_ca_jwt=True,
        )
        keeper.post(
            "auth/kubernetes/role/loader",
            bound_service_account_names=["loader"],
            bound_service_account_namespaces=["etl"],
            token_policies=["reader"],
            token_ttl="2s",
            token_max_ttl="2s",
        )
        yield found


def test_a_pod_logs_in_with_the_token_that_its_file_has_at_the_time(
    keeper: Keeper, cluster: Cluster, tmp_path: Path
) -> None:
    """Kubernetes replaces the file's content every hour or so; the old one is then refused."""
    file = tmp_path / "token"
    file.write_text(service_account_token("loader", 1) + "\n")
    access = replace(keeper.access, token="", kubernetes_role="loader", kubernetes_token_path=file)
    vault = keeper.vault(access)
    assert again(vault) == KEY
    file.write_text(service_account_token("loader", 2))
    time.sleep(3)
    assert again(vault) == KEY
    assert cluster.reviewed == [service_account_token("loader", 1), service_account_token("loader", 2)]


def test_a_pod_that_the_role_is_not_for_is_told(keeper: Keeper, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(service_account_token("stranger", 1))
    access = replace(keeper.access, token="", kubernetes_role="loader", kubernetes_token_path=file)
    with pytest.raises(SecretError, match=r'role "loader" at auth/kubernetes.*VAULT_KUBERNETES_ROLE') as refused:
        keeper.vault(access).read("iso/pjm")
    assert file.read_text() not in str(refused.value)
    with pytest.raises(SecretError, match='role "nobody" at auth/kubernetes'):
        keeper.vault(replace(access, kubernetes_role="nobody")).read("iso/pjm")


def test_a_pod_whose_file_is_not_there_is_told(tmp_path: Path) -> None:
    vault = Vault(VaultAccess("http://127.0.0.1:1", kubernetes_role="loader", kubernetes_token_path=tmp_path / "token"))
    with pytest.raises(SecretError, match=r"VAULT_KUBERNETES_TOKEN_PATH: .*token cannot be read \(No such file"):
        vault.read("iso/pjm")
