"""What no spec and no variable has, Vault has at the path that convention names: a real server, by the library and by the
commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hvac
import pytest

from aurum_etl.errors import SecretError
from aurum_etl.secrets import SECRETS, Reference
from aurum_etl.settings import read_settings
from tests.frames import spec
from tests.test_cli import Processes, Shell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

CANARY = "kept-by-the-vault"
POLICY = 'path "{mount}/data/iso/*" {{ capabilities = ["read"] }}'


class Filled:
    """A KV mount of a test's own, with everything in it that our names say."""

    def __init__(self, address: Mapping[str, str], mount: str) -> None:
        self.client: Any = hvac.Client(address["VAULT_ADDR"], token=address["VAULT_TOKEN"])
        self.mount = mount
        self.client.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
        fields: dict[str, dict[str, str]] = {}
        for name, named in SECRETS.items():
            fields.setdefault(named.path, {})[named.field] = f"{CANARY}-{name}"
        for path, each in fields.items():
            self.write(path, each)
        self.environment = {
            **address, "AURUM_VAULT_MOUNT": mount, "AURUM_VAULT_PREFIX": "", "AURUM_VAULT_CACHE_SECONDS": "0",
        }  # fmt: skip

    def write(self, path: str, fields: Mapping[str, str]) -> None:
        self.client.secrets.kv.v2.create_or_update_secret(path, secret=dict(fields), mount_point=self.mount)

    def token(self, policy: str) -> str:
        """A token with these rights alone."""
        self.client.sys.create_or_update_policy(self.mount, policy)
        token: str = self.client.auth.token.create(policies=[self.mount], no_default_policy=True)["auth"][
            "client_token"
        ]
        return token


@pytest.fixture
def filled(vault: dict[str, str], tmp_path: Path) -> Filled:
    return Filled(vault, tmp_path.name)


@pytest.fixture
def shell(filled: Filled, settings: Settings, simulator: Simulator) -> Shell:
    found = Shell(settings.home, simulator)
    for name in SECRETS:
        found.environment.pop(name, None)
    found.environment |= filled.environment
    return found


def test_every_secret_has_its_place_in_vault(filled: Filled) -> None:
    found = read_settings(filled.environment).secrets
    assert dict(found) == {name: f"{CANARY}-{name}" for name in SECRETS}
    assert found.find("PJM_API_KEY").place == f"vault:{filled.mount}/iso/pjm#api_key"


def test_the_environment_goes_before_vault_and_the_spec_before_both(filled: Filled, tmp_path: Path) -> None:
    settings = read_settings({**filled.environment, "PJM_API_KEY": "of the environment"})
    assert settings.secrets["PJM_API_KEY"] == "of the environment"
    filled.write("teams/desk", {"key": "of the team"})
    theirs = settings.referring({"PJM_API_KEY": Reference.parse("vault:teams/desk#key")})
    assert theirs.secrets["PJM_API_KEY"] == "of the team"
    for text, told in (("vault:teams/desk#kee", "has no kee; it has key"), ("vault:teams/dusk#key", "holds nothing")):
        with pytest.raises(SecretError, match=rf"^PJM_API_KEY: vault:{filled.mount}/teams/d.sk {told}"):
            settings.referring({"PJM_API_KEY": Reference.parse(text)}).secrets.get("PJM_API_KEY")


def test_a_new_value_is_there_without_a_restart(filled: Filled) -> None:
    settings = read_settings(filled.environment)
    assert settings.timescale == f"{CANARY}-TIMESCALE_CONNECTION"
    filled.write("timescale", {"dsn": "host=elsewhere"})
    assert settings.timescale == "host=elsewhere"


def test_what_vault_denies_by_convention_is_not_there_and_says_so(filled: Filled) -> None:
    """Most tokens may see little; a reference that is denied is an error."""
    token = filled.token(POLICY.format(mount=filled.mount))
    settings = read_settings({**filled.environment, "VAULT_TOKEN": token})
    assert settings.secrets["PJM_API_KEY"] == f"{CANARY}-PJM_API_KEY"
    assert settings.timescale is None
    assert 'a policy must allow "read" on' in settings.secrets.find("TIMESCALE_CONNECTION").place
    with pytest.raises(SecretError, match=f"{filled.mount}/timescale: Vault does not let"):
        settings.referring({"TIMESCALE_CONNECTION": Reference.parse("vault:timescale")}).timescale  # noqa: B018


def test_a_vault_without_the_mount_of_convention_holds_nothing_for_us(filled: Filled) -> None:
    settings = read_settings({**filled.environment, "AURUM_VAULT_MOUNT": "nowhere"})
    assert settings.timescale is None
    assert "check AURUM_VAULT_MOUNT" in settings.secrets.find("TIMESCALE_CONNECTION").place
    theirs = settings.referring({"TIMESCALE_CONNECTION": Reference.parse(f"vault:/{filled.mount}/timescale#dsn")})
    assert theirs.timescale == f"{CANARY}-TIMESCALE_CONNECTION"


def test_a_vault_that_nobody_can_log_in_to_holds_nothing_for_us(filled: Filled) -> None:
    settings = read_settings({name: value for name, value in filled.environment.items() if name != "VAULT_TOKEN"})
    assert dict(settings.secrets) == {}
    assert (
        "VAULT_ADDR is set, and neither VAULT_TOKEN nor another way to log in"
        in settings.secrets.find("PJM_API_KEY").place
    )


def test_a_token_that_has_ended_is_an_error_whoever_asks(filled: Filled) -> None:
    """Not to have a catalog's address would be to write to another one."""
    settings = read_settings({**filled.environment, "VAULT_TOKEN": "long-gone"})
    with pytest.raises(SecretError, match="does not accept VAULT_TOKEN"):
        settings.catalog  # noqa: B018


def test_check_tells_where_everything_would_come_from(filled: Filled, shell: Shell) -> None:
    out = shell("secrets", "check", "--json")
    assert CANARY not in out + shell.err
    document = shell.json("secrets", "check")
    assert document["vault"] == filled.environment["VAULT_ADDR"]
    assert {each["state"] for each in document["secrets"]} == {"present"}
    assert all(each["place"].startswith(f"vault:{filled.mount}/") for each in document["secrets"])
    shell.environment["VAULT_ADDR"] = "http://127.0.0.1:1"
    document = shell.json("secrets", "check", code=3)
    assert {each["state"] for each in document["secrets"]} == {"failed"}
    assert all("cannot be reached" in each["place"] for each in document["secrets"])


def test_env_runs_a_command_with_everything_that_vault_has(
    filled: Filled, settings: Settings, simulator: Simulator
) -> None:
    shell = Processes(settings.home, simulator)
    for name in SECRETS:
        shell.environment.pop(name, None)
    shell.environment |= filled.environment | {"PJM_API_KEY": "of the environment"}
    found = dict(line.partition("=")[::2] for line in shell("secrets", "env", "--", "env").splitlines())
    assert {name: found[name] for name in SECRETS} == {
        **{name: f"{CANARY}-{name}" for name in SECRETS}, "PJM_API_KEY": "of the environment",
    }  # fmt: skip
    found = dict(
        line.partition("=")[::2] for line in shell("secrets", "env", "--only", "AWS_ACCESS_KEY_ID", "env").splitlines()
    )
    assert set(found) & set(SECRETS) == {"AWS_ACCESS_KEY_ID", "PJM_API_KEY"}
    assert not settings.home.exists(), "nothing is written to disk"


def test_a_run_has_its_key_from_vault(filled: Filled, shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    filled.write("iso/pjm", {"api_key": simulator.env["PJM_API_KEY"]})
    for each in ("timescale", "iceberg", "aws", "kafka", "registry"):
        filled.client.secrets.kv.v2.delete_metadata_and_all_versions(each, mount_point=filled.mount)
    path = spec(tmp_path, "dataset: pjm_lmp\n")
    document = shell.json("run", path, "--from", "2026-07-14", "--to", "2026-07-15")
    assert (document["outcome"], document["rows"] > 0) == ("done", True)
    filled.write("iso/pjm", {"other": "x"})
    shell("run", path, "--from", "2026-07-14", "--to", "2026-07-15", code=3)
    assert "PJM_API_KEY: not set, and feed" in shell.err
    assert f"vault:{filled.mount}/iso/pjm has no api_key; it has other" in shell.err
