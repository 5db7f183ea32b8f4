"""How requests prove who asks, where several ISOs want the same proof."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Generator

HEADER = "Ocp-Apim-Subscription-Key"


class SubscriptionKey(httpx.Auth):
    """A key in a header of every request; of several keys, each in turn, since limits are counted by key."""

    def __init__(self, keys: str) -> None:
        self._keys = itertools.cycle([key.strip() for key in keys.split(",") if key.strip()])

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """The request with its header."""
        request.headers[HEADER] = next(self._keys)
        yield request
