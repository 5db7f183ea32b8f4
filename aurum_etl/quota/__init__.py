"""Quota as a planned resource: what a request will use is reserved before it is sent, and settled with the true numbers after.

requests/min ─┐
requests/h    │   per dataset        reserve ──▶ send ──▶ received ──▶ settle
records/h     ├─▶ per host     ──▶      │                     │           │
bytes/h       │   breaker               └──────── one record of every request ────────▶ audit log, alerts
at once      ─┘
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from aurum_etl.quota.base import BACKFILL, LIVE, Budget, Call, Reply, Reservation, demand_going
from aurum_etl.quota.breaker import QUICK_RULE, BreakerRule, BreakerState
from aurum_etl.quota.ledger import HostBreaker, Ledger, LedgerBudget, Terms, Use, distinct
from aurum_etl.quota.limits import PROFILES, UNLIMITED, UNPACED_WAIT_SECONDS, Limits, Profile
from aurum_etl.quota.record import FILE, no_tables, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from aurum_etl.settings import Settings

T = TypeVar("T")

__all__ = [
    "BACKFILL",
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
    "distinct",
    "ledger_of",
    "no_tables",
    "tables",
    "uses",
]


def ledger_of(settings: Settings) -> Ledger:
    """The record of requests under the home."""
    return Ledger(settings.private_folder("quota"))


def breakers(settings: Settings) -> list[HostBreaker]:
    """How the hosts stand that were ever in trouble; none where nothing was ever asked."""
    return _asked(settings, Ledger.breakers, list)


def uses(settings: Settings) -> list[Use]:
    """How much is used of every limit under which something was asked in the last day."""
    return _asked(settings, Ledger.uses, list)


def tables(settings: Settings) -> Mapping[str, pa.Table]:
    """The audit log and the alerts, oldest first."""
    folder = settings.home / "quota"
    return tables_of(folder) if (folder / FILE).exists() else no_tables()


def _asked(settings: Settings, ask: Callable[[Ledger], T], nothing: Callable[[], T]) -> T:
    """What the record says; asking makes no record where there is none."""
    if not (settings.home / "quota" / FILE).exists():
        return nothing()
    with closing(ledger_of(settings)) as ledger:
        return ask(ledger)
