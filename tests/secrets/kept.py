"""Secrets of a test's own that change while somebody uses them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import hvac

from aurum_etl.secrets import Reference
from aurum_etl.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aurum_etl.settings import Settings


class Kept:
    """Where secrets are: in files, which are read at each look, or in a Vault, whose word is gone by for minutes."""

    def __init__(self, folder: Path, vault: Mapping[str, str] | None = None) -> None:
        self.references: dict[str, str] = {}
        self._folder = folder
        self._vault = vault
        self._place = f"test{secrets.token_hex(6)}"
        self._client: Any = vault and hvac.Client(vault["VAULT_ADDR"], token=vault["VAULT_TOKEN"])

    def put(self, **values: str) -> None:
        """Keep these, in place of what was kept by their names."""
        for name, value in values.items():
            if self._vault is None:
                (self._folder / name).write_text(value)
                self.references[name] = f"file:{self._folder / name}"
            else:
                self._client.secrets.kv.v2.create_or_update_secret(f"{self._place}/{name}", secret={"value": value})
                self.references[name] = f"vault:/secret/{self._place}/{name}#value"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find them."""
        return {"AURUM_HOME": str(self._folder / "home"), **(self._vault or {})}

    def settings(self, **environment: str) -> Settings:
        """Those of a process that is told where they are."""
        references = {name: Reference.parse(text) for name, text in self.references.items()}
        return read_settings({**self.environment, **environment}).referring(references)
