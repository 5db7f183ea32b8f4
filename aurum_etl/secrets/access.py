"""What is known of a Vault before it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts the token of a pod."""


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """Where a Vault is, and how to prove who asks."""

    address: str = field(repr=False)
    """`VAULT_ADDR`: `https://vault.example.com:8200`."""
    token: str = field(default="", repr=False)
    """`VAULT_TOKEN`; the first that is there of a token, an AppRole and a Kubernetes role is what proves who asks."""
    role_id: str = field(default="", repr=False)
    """`VAULT_ROLE_ID` of an AppRole."""
    secret_id: str = field(default="", repr=False)
    """`VAULT_SECRET_ID`; empty for an AppRole that wants none."""
    kubernetes_role: str = ""
    """`VAULT_KUBERNETES_ROLE`: what a pod logs in as."""
    kubernetes_token_path: Path = SERVICE_ACCOUNT_TOKEN
    """`VAULT_KUBERNETES_TOKEN_PATH`: the file of the pod's own token, read anew at each login, since it is replaced."""
    approle_mount: str = "approle"
    """`VAULT_APPROLE_MOUNT`, under `auth/`."""
    kubernetes_mount: str = "kubernetes"
    """`VAULT_KUBERNETES_MOUNT`, under `auth/`."""
    namespace: str = ""
    """`VAULT_NAMESPACE`."""
    mount: str = "secret"
    """`AURUM_VAULT_MOUNT`: the KV secrets engine that paths without a leading slash are in."""
    prefix: str = "aurum"
    """`AURUM_VAULT_PREFIX`: what stands before them there; empty for none."""
    kv_version: int | None = None
    """`AURUM_VAULT_KV`: 1 or 2; None asks the mount."""
    cache_seconds: float = 300.0
    """`AURUM_VAULT_CACHE_SECONDS`: how long an answer without a lease is gone by."""
    ca: str | None = None
    """`VAULT_CACERT`, a file, or `VAULT_CAPATH`, a folder: who vouches for it; None is whom the machine trusts."""
    client_certificate: tuple[str, str] | None = None
    """`VAULT_CLIENT_CERT` and `VAULT_CLIENT_KEY`: files."""
    verify: bool = True
    """False by `VAULT_SKIP_VERIFY`: talk to whoever answers."""

    @property
    def can_log_in(self) -> bool:
        """Whether there is something to get a token with, however many have ended."""
        return bool(self.role_id or self.kubernetes_role)

    @property
    def has_login(self) -> bool:
        """Whether there is anything that proves who asks."""
        return bool(self.token or self.can_log_in)

    @property
    def place(self) -> str:
        """The address for people: a name and password in it are left out."""
        parts = urlsplit(self.address)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
