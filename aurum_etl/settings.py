"""The one reader of the environment.

What describes the data is spec, what describes one run is a flag; what describes the machine is here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.market import Iso

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


CREDENTIALS = (
    "ERCOT_API_USERNAME",
    "ERCOT_API_PASSWORD",
    "ERCOT_PUBLIC_API_SUBSCRIPTION_KEY",
    "ISONE_API_USERNAME",
    "ISONE_API_PASSWORD",
    "MISO_API_PRICING_SUBSCRIPTION_KEY",
    "MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY",
    "PJM_API_KEY",
)
"""What the ISOs ask for; each feed names those that it needs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where local state lies, and how much of it is kept."""

    home: Path
    """`AURUM_HOME`: warehouse, catalog, watermark store, archive and quarantine, all under one private folder."""
    bases: Mapping[str, str]
    """`AURUM_<ISO>_BASE`: base addresses that replace the ISO's own, by variable name."""
    archive_max_bytes: int | None
    """`AURUM_ARCHIVE_MAX_MB`: the archive is pruned, oldest first, to this size; None keeps everything."""
    archive_keep_days: int | None
    """`AURUM_ARCHIVE_KEEP_DAYS`: answers older than this are pruned; None keeps everything."""
    audit_keep_days: int
    """`AURUM_AUDIT_KEEP_DAYS`: the record of requests reaches so far back."""
    response_max_bytes: int
    """`AURUM_RESPONSE_MAX_MB`: an answer that inflates to more than this is refused."""
    timescale: str | None = field(default=None, repr=False)
    """`TIMESCALE_CONNECTION`: the database, as a libpq URI or as `key=value` words."""
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`KAFKA_BOOTSTRAP_SERVERS` and the other `KAFKA_…` of `KAFKA_VARIABLES`, by librdkafka's names."""
    topic_prefix: str = ""
    """`AURUM_TOPIC_PREFIX`: stands before the name of every topic, so that several environments can share brokers."""
    registry: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`SCHEMA_REGISTRY_URL` and the other `SCHEMA_REGISTRY_…` of `REGISTRY_VARIABLES`, by the client's names."""
    catalog: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`AURUM_ICEBERG_…` and `AWS_…` of `CATALOG_VARIABLES`, by pyiceberg's names; empty is SQLite under home."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of `CREDENTIALS` that are set, by variable name."""
    vault: str | None = field(default=None, repr=False)
    """`VAULT_ADDR`: where a Vault or OpenBao is, if there is one."""
    vault_ca: str | None = None
    """`VAULT_CACERT`: a file with the certificate of who vouches for it; None is whom the machine trusts."""
    disk_min_bytes: int = 1024 * MEBIBYTE
    """`AURUM_DISK_MIN_MB`: how much room there must be under home."""

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
    variables = os.environ if environment is None else environment
    home = Path(variables.get("AURUM_HOME") or home or "aurum-data").absolute()
    if {"?", "\\"} & set(str(home)):
        # DuckDB takes what follows for options, and writes its log beside the folder; or it takes the other for a slash.
        raise SpecError(f'AURUM_HOME: "{home}" has a question mark or a backslash in it; choose a folder without one')
    max_mebibytes = _whole_number(variables, "AURUM_ARCHIVE_MAX_MB")
    disk_min_mebibytes = _whole_number(variables, "AURUM_DISK_MIN_MB")
    return Settings(
        home=home,
        bases={
            name: value for name, value in variables.items() if name.startswith("AURUM_") and name.endswith("_BASE")
        },
        archive_max_bytes=None if max_mebibytes is None else max_mebibytes * MEBIBYTE,
        archive_keep_days=_whole_number(variables, "AURUM_ARCHIVE_KEEP_DAYS"),
        audit_keep_days=_whole_number(variables, "AURUM_AUDIT_KEEP_DAYS") or _AUDIT_DAYS,
        response_max_bytes=(_whole_number(variables, "AURUM_RESPONSE_MAX_MB") or 8192) * MEBIBYTE,
        timescale=variables.get("TIMESCALE_CONNECTION") or None,
        kafka=_named(variables, KAFKA_VARIABLES),
        topic_prefix=_prefix(variables.get("AURUM_TOPIC_PREFIX", "")),
        registry=_named(variables, REGISTRY_VARIABLES),
        catalog=_named(variables, CATALOG_VARIABLES),
        credentials={name: variables[name] for name in CREDENTIALS if variables.get(name)},
        vault=variables.get("VAULT_ADDR") or None,
        vault_ca=variables.get("VAULT_CACERT") or None,
        disk_min_bytes=(1024 if disk_min_mebibytes is None else disk_min_mebibytes) * MEBIBYTE,
    )


def _named(variables: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that are set, by the names that a library has for them."""
    return {name: variables[variable] for variable, name in names.items() if variables.get(variable)}


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
