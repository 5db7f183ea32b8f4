"""How requests prove who asks, where several ISOs want the same proof."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import httpx

from aurum_etl.download import Proof

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

HEADER = "Ocp-Apim-Subscription-Key"


class SubscriptionKey(Proof):
    """A key in a header of every request; of several keys, each in turn, since limits are counted by key."""

    def __init__(self, credentials: Mapping[str, str], names: Sequence[str]) -> None:
        super().__init__(credentials, names)
        self._turn = itertools.count()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """The request with its header."""
        (found,) = self.secrets()
        keys = [key.strip() for key in found.split(",") if key.strip()]
        request.headers[HEADER] = keys[next(self._turn) % len(keys)]
        yield request


class NameAndPassword(Proof):
    """Both in a header of every request."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """The request with its header."""
        yield from httpx.BasicAuth(*self.secrets()).auth_flow(request)
