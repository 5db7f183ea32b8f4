"""Secrets by name: where the spec says, else in the environment, else where Vault has them by convention.

Nothing is looked up before it is used, and what Vault or a file holds is looked up again each time (Vault's answers for as
long as they may be cached), so that a new value is in use without a restart.

```python
settings.secrets["PJM_API_KEY"]
settings.secrets.find("PJM_API_KEY").place    # "vault:secret/aurum/iso/pjm#api_key"
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.errors import SecretDenied, SecretError
from aurum_etl.redaction import know, know_address
from aurum_etl.secrets.base import SECRETS, Kind, Named, Reference, with_login

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.secrets.access import VaultAccess
    from aurum_etl.secrets.vault import Vault

__all__ = ["SECRETS", "Found", "Kind", "Reference", "Secrets", "demanded", "forget", "learn"]

_FILE_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for a secret."""

    name: str
    kind: Kind
    value: str | None = field(repr=False)
    """None where it is in none of the places."""
    place: str
    """Where it is, or each place where it is not and why; never the secret."""

    def __str__(self) -> str:
        return f"{self.name} ({self.place})"


class Secrets(Mapping[str, str]):
    """All that can be had, by name; `in` and `[]` look it up.

    Raises: SecretError, of any look-up, if a place that the spec names does not hold it, or Vault cannot be asked.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        references: Mapping[str, Reference] | None = None,
        access: VaultAccess | None = None,
    ) -> None:
        self._environment = environment
        self._references = references or {}
        self._access = access
        learn(environment)

    def __repr__(self) -> str:
        return f"Secrets(references={ {name: str(each) for name, each in self._references.items()} })"

    def __getitem__(self, name: str) -> str:
        value = self.find(name).value if name in SECRETS else None
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in SECRETS if self.find(name).value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, name: str) -> Found:
        """The secret and where it is, or where it was looked for in vain."""
        named, missed = SECRETS[name], []
        for place, look in (
            (self._references.get(name), self._referred),
            (Reference("env", name, shared=True), self._referred),
            (Reference("vault", named.path, shared=True) if self._access else None, self._by_convention),
        ):
            if place is None:
                continue
            value, told = look(name, named, place)
            if value:
                _learn(name, value)
                return Found(name, named.kind, value, told)
            if not place.shared:
                raise SecretError(f"{name}: {told}")
            missed.append(told)
        return Found(name, named.kind, None, "; ".join(missed))

    def forget(self, name: str) -> None:
        """The next look asks Vault, whatever it last said."""
        if self._access is None:
            return
        vault, reference = vault_of(self._access), self._references.get(name)
        if reference is not None and reference.scheme == "vault":
            vault.forget(reference.path)
        vault.forget(SECRETS[name].path)

    def _referred(self, name: str, named: Named, reference: Reference) -> tuple[str | None, str]:
        """The value at the place, or None; and the place, with what is wrong with it."""
        if reference.scheme == "env":
            value = self._environment.get(reference.path)
            return value, f"env:{reference.path}" + ("" if value else " is not set")
        if reference.scheme == "file":
            return _of_file(named, reference)
        return self._of_vault(name, named, reference)

    def _of_vault(self, name: str, named: Named, reference: Reference) -> tuple[str | None, str]:
        if self._access is None:
            raise SecretError(
                f"{name}: {reference}: VAULT_ADDR is not set; it names the Vault, such as https://vault:8200"
            )
        vault = vault_of(self._access)
        fields, wanted = vault.read(reference.path), reference.field or named.field
        told = f"vault:{vault.full_path(reference.path)}"
        if fields is None:
            return None, f"{told} holds nothing"
        value = fields.get(wanted)
        if value is None and named.kind is Kind.DSN and not reference.field and {"username", "password"} <= set(fields):
            base = self._environment.get(name, "")
            if not base:
                raise SecretError(
                    f"{name}: {told} has a user and a password; {name} must say of which database, such as "
                    "postgresql://host:5432/energy"
                )
            return with_login(name, base, fields["username"], fields["password"]), told
        if value is None:
            return None, f"{told} has no {wanted}; it has {', '.join(sorted(fields)) or 'no fields'}"
        return value, f"{told}#{wanted}"

    def _by_convention(self, name: str, named: Named, reference: Reference) -> tuple[str | None, str]:
        """The same where nobody has said that it is there: a Vault that may not be asked holds nothing for us."""
        if self._access is not None and not self._access.has_login:
            return None, "VAULT_ADDR is set, and neither VAULT_TOKEN nor another way to log in"
        try:
            return self._of_vault(name, named, reference)
        except SecretDenied as error:
            return None, str(error)


def demanded(credentials: Mapping[str, str], name: str) -> str:
    """The secret.

    Raises: SecretError if it is nowhere.
    """
    value = credentials.get(name)
    if value is None:
        told = credentials.find(name) if isinstance(credentials, Secrets) else name
        raise SecretError(f"{told}: it was there before, and is needed")
    return value


def forget(credentials: Mapping[str, str], *names: str) -> None:
    """The next look at them goes past what is cached; those of a simulator never change."""
    if isinstance(credentials, Secrets):
        for name in names:
            credentials.forget(name)


@lru_cache(maxsize=8)
def vault_of(access: VaultAccess) -> Vault:
    """One client per process, so that logins, leases and what is cached are shared by all who look something up."""
    from aurum_etl.secrets.vault import Vault

    return Vault(access)


def _of_file(named: Named, reference: Reference) -> tuple[str | None, str]:
    """The content of a file without the line's end, or of the file in a folder that has the field's name."""
    path, told = Path(reference.path), str(reference)
    try:
        if path.is_dir():
            path, told = path / named.field, f"{told}/{named.field}"
        if path.stat().st_size > _FILE_MAX_BYTES:
            return None, f"{told} is too large for a secret"
        value = path.read_text("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None, f"{told} is not there"
    except OSError as error:
        return None, f"{told} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, f"{told} is not UTF-8 text"
    return value, told if value else f"{told} is empty"


def learn(environment: Mapping[str, str]) -> None:
    """Hide from now on every secret that is in the environment."""
    for name in SECRETS:
        _learn(name, environment.get(name))


def _learn(name: str, value: str | None) -> None:
    """Hide it from now on wherever this process tells anything."""
    if not value:
        return
    if SECRETS[name].kind is Kind.DSN:
        know_address(value)
    elif name in ("SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO", "AURUM_ICEBERG_CREDENTIAL"):
        know(value, value.partition(":")[2])
    else:
        know(value)
