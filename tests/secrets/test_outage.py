"""A Vault that is sealed, stuck, gone or not what it should be: what is known is used for its time, and then it is loud."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aurum_etl.errors import SecretError, VaultUnavailable
from aurum_etl.secrets.vault import Vault, VaultAccess
from tests.secrets.between import CUT, between, page
from tests.secrets.keeper import Clock, Keeper
from tests.services import own

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path

    from tests.secrets.between import Between, Said
    from tests.services import Own

KEY = {"api_key": "orchid-lantern-42"}
SEALED: Said = (503, b'{"errors":["Vault is sealed"]}', {})
UPGRADING: Said = (400, b'{"errors":["Upgrading from non-versioned to versioned data. This backend will be ..."]}', {})
LEADERLESS: Said = (500, b'{"errors":["local node not active but active cluster node not found"]}', {})


class Sealable:
    """A Vault of one's own, and what opens it."""

    def __init__(self, server: Own) -> None:
        self.server = server
        url = server.address["url"]
        opened = Keeper(url, "").client.sys.initialize(secret_shares=1, secret_threshold=1)
        (self._key,) = opened["keys"]
        self.keeper = Keeper(url, opened["root_token"])
        self.unseal()
        self.keeper.mount("secret")
        self.keeper.put("iso/pjm", KEY)

    def seal(self) -> None:
        self.keeper.client.sys.seal()

    def unseal(self) -> None:
        self.keeper.client.sys.submit_unseal_key(self._key)


@contextmanager
def sealable() -> Iterator[Sealable]:
    with own("fresh vault") as server:
        yield Sealable(server)


def warned(told: list[MutableMapping[str, Any]]) -> list[str]:
    return [each["event"] for each in told if each["log_level"] == "warning"]


def test_a_vault_that_is_sealed_in_use_and_opened_again(told: list[MutableMapping[str, Any]]) -> None:
    with sealable() as kept:
        clock = Clock()
        vault = kept.keeper.vault(clock=clock)
        assert vault.read("iso/pjm") == KEY
        kept.seal()
        assert vault.read("iso/pjm") == KEY
        assert warned(told) == [], "nobody was asked"
        vault.forget("iso/pjm")
        assert vault.read("iso/pjm") == vault.read("iso/pjm") == KEY
        clock.ahead += 10
        assert vault.read("iso/pjm") == KEY
        assert warned(told) == ["vault.unavailable"], "once for an outage"
        assert KEY["api_key"] not in str(told)
        clock.ahead += 300
        for _ in range(2):
            with pytest.raises(VaultUnavailable, match=r"is sealed: `vault operator unseal`") as sealed:
                vault.read("iso/pjm")
        assert sealed.value.retryable
        kept.unseal()
        assert vault.read("iso/pjm") == KEY
        kept.seal()
        vault.forget("iso/pjm")
        assert vault.read("iso/pjm") == KEY
        assert warned(told) == ["vault.unavailable"] * 2, "another outage is told again"


def test_a_vault_that_is_stuck_and_then_killed() -> None:
    with sealable() as kept:
        clock = Clock()
        vault = kept.keeper.vault(clock=clock)
        assert vault.read("iso/pjm") == KEY
        vault.forget("iso/pjm")
        with kept.server.paused():
            assert vault.read("iso/pjm") == KEY
            clock.ahead += 301
            with pytest.raises(VaultUnavailable, match="does not answer in time"):
                vault.read("iso/pjm")
        assert vault.read("iso/pjm") == KEY
        kept.server.kill()
        vault.forget("iso/pjm")
        assert vault.read("iso/pjm") == KEY
        clock.ahead += 301
        with pytest.raises(VaultUnavailable, match=r"cannot be reached \(.*refused\): check that it runs.*VAULT_ADDR"):
            vault.read("iso/pjm")
        with pytest.raises(VaultUnavailable):
            vault.read("iso/miso")


def test_a_vault_that_was_never_opened() -> None:
    with own("fresh vault") as server:
        vault = Vault(VaultAccess(server.address["url"], token="s.any"))
        with pytest.raises(VaultUnavailable, match="sealed"):
            vault.read("iso/pjm")


@pytest.mark.parametrize(
    "fault", [CUT, LEADERLESS, UPGRADING, page(502), page(503), (429, b'{"errors":["slow down"]}', {})]
)
def test_what_passes_by_itself_is_tried_again(keeper: Keeper, line: Between, fault: Said) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault(address=line.address)
    line.faults.extend([fault, fault])
    assert vault.read("iso/pjm") == KEY


@pytest.mark.parametrize("fault", [CUT, LEADERLESS, UPGRADING, page(502), page(504)])
def test_what_does_not_pass_is_told_after_a_few_tries(keeper: Keeper, line: Between, fault: Said) -> None:
    vault = keeper.vault(address=line.address)
    line.faults.extend([fault] * 20)
    with pytest.raises(VaultUnavailable, match=r"cannot be reached|cannot answer now, status [45]0"):
        vault.read("iso/pjm")
    assert len(line.heard) == 4


def test_a_seal_is_not_tried_again(keeper: Keeper, line: Between) -> None:
    vault = keeper.vault(address=line.address)
    line.faults.extend([SEALED] * 20)
    with pytest.raises(VaultUnavailable, match="sealed"):
        vault.read("iso/pjm")
    assert len(line.heard) == 1


def test_who_waits_for_another_s_question_shares_its_failure(keeper: Keeper, line: Between) -> None:
    """Twenty chunks that want the same secret do not each wait for a Vault that is down; each has an error of its own."""
    vault = keeper.vault(address=line.address, kv_version=2)
    vault.read("first, so that it is logged in")
    line.heard.clear()
    line.faults.extend([LEADERLESS] * 200)

    def read(_: int) -> BaseException | None:
        try:
            vault.read("iso/pjm")
        except VaultUnavailable as error:
            return error
        return None

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(read, range(20)))
    assert all(isinstance(each, VaultUnavailable) for each in found)
    assert len({id(each) for each in found}) == 20
    assert len(line.heard) < 20 * 4 / 2


def test_a_token_that_cannot_be_renewed_for_a_while_is_used_on(
    keeper: Keeper, line: Between, told: list[MutableMapping[str, Any]]
) -> None:
    keeper.put("iso/pjm", KEY)
    clock = Clock()
    access = keeper.approle(keeper.policy("reader"), token_ttl="90s")
    vault = keeper.vault(access, clock, address=line.address)
    vault.read("iso/pjm")
    clock.ahead += 65
    line.faults.append(SEALED)
    for _ in range(2):
        vault.forget("iso/pjm")
        assert vault.read("iso/pjm") == KEY
    assert line.heard.count("POST auth/token/renew-self") == 1
    assert warned(told) == ["vault.unavailable"]
    clock.ahead += 6
    vault.forget("iso/pjm")
    assert vault.read("iso/pjm") == KEY
    assert line.heard.count("POST auth/token/renew-self") == 2


@pytest.mark.parametrize("said", [page(200), page(404), page(403), (200, b"[]", {}), (200, b'{"status":"ok"}', {})])
def test_what_answers_and_is_no_vault_is_told(keeper: Keeper, line: Between, said: Said) -> None:
    """Above all its 404 does not mean that a secret is not there."""
    vault = keeper.vault(address=line.address, kv_version=2)
    vault.read("first, so that it is logged in")
    line.faults.append(said)
    with pytest.raises(SecretError, match="is no Vault: check where VAULT_ADDR points") as refused:
        vault.read("iso/pjm")
    assert not refused.value.retryable


@pytest.mark.parametrize("address", ["127.0.0.1:8200", "unix:///run/vault.sock", "http://", "https://user:pass word@"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    vault = Vault(VaultAccess(address, token="s.any"))
    with pytest.raises(SecretError, match="VAULT_ADDR") as refused:
        vault.read("iso/pjm")
    assert "pass word" not in str(refused.value)


def test_a_password_in_the_address_is_not_shown() -> None:
    vault = Vault(VaultAccess("http://name:orchid-lantern@127.0.0.1:1", token="s.any"))
    with pytest.raises(VaultUnavailable, match=r"http://127\.0\.0\.1:1 cannot be reached") as refused:
        vault.read("iso/pjm")
    assert "orchid-lantern" not in str(refused.value)


class Authority:
    """Who vouches for the ends of a connection."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        certificate = self._certificate(self._name, self._key, is_authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Files of a certificate for 127.0.0.1, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key, is_authority=False)
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(paths[0]), str(paths[1])

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def test_a_vault_that_vouches_for_itself(tmp_path: Path, told: list[MutableMapping[str, Any]]) -> None:
    """OpenBao with a certificate of its own authority."""
    stranger = Authority(tmp_path, "stranger").file
    with own("tls vault") as server:
        access = VaultAccess(server.address["url"], token=server.address["token"], ca=server.address["ca"])
        Keeper(access.address, access.token, ca=access.ca).put("iso/pjm", KEY)
        assert Vault(access).read("iso/pjm") == KEY
        for ca in (None, str(stranger), certifi.where()):
            vault = Keeper(access.address, access.token).vault(ca=ca)
            with pytest.raises(
                VaultUnavailable, match=r"TLS with it fails \(.*certificate verify failed.*VAULT_CACERT"
            ):
                vault.read("iso/pjm")
        assert warned(told) == []
        vault = Keeper(access.address, access.token).vault(verify=False)
        assert vault.read("iso/pjm") == KEY
        assert warned(told) == ["vault.unverified"]
        plain = access.address.replace("https://", "http://")
        with pytest.raises(SecretError, match="is no Vault: check where VAULT_ADDR points"):
            Keeper(plain, access.token).vault().read("iso/pjm")


def test_who_speaks_tls_to_one_that_does_not_is_told(keeper: Keeper) -> None:
    vault = keeper.vault(address=keeper.access.address.replace("http://", "https://"))
    with pytest.raises(VaultUnavailable, match="where it speaks no TLS, VAULT_ADDR begins with http://"):
        vault.read("iso/pjm")


def test_a_vault_that_wants_to_see_a_certificate(keeper: Keeper, vault: dict[str, str], tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    keeper.put("iso/pjm", KEY)
    with between(vault["VAULT_ADDR"], context) as line:
        access = replace(keeper.access, address=line.address, ca=str(authority.file))
        assert keeper.vault(access, client_certificate=authority.issue("client")).read("iso/pjm") == KEY
        with pytest.raises(VaultUnavailable):
            keeper.vault(access).read("iso/pjm")


@pytest.mark.parametrize("changes", [{"ca": "none.pem"}, {"client_certificate": ("none.crt", "none.key")}])
def test_files_that_are_not_there_are_told(changes: dict[str, Any]) -> None:
    vault = Vault(VaultAccess("https://127.0.0.1:1", token="s.any", **changes))
    with pytest.raises(SecretError, match=r"VAULT_CACERT.*VAULT_CLIENT_CERT.*none\.") as refused:
        vault.read("iso/pjm")
    assert not isinstance(refused.value, VaultUnavailable)


def test_a_token_is_not_carried_on_from_https_to_http(keeper: Keeper, vault: dict[str, str], tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    with between(vault["VAULT_ADDR"], context) as line, between(vault["VAULT_ADDR"]) as open_line:
        line.faults.append((307, b"", {"location": f"{open_line.address}/v1/auth/token/lookup-self"}))
        with pytest.raises(SecretError, match="from https to http"):
            keeper.vault(address=line.address, ca=str(authority.file)).read("iso/pjm")
        assert open_line.heard == []


def test_a_standby_sends_on_to_the_leader(keeper: Keeper, line: Between) -> None:
    keeper.put("iso/pjm", KEY)
    vault = keeper.vault(address=line.address)
    line.faults.append((307, b"", {"location": f"{keeper.access.address}/v1/auth/token/lookup-self"}))
    assert vault.read("iso/pjm") == KEY
