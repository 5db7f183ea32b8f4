"""What lies where in a Vault: which secrets engine a path belongs to, how it is read there, and what is in the answer."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aurum_etl.errors import SecretDenied, SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.secrets.access import VaultAccess
    from aurum_etl.secrets.wire import Answer, Wire

_KV = ("kv", "generic")
"""KV's names; the second is of its first version, long ago."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a secrets engine is."""

    path: str
    """Without slashes around it."""
    kv_version: int | None
    """None for one that is no KV."""

    def holds(self, full: str) -> bool:
        """Whether that whole path is in it."""
        return full.startswith(f"{self.path}/")

    def asked(self, full: str) -> str:
        """What is asked for, and what a policy must allow to read."""
        return f"{self.path}/data/{full.removeprefix(f'{self.path}/')}" if self.kv_version == 2 else full


class Mounts:
    """The secrets engines of a Vault, by its own word."""

    def __init__(self, access: VaultAccess, wire: Wire) -> None:
        self._access = access
        self._wire = wire
        self._known: dict[str, Mount] = {}

    def of(self, full: str, token: str) -> Mount:
        """The secrets engine of that whole path; where Vault does not tell, what it should be by the settings."""
        own = Mount(self._access.mount.strip("/"), self._access.kv_version)
        if own.kv_version is not None and own.holds(full):
            return own
        # No mount lies in another one.
        for each in tuple(self._known.values()):
            if each.holds(full):
                return each
        answer = self._wire.ask(token, lambda client: client.read(f"sys/internal/ui/mounts/{quote(full)}"))
        told = answer.body.get("data") or {}
        if answer.status == 200 and told.get("path"):
            path = told["path"].strip("/")
            options = told.get("options") or {}
            mount = Mount(path, int(options.get("version") or 1) if told.get("type") in _KV else None)
            self._known[path] = mount
            return mount
        return Mount(own.path, 2) if own.holds(full) else Mount(full.partition("/")[0], None)

    def forget(self, mount: Mount) -> None:
        """Ask anew what it is, the next time."""
        self._known.pop(mount.path, None)

    def read(self, full: str, mount: Mount, token: str) -> Answer:
        """What Vault answers to the question for what is at that whole path."""
        if mount.kv_version == 2:
            path = full.removeprefix(f"{mount.path}/")
            return self._wire.ask(
                token,
                lambda client: client.secrets.kv.v2.read_secret_version(
                    path, mount_point=mount.path, raise_on_deleted_version=False
                ),
            )
        return self._wire.ask(token, lambda client: client.read(quote(full)))


def data_of(answer: Answer, full: str, mount: Mount) -> Mapping[str, Any] | None:
    """What the answer to `read` has in it; None if it says that nothing is there.

    Raises: SecretDenied if there is no such mount; SecretError if it says anything else.
    """
    found = answer.body.get("data")
    if mount.kv_version == 2 and isinstance(found, dict):
        # A deleted version is a document as well.
        found = found.get("data")
    if answer.status in (200, 204):
        return found if isinstance(found, dict) else None
    if answer.status == 404 and not answer.words:
        return None
    if answer.status == 404:
        raise SecretDenied(
            f"{full}: nothing of Vault is there ({answer.words}): check AURUM_VAULT_MOUNT, VAULT_NAMESPACE and the path"
        )
    raise SecretError(f"{mount.asked(full)} cannot be read from Vault, status {answer.status} ({answer.words})")


def fields_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The fields as text: numbers as they are written, what has parts as JSON; one that is null is not there."""
    return {name: _text(value) for name, value in data.items() if value is not None}


def good_for(answer: Answer, data: Mapping[str, Any], mount: Mount) -> float:
    """For how many seconds, by its own word, what is not leased may be gone by; infinite where it says nothing.

    The first version of KV gives a hint; a password that is changed on a schedule says how long it has.
    """
    if mount.kv_version is None:
        left = data.get("ttl")
        return float(left) if isinstance(left, int) else math.inf
    return float(answer.body.get("lease_duration") or math.inf)


def texts_in(value: Any) -> list[str]:
    """Every text in it, however deep."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in texts_in(each)]
        case list():
            return [text for each in value for text in texts_in(each)]
    return []


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case bool() | dict() | list():
            return json.dumps(value, default=float, ensure_ascii=False)
        case int() | Decimal():
            return str(value)
    raise TypeError(f"JSON has no {type(value).__name__}")
