"""stub"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping


class VaultDenied(SecretError):
    """x"""


@dataclass(frozen=True, slots=True)
class VaultAccess:
    address: str
    token: str = field(default="", repr=False)
    role_id: str = field(default="", repr=False)
    secret_id: str = field(default="", repr=False)
    kubernetes_role: str = ""
    kubernetes_token_path: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    approle_mount: str = "approle"
    kubernetes_mount: str = "kubernetes"
    namespace: str = ""
    mount: str = "secret"
    prefix: str = "aurum"
    kv_version: int | None = None
    cache_seconds: float = 300
    ca: str | None = None
    client_certificate: tuple[str, str] | None = None
    verify: bool = True

    @property
    def has_login(self) -> bool:
        return bool(self.token)


class Vault:
    def __init__(self, access: VaultAccess) -> None: ...
    def read(self, path: str) -> Mapping[str, str] | None:
        return None

    def forget(self, path: str) -> None: ...
    def full_path(self, path: str) -> str:
        return path
