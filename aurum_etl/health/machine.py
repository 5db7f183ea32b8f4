"""What runs need of the machine, whatever they load: home, disk, the record of what is done, and Vault if there is one."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from typing import TYPE_CHECKING

from aurum_etl.errors import AurumError, SpecError
from aurum_etl.health.base import Check, Kind, State, unnamed
from aurum_etl.secrets import vault_of
from aurum_etl.watermarks.file import StoreFile

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.health.base import Watch
    from aurum_etl.secrets.access import VaultAccess
    from aurum_etl.settings import Settings

_MEBIBYTE = 1024 * 1024


def checks(settings: Settings, *, demanded: bool) -> list[Check]:
    """A check of each; where specs say what is needed, of no Vault that is not there."""
    record = settings.home / "watermarks.duckdb"
    found = [
        Check(
            "home",
            Kind.MACHINE,
            f"write under {settings.home}, and who else may look",
            lambda _: _home(settings),
            "the disk does not answer: check where AURUM_HOME is mounted",
        ),
        Check(
            "disk",
            Kind.MACHINE,
            f"free bytes under {settings.home}",
            lambda _: _disk(settings),
            "the disk does not answer: check where AURUM_HOME is mounted",
        ),
        Check(
            "watermarks",
            Kind.MACHINE,
            f"open {record}",
            lambda watch: _record(record, watch),
            f"the disk does not answer, or another thread holds {record}",
            ("duckdb",),
        ),
    ]
    if settings.vault is not None or not demanded:
        found.append(_vault_check(settings))
    return found


def _home(settings: Settings) -> str:
    folders = [settings.private_folder(), settings.private_folder("archive")]
    for folder in folders:
        try:
            _write(folder / f".health-{secrets.token_hex(8)}")
            mode, owner = stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid
        except OSError as error:
            raise SpecError(
                f"AURUM_HOME: cannot write in {folder}: {error.strerror}; check that it is a folder that you may write to"
            ) from error
        if owner != os.geteuid():
            raise SpecError(
                f"AURUM_HOME: {folder} belongs to another user (id {owner}): chown -R it to id {os.geteuid()}"
            )
        if mode & 0o077:
            raise SpecError(f"AURUM_HOME: others may look into {folder} (mode {mode:03o}): chmod 700 {folder}")
    return "writable, by its owner alone"


def _write(path: Path) -> None:
    """Put a file on disk for good, and take it back."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"health")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


def _disk(settings: Settings) -> str:
    there = next(each for each in (settings.home, *settings.home.parents) if each.exists())
    free = shutil.disk_usage(there).free
    told = (
        f"{free // _MEBIBYTE:,} MB free, of which {settings.disk_min_bytes // _MEBIBYTE:,} must be (AURUM_DISK_MIN_MB)"
    )
    if free < settings.disk_min_bytes:
        raise SpecError(
            f"{told}: make room, let AURUM_ARCHIVE_MAX_MB or AURUM_ARCHIVE_KEEP_DAYS prune the archive, or point "
            "AURUM_HOME at another disk"
        )
    return told


def _record(path: Path, watch: Watch) -> str:
    with StoreFile(path, watch.within_seconds).reading() as connection:
        if connection is None:
            return "nothing was ever recorded"
        (version, receipts) = connection.execute(
            "select (select version from meta), (select count(*) from receipts)"
        ).fetchall()[0]
    return f"version {version}, {receipts:,} receipts"


def _vault_check(settings: Settings) -> Check:
    access = settings.vault
    address = access.address if access else ""
    check = Check(
        "vault",
        Kind.MACHINE,
        f"GET {address or 'VAULT_ADDR'}/v1/sys/health",
        lambda watch: _vault(access, watch) if access else "",
        "check that Vault runs, and where VAULT_ADDR points",
        ("hvac",),
    )
    if access is not None:
        return check
    return unnamed(
        check, State.NOT_CONFIGURED, "VAULT_ADDR is not set; it names a Vault, such as http://127.0.0.1:8200"
    )


def _vault(access: VaultAccess, watch: Watch) -> str:
    """Whether it is initialized and unsealed, which it tells anybody, and then whether it accepts who asks.

    Raises: AurumError if it is or does none of it, or does not answer.
    """
    import hvac
    import requests

    client = hvac.Client(
        url=access.address, token="", verify=access.verify and (access.ca or True), timeout=watch.within_seconds
    )
    try:
        # With each of its statuses as 200, it says in one form how it is.
        told = client.sys.read_health_status(
            method="GET",
            standby_ok=True,
            sealed_code=200,
            uninit_code=200,
            dr_secondary_code=200,
            performance_standby_code=200,
        )
    except (requests.RequestException, OSError) as error:
        raise AurumError(
            f"Vault cannot be reached ({error}): check that it runs, and where VAULT_ADDR points"
        ) from error
    if not isinstance(told, dict) or "sealed" not in told:
        status = getattr(told, "status_code", "200")
        raise AurumError(f"what answers with status {status} is no Vault: check where VAULT_ADDR points")
    if not told.get("initialized"):
        raise AurumError("Vault is not initialized: `vault operator init`")
    if told["sealed"]:
        raise AurumError("Vault is sealed: `vault operator unseal`, or see why its automatic unseal does not")
    version = f"version {told.get('version')}" + (", standby" if told.get("standby") else "")
    accepted = f"accepts {vault_of(access).log_in()}" if access.has_login else "nothing to log in with is set"
    return f"initialized and unsealed, {version}; {accepted}"
