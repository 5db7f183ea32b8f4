"""Quota as a planned resource: what a request will use is reserved before it is sent, and settled with the true numbers after.

requests/min ─┐
requests/h    │   per dataset        reserve ──▶ send ──▶ received ──▶ settle
records/h     ├─▶ per host     ──▶      │                     │           │
bytes/h       │   breaker               └──────── one record of every request ────────▶ audit log, alerts
at once      ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl.quota.base import BACKFILL, LEAST_URGENT, LIVE, Budget, Call, Reply, Reservation, demand_going
from aurum_etl.quota.breaker import QUICK_RULE, BreakerRule, BreakerState
from aurum_etl.quota.ledger import HostBreaker, Ledger, LedgerBudget, Terms, Use
from aurum_etl.quota.limits import PROFILES, UNLIMITED, UNPACED_WAIT_SECONDS, Limits, Profile

if TYPE_CHECKING:
    from aurum_etl.settings import Settings

__all__ = [
    "BACKFILL",
    "LEAST_URGENT",
    "LIVE",
    "PROFILES",
    "QUICK_RULE",
    "UNLIMITED",
    "UNPACED_WAIT_SECONDS",
    "BreakerRule",
    "BreakerState",
    "Budget",
    "Call",
    "HostBreaker",
    "Ledger",
    "LedgerBudget",
    "Limits",
    "Profile",
    "Reply",
    "Reservation",
    "Terms",
    "Use",
    "breakers",
    "demand_going",
    "ledger_of",
]


def ledger_of(settings: Settings) -> Ledger:
    """The record of requests under the home."""
    return Ledger(settings.private_folder("quota"))


def breakers(settings: Settings) -> list[HostBreaker]:
    """How the hosts stand that were ever in trouble; none where nothing was ever asked."""
    if not (settings.home / "quota" / "requests.sqlite").exists():
        return []
    ledger = ledger_of(settings)
    try:
        return ledger.breakers()
    finally:
        ledger.close()
