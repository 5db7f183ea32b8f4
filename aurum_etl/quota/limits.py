"""How much of a source may be used, as values: limits, and the profiles that scale them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Amount = Literal["requests", "records", "bytes", "retries"]
PACE = "requests_per_minute"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
RETRY_SECONDS = 600.0
"""Over how long the budget of retries is looked at."""
FREE_RETRIES, RETRY_SHARE = 20, 0.5
"""Retries that are always free in that time, and the share of all requests that may be retries beyond that."""


@dataclass(frozen=True, slots=True)
class Rule:
    """No more than so much of something in any stretch of time of that length."""

    amount: Amount
    seconds: float
    limit: float
    name: str
    """As people know it: `requests_per_minute`."""

    def seconds_for(self, amount: float) -> float:
        """How long it takes at least to have so much, when nothing is used yet."""
        return max(math.ceil(amount / self.limit) - 1, 0) * self.seconds

    @property
    def is_pace(self) -> bool:
        """Whether it only spaces requests: using all of it is the normal case, and no reason for an alert."""
        return self.name == PACE


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be had of something; None where nothing limits it. Every stretch of time counts, not clock hours."""

    requests_per_minute: float | None = None
    burst: int = 1
    """How many requests may go at once, as long as the minute holds no more than it may."""
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    records_per_hour: int | None = None
    bytes_per_hour: int | None = None
    bytes_per_day: int | None = None
    concurrent_requests: int | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What has to hold before a request is sent, beside concurrency."""
        rules: list[Rule] = []
        if self.requests_per_minute is not None:
            # A bucket of `burst` that fills evenly: what is spread over the minute is refused by nobody.
            rules.append(Rule("requests", self.burst * _MINUTE / self.requests_per_minute, self.burst, PACE))
            if self.burst > 1:
                rules.append(Rule("requests", _MINUTE, max(self.requests_per_minute, 1), PACE))
        found: tuple[tuple[Amount, float, int | None, str], ...] = (
            ("requests", _HOUR, self.requests_per_hour, "requests_per_hour"),
            ("requests", _DAY, self.requests_per_day, "requests_per_day"),
            ("records", _HOUR, self.records_per_hour, "records_per_hour"),
            ("bytes", _HOUR, self.bytes_per_hour, "bytes_per_hour"),
            ("bytes", _DAY, self.bytes_per_day, "bytes_per_day"),
        )
        rules += [Rule(amount, seconds, limit, name) for amount, seconds, limit, name in found if limit is not None]
        return tuple(rules)

    def scaled(self, profile: Profile) -> Limits:
        """As much of it as the profile takes."""
        # What the ISO allows is law: no profile goes beyond it.
        share = min(profile.pace, 1.0)
        pace = self.requests_per_minute
        changes: dict[str, float | int | None] = {"requests_per_minute": None if pace is None else pace * share}
        for name in ("requests_per_hour", "requests_per_day", "concurrent_requests"):
            value = getattr(self, name)
            changes[name] = None if value is None else max(int(value * share), 1)
        for name in ("records_per_hour", "bytes_per_hour", "bytes_per_day"):
            value = getattr(self, name)
            changes[name] = None if value is None else max(int(value * profile.volume), 1)
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an ISO lets everybody have, and what we take of it day by day."""

    dataset: Limits
    """Of each dataset. What counts records and bytes is ours, so that no dataset starves the others of the machine."""
    host: Limits
    """Of each of its hosts, for all datasets together."""
    priority: int
    """Which ISO's data are waited for most: the lower number."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How much of the limits a run takes, and how long it waits for its turn."""

    name: str
    pace: float
    """Share of the requests; never more than all of them."""
    volume: float
    """Share, or multiple, of records and bytes: these limits are ours, not the ISO's."""
    longest_wait_seconds: float
    """What is due later than this is postponed: to later in a backfill, to another run otherwise."""


PROFILES: dict[str, Profile] = {
    each.name: each
    for each in (
        Profile("development", pace=0.5, volume=0.1, longest_wait_seconds=300),
        Profile("production", pace=1.0, volume=1.0, longest_wait_seconds=900),
        Profile("high_volume", pace=1.0, volume=50.0, longest_wait_seconds=25 * _HOUR),
    )
}
"""`production` is what a run has by default, `high_volume` what a backfill has: years of all nodes are more in an hour than
the day-to-day limits let through.
"""
UNPACED_WAIT_SECONDS = 60.0
"""How long is waited where nothing is limited, such as for a simulator that has a bad day."""
UNLIMITED = Limits()


def allowance(
    records: int,
    megabytes: int,
    concurrent: int,
    pace: float,
    priority: int,
    *,
    burst: int = 1,
    per_day: int | None = None,
) -> Allowance:
    """An ISO's row of the table of limits: records and megabytes an hour, requests at once and a minute."""
    host = Limits(requests_per_minute=pace, burst=burst, requests_per_day=per_day)
    dataset = replace(
        host, records_per_hour=records, bytes_per_hour=megabytes * 1_000_000, concurrent_requests=concurrent
    )
    return Allowance(dataset, host, priority)


def retries(requests: int) -> Rule:
    """The budget of retries, when so many requests were sent lately."""
    limit = max(FREE_RETRIES, int(requests * RETRY_SHARE))
    return Rule("retries", RETRY_SECONDS, limit, "retries")
