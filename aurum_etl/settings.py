"""The one reader of the environment.

What describes the data is spec, what describes one run is a flag; what describes the machine is here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.errors import SpecError
from aurum_etl.redaction import know, know_address
from aurum_etl.secrets import SECRETS, Secrets, learn
from aurum_etl.secrets.access import SERVICE_ACCOUNT_TOKEN, VaultAccess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.market import Iso
    from aurum_etl.secrets import Reference

MEBIBYTE = 1024 * 1024
_AUDIT_DAYS = 90

# Only these: a Kafka installation's own scripts leave others, such as KAFKA_OPTS, in the environment.
KAFKA_VARIABLES = {
    f"KAFKA_{name.upper().replace('.', '_')}": name
    for name in (
        "bootstrap.servers",
        "client.id",
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
    )
}
REGISTRY_VARIABLES = {
    f"SCHEMA_REGISTRY_{name.upper().replace('.', '_')}": name
    for name in ("url", "basic.auth.user.info", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
}
CATALOG_VARIABLES = {
    "AURUM_ICEBERG_URI": "uri",
    "AURUM_ICEBERG_WAREHOUSE": "warehouse",
    "AURUM_ICEBERG_TOKEN": "token",
    "AURUM_ICEBERG_CREDENTIAL": "credential",
    "AWS_ENDPOINT_URL": "s3.endpoint",
    "AWS_REGION": "s3.region",
    "AWS_ACCESS_KEY_ID": "s3.access-key-id",
    "AWS_SECRET_ACCESS_KEY": "s3.secret-access-key",
    "AWS_SESSION_TOKEN": "s3.session-token",
}

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_ADDRESSES = ("SCHEMA_REGISTRY_URL", "AWS_ENDPOINT_URL", "VAULT_ADDR", *_PROXIES)
"""What may have a password in it beside the secrets."""
_PASSWORDS = ("VAULT_TOKEN", "VAULT_SECRET_ID", "PGPASSWORD")
"""What proves who asks, beside the secrets: to Vault, and to PostgreSQL by its own library."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where local state lies, and how much of it is kept."""

    home: Path
    """`AURUM_HOME`: warehouse, catalog, watermark store, archive and quarantine, all under one private folder."""
    bases: Mapping[str, str] = field(repr=False)
    """`AURUM_<ISO>_BASE`: base addresses that replace the ISO's own, by variable name."""
    archive_max_bytes: int | None
    """`AURUM_ARCHIVE_MAX_MB`: the archive is pruned, oldest first, to this size; None keeps everything."""
    archive_keep_days: int | None
    """`AURUM_ARCHIVE_KEEP_DAYS`: answers older than this are pruned; None keeps everything."""
    audit_keep_days: int
    """`AURUM_AUDIT_KEEP_DAYS`: the record of requests reaches so far back."""
    response_max_bytes: int
    """`AURUM_RESPONSE_MAX_MB`: an answer that inflates to more than this is refused."""
    topic_prefix: str = ""
    """`AURUM_TOPIC_PREFIX`: stands before the name of every topic, so that several environments can share brokers."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All variables, in which secrets are looked up when they are needed."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """Where a spec says that secrets are, by their names."""
    vault: VaultAccess | None = None
    """`VAULT_ADDR` and what else is known of a Vault or OpenBao, if there is one."""
    disk_min_bytes: int = 1024 * MEBIBYTE
    """`AURUM_DISK_MIN_MB`: how much room there must be under home."""
    secrets: Secrets = field(init=False, repr=False, compare=False)
    """All secrets, each looked up when it is asked for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", Secrets(self.environment, self.references, self.vault))

    @property
    def timescale(self) -> str | None:
        """`TIMESCALE_CONNECTION`: the database, as a libpq URI or as `key=value` words."""
        return self.secrets.get("TIMESCALE_CONNECTION")

    @property
    def kafka(self) -> dict[str, str]:
        """`KAFKA_BOOTSTRAP_SERVERS` and the others of `KAFKA_VARIABLES`, by librdkafka's names; empty without brokers."""
        return self._named(KAFKA_VARIABLES) if self.environment.get("KAFKA_BOOTSTRAP_SERVERS") else {}

    @property
    def registry(self) -> dict[str, str]:
        """`SCHEMA_REGISTRY_URL` and the others of `REGISTRY_VARIABLES`, by the client's names; empty without an address."""
        return self._named(REGISTRY_VARIABLES) if self.environment.get("SCHEMA_REGISTRY_URL") else {}

    @property
    def catalog(self) -> dict[str, str]:
        """`AURUM_ICEBERG_…` and `AWS_…` of `CATALOG_VARIABLES`, by pyiceberg's names; without `uri` it is SQLite under home."""
        return self._named(CATALOG_VARIABLES)

    def referring(self, references: Mapping[str, Reference]) -> Settings:
        """The same with secrets where a spec says that they are."""
        return replace(self, references=references)

    def _named(self, names: Mapping[str, str]) -> dict[str, str]:
        """Those of the variables that are set, or are secrets that can be had, by the names that a library has for them."""
        found = {
            name: self.secrets.get(variable) if variable in SECRETS else self.environment.get(variable)
            for variable, name in names.items()
        }
        return {name: value for name, value in found.items() if value}

    def addresses(self, iso: Iso, defaults: Mapping[str, str]) -> dict[str, str]:
        """Base address of each of the ISO's hosts, without a slash at its end."""
        return {host: self.bases.get(iso.base_variable(host), base).rstrip("/") for host, base in defaults.items()}

    def private_folder(self, *names: str) -> Path:
        """A folder under home, created for its owner alone."""
        folder = self.home.joinpath(*names)
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SpecError(f"AURUM_HOME: cannot create {folder}: {error.strerror}") from error
        return folder


def read_settings(environment: Mapping[str, str] | None = None, *, home: Path | None = None) -> Settings:
    """Settings from the environment; `home` is what `AURUM_HOME` is where it is not set.

    Raises: SpecError if a variable does not hold what it should; the message names it, its value and the choices.
    """
    variables = _variables(environment)
    home = Path(variables.get("AURUM_HOME") or home or "aurum-data").absolute()
    if {"?", "\\"} & set(str(home)):
        # DuckDB takes what follows for options, and writes its log beside the folder; or it takes the other for a slash.
        raise SpecError(f'AURUM_HOME: "{home}" has a question mark or a backslash in it; choose a folder without one')
    bases = {name: value for name, value in variables.items() if name.startswith("AURUM_") and name.endswith("_BASE")}
    hide_secrets(variables)
    max_mebibytes = _whole_number(variables, "AURUM_ARCHIVE_MAX_MB")
    disk_min_mebibytes = _whole_number(variables, "AURUM_DISK_MIN_MB")
    return Settings(
        home=home,
        bases=bases,
        archive_max_bytes=None if max_mebibytes is None else max_mebibytes * MEBIBYTE,
        archive_keep_days=_whole_number(variables, "AURUM_ARCHIVE_KEEP_DAYS"),
        audit_keep_days=_whole_number(variables, "AURUM_AUDIT_KEEP_DAYS") or _AUDIT_DAYS,
        response_max_bytes=(_whole_number(variables, "AURUM_RESPONSE_MAX_MB") or 8192) * MEBIBYTE,
        topic_prefix=_prefix(variables.get("AURUM_TOPIC_PREFIX", "")),
        environment=dict(variables),
        vault=_vault(variables),
        disk_min_bytes=(1024 if disk_min_mebibytes is None else disk_min_mebibytes) * MEBIBYTE,
    )


def hide_secrets(environment: Mapping[str, str] | None = None) -> None:
    """Hide from now on what the environment holds that nobody may see, whether somebody uses it or not."""
    variables = _variables(environment)
    learn(variables)
    know(*(variables.get(name, "") for name in _PASSWORDS))
    for name, value in variables.items():
        if name in _ADDRESSES or (name.startswith("AURUM_") and name.endswith("_BASE")):
            know_address(value)


def _variables(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environment is None else environment


def _vault(variables: Mapping[str, str]) -> VaultAccess | None:
    """Where Vault is, and every way to log in; None where no address is set."""
    address = variables.get("VAULT_ADDR")
    if not address:
        return None
    kv_version = variables.get("AURUM_VAULT_KV") or None
    if kv_version not in ("1", "2", None):
        raise SpecError(f'AURUM_VAULT_KV: "{kv_version}" is not one of 1, 2')
    certificate, key = variables.get("VAULT_CLIENT_CERT"), variables.get("VAULT_CLIENT_KEY")
    if bool(certificate) != bool(key):
        raise SpecError("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY: one is set without the other")
    skip_verify = variables.get("VAULT_SKIP_VERIFY", "").lower()
    if skip_verify not in ("", "0", "1", "false", "true", "f", "t"):
        raise SpecError(f'VAULT_SKIP_VERIFY: "{skip_verify}" is not one of true, false')
    cache_seconds = _whole_number(variables, "AURUM_VAULT_CACHE_SECONDS")
    return VaultAccess(
        address=address,
        token=variables.get("VAULT_TOKEN", ""),
        role_id=variables.get("VAULT_ROLE_ID", ""),
        secret_id=variables.get("VAULT_SECRET_ID", ""),
        kubernetes_role=variables.get("VAULT_KUBERNETES_ROLE", ""),
        kubernetes_token_path=Path(variables.get("VAULT_KUBERNETES_TOKEN_PATH") or SERVICE_ACCOUNT_TOKEN),
        approle_mount=variables.get("VAULT_APPROLE_MOUNT") or "approle",
        kubernetes_mount=variables.get("VAULT_KUBERNETES_MOUNT") or "kubernetes",
        namespace=variables.get("VAULT_NAMESPACE", ""),
        mount=variables.get("AURUM_VAULT_MOUNT") or "secret",
        prefix=variables.get("AURUM_VAULT_PREFIX", "aurum"),
        kv_version=None if kv_version is None else int(kv_version),
        cache_seconds=300 if cache_seconds is None else cache_seconds,
        ca=variables.get("VAULT_CACERT") or variables.get("VAULT_CAPATH") or None,
        client_certificate=(certificate, key) if certificate and key else None,
        verify=skip_verify not in ("1", "true", "t"),
    )


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", text):
        raise SpecError(f'AURUM_TOPIC_PREFIX: "{text}" has other characters than letters, digits, ".", "_" and "-"')
    return text


def _whole_number(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise SpecError(f'{name}: "{text}" is not a whole number of zero or more')
    return int(text)
