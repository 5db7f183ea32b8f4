"""A Vault of the test's own: a namespace of the one that all tests share, or a server that can be sealed and killed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import hvac
import pytest
from structlog.testing import capture_logs

from tests.secrets.between import Between, between
from tests.secrets.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import Any


@pytest.fixture
def keeper(vault: dict[str, str]) -> Keeper:
    """All rights in a new namespace, with KV 2 at `secret`, as a development server has it."""
    namespace = f"n{secrets.token_hex(6)}"
    hvac.Client(vault["VAULT_ADDR"], token=vault["VAULT_TOKEN"]).adapter.post(f"/v1/sys/namespaces/{namespace}")
    keeper = Keeper(vault["VAULT_ADDR"], vault["VAULT_TOKEN"], namespace)
    keeper.mount("secret")
    return keeper


@pytest.fixture
def line(vault: dict[str, str]) -> Iterator[Between]:
    """A line to the shared server, for hearing what is asked."""
    with between(vault["VAULT_ADDR"]) as found:
        yield found


@pytest.fixture
def told() -> Iterator[list[MutableMapping[str, Any]]]:
    """The events that are told while the test runs."""
    with capture_logs() as events:
        yield events
