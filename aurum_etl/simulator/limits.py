"""What a host lets itself be asked, counted where nobody can talk it into anything: at the host itself."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_WRITTEN = re.compile(r"(?P<host>\w+)=(?P<requests>\d+)/(?P<seconds>\d+(?:\.\d+)?)(?:/(?P<at_once>\d+))?")


@dataclass(frozen=True, slots=True)
class Limit:
    """Never more than so many requests begun in any stretch of so many seconds, nor more than so many in work at once."""

    requests: int
    seconds: float
    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds <= 0 or (self.at_once is not None and self.at_once < 1):
            raise ValueError(f"a limit of {self.requests}/{self.seconds:g}/{self.at_once} lets nobody ask")

    @classmethod
    def parse(cls, text: str) -> tuple[str, Limit]:
        """A host and its limit from `HOST=REQUESTS/SECONDS[/AT_ONCE]`, such as `CAISO=1/5` or `ERCOT_LOGIN=30/60/4`."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f'limit "{text}" is not of the form HOST=REQUESTS/SECONDS[/AT_ONCE], such as CAISO=1/5')
        at_once = found["at_once"]
        return found["host"], cls(int(found["requests"]), float(found["seconds"]), int(at_once) if at_once else None)


class Turnstile:
    """One host's requests as they come and go; not safe for threads by itself."""

    def __init__(self, limit: Limit | None) -> None:
        self._limit = limit
        self._begun: deque[float] = deque(maxlen=limit.requests if limit else 0)
        self.inside = 0
        """How many are in work."""

    def enter(self, now: float) -> str | None:
        """One more; says which limit it does not keep. Refused ones count too, so impatience prolongs the wait."""
        self.inside += 1
        limit = self._limit
        if limit is None:
            return None
        full = len(self._begun) == limit.requests and now - self._begun[0] < limit.seconds
        self._begun.append(now)
        if full:
            return f"more than {limit.requests} in {limit.seconds:g} s"
        if limit.at_once is not None and self.inside > limit.at_once:
            return f"more than {limit.at_once} at once"
        return None

    def leave(self) -> None:
        """One less."""
        self.inside -= 1
