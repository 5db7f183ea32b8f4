"""Who keeps a Vault in the tests: puts secrets there, and says who may read them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import hvac

from aurum_etl.secrets.vault import Vault, VaultAccess

if TYPE_CHECKING:
    from collections.abc import Mapping

READER = 'path "secret/data/aurum/*" { capabilities = ["read"] }\n'


class Clock:
    """Real time, which can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def mount_kv(client: Any, path: str) -> None:
    """KV 2 at that path, once it can be written to: for a moment it refuses."""
    client.sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    deadline = time.monotonic() + 30
    while True:
        try:
            client.secrets.kv.v2.read_configuration(mount_point=path)
        except hvac.exceptions.InvalidRequest:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class Keeper:
    """All rights in one namespace of a Vault, or in its root."""

    def __init__(self, url: str, token: str, namespace: str = "", ca: str | None = None) -> None:
        self.client = hvac.Client(url, token=token, namespace=namespace, cert=(), verify=ca or True)
        self.access = VaultAccess(url, token=token, namespace=namespace, ca=ca)
        """With all rights."""

    def mount(self, path: str) -> None:
        """KV 2 at that path."""
        mount_kv(self.client, path)

    def put(self, path: str, fields: Mapping[str, object]) -> None:
        """A version of a secret in KV 2."""
        self.client.secrets.kv.v2.create_or_update_secret(f"aurum/{path}", dict(fields))

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """Whatever hvac has no word for."""
        answer = self.client.adapter.post(f"/v1/{path}", json=body)
        return answer if isinstance(answer, dict) else {}

    def policy(self, name: str, text: str = READER) -> str:
        """The name of a policy with that text."""
        self.client.sys.create_or_update_policy(name, text)
        return name

    def token(self, *policies: str, ttl: str = "1h", **options: object) -> str:
        """A new token."""
        found: str = self.client.auth.token.create(policies=list(policies), ttl=ttl, **options)["auth"]["client_token"]
        return found

    def revoke(self, token: str) -> None:
        self.client.auth.token.revoke(token)

    def accessors(self) -> list[str]:
        """Of every token that was made in the namespace."""
        found: list[str] = self.client.list("auth/token/accessors")["data"]["keys"]
        return found

    def approle(self, *policies: str, secret_ids: Mapping[str, object] | None = None, **options: object) -> VaultAccess:
        """How a new AppRole gets in."""
        if "approle/" not in self.client.sys.list_auth_methods()["data"]:
            self.client.sys.enable_auth_method("approle")
        self.client.auth.approle.create_or_update_approle("loader", token_policies=list(policies), **options)
        role_id = self.client.auth.approle.read_role_id("loader")["data"]["role_id"]
        secret_id = self.client.auth.approle.generate_secret_id("loader", **(secret_ids or {}))["data"]["secret_id"]
        return replace(self.access, token="", role_id=role_id, secret_id=secret_id)

    def vault(self, access: VaultAccess | None = None, clock: Clock | None = None, **changes: Any) -> Vault:
        """A client of it; with all rights where nothing else is said."""
        return Vault(replace(access or self.access, **changes), clock=clock or Clock())
