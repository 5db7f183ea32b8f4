"""The circuit breaker of a host: after too many failures it is left alone for a while, then asked once, then trusted again.

Pure: what it knows are instants, in seconds, and what came of requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class BreakerState(StrEnum):
    """How a host stands."""

    CLOSED = "closed"
    """It is asked."""
    OPEN = "open"
    """It is left alone."""
    HALF_OPEN = "half_open"
    """One request at a time finds out whether it is well again."""


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a host is left alone, and when it is trusted again."""

    failures: int = 10
    """It is left alone after exactly so many failures within the window, with no success among them. More than one request is
    tried: what one address does not give says little about the host.
    """
    window_seconds: float = 60.0
    rest_seconds: float = 30.0
    """For how long; twice as long each time that the probe fails."""
    longest_rest_seconds: float = 600.0
    successes: int = 2
    """So many probes in a row must succeed."""
    probe_seconds: float = 15.0
    """When others look again while a probe is out."""

    def resting(self, seconds: float | None) -> BreakerRule:
        """The same with another first rest, and all else in proportion; None changes nothing."""
        if seconds is None:
            return self
        share = seconds / self.rest_seconds
        longest, probe = self.longest_rest_seconds * share, self.probe_seconds * share
        return replace(self, rest_seconds=seconds, longest_rest_seconds=longest, probe_seconds=probe)


QUICK_RULE = BreakerRule(rest_seconds=0.5, longest_rest_seconds=4.0, probe_seconds=0.5)
"""For a source that has nobody to protect, such as the simulator."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one host."""

    state: BreakerState = BreakerState.CLOSED
    failures: tuple[float, ...] = ()
    """When requests failed, as long as that counts: since the last success."""
    until: float = 0.0
    """The end of its rest."""
    rests: int = 0
    """How often in a row it was left alone."""
    successes: int = 0
    """Probes in a row that succeeded."""
    probe: int | None = None
    """The request that is out as a probe."""

    def lets_pass(self, now: float) -> bool:
        """Whether a request may be sent now; one that passes a breaker that is not closed is a probe: see `probing`."""
        if self.state is BreakerState.CLOSED:
            return True
        return now >= self.until and self.probe is None

    def probing(self, request: int) -> Breaker:
        """With that request out as the probe."""
        if self.state is BreakerState.CLOSED:
            return self
        return replace(self, state=BreakerState.HALF_OPEN, probe=request)

    def after(self, request: int, *, healthy: bool | None, now: float, rule: BreakerRule) -> Breaker:
        """What it is once it is known what came of a request; None tells nothing about the host."""
        if self.state is BreakerState.CLOSED:
            return self._failed(now, rule) if healthy is False else replace(self, failures=()) if healthy else self
        if request != self.probe:
            # Sent before it opened: old news.
            return self
        return self._probed(healthy=healthy, now=now, rule=rule)

    def _failed(self, now: float, rule: BreakerRule) -> Breaker:
        recent = tuple(each for each in (*self.failures, now) if each > now - rule.window_seconds)
        if len(recent) < rule.failures:
            return replace(self, failures=recent)
        return Breaker(BreakerState.OPEN, until=now + rule.rest_seconds, rests=1)

    def _probed(self, *, healthy: bool | None, now: float, rule: BreakerRule) -> Breaker:
        if healthy is None:
            return replace(self, probe=None)
        if not healthy:
            rest = min(rule.rest_seconds * 2**self.rests, rule.longest_rest_seconds)
            return Breaker(BreakerState.OPEN, until=now + rest, rests=self.rests + 1)
        if self.successes + 1 < rule.successes:
            return replace(self, probe=None, successes=self.successes + 1)
        return Breaker()
