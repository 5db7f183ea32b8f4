"""Ask every ISO for one recent day of each dataset, within its limits, and tell what came."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl import adapters
from aurum_etl.errors import AurumError
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, run
from aurum_etl.telemetry import configure

if TYPE_CHECKING:
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings

SPECS = Path(__file__).parents[2] / "specs"
# Corrections and stragglers have come by then, and what moves on has not gone.
DAYS_BEFORE_THE_LATEST = 1


def main(keys: list[str], settings: Settings | None = None) -> int:
    """One line per feed: what came, or why nothing did. Returns how many went wrong."""
    configure("warning", as_json=False)
    wrong = 0
    for dataset in [adapters.dataset(key) for key in keys] or adapters.datasets().values():
        for feed in dataset.feeds:
            outcome, told = ask(dataset.of(feed.name), settings)
            wrong += outcome == "FAILED"
            print(f"{dataset.key:28} {feed.name:12} {outcome:12} {told}", flush=True)  # noqa: T201 - a report
    return wrong


def ask(dataset: Dataset, settings: Settings | None) -> tuple[str, str]:
    """Outcome, and what there is to say of it: rows, and what differs from the documents."""
    flags = Flags(sink_kinds=("memory",), profile="production", overrides=(f"source.feed={dataset.feed.name}",))
    if not dataset.is_of_now:
        latest = dataset.latest_complete_day(datetime.now(UTC), ZoneInfo(dataset.timezone))
        kept = DAYS_BEFORE_THE_LATEST if dataset.feed.kept_days is None else dataset.feed.kept_days
        day = latest - timedelta(min(DAYS_BEFORE_THE_LATEST, kept))
        flags = replace(flags, start=day, end=day + timedelta(1))
    try:
        report = run(SPECS / f"{dataset.key}.yaml", flags, settings)
    except AurumError as error:
        return "not asked", f"{type(error).__name__}: {error}"
    findings = [f"{each.check}: {each.detail}" for receipt in report.receipts for each in receipt.findings]
    errors = [str(receipt.error) for receipt in report.receipts if receipt.error]
    outcome = "FAILED" if report.outcome is Outcome.FAILED else report.outcome.value
    return outcome, "; ".join([f"{report.rows:,} rows", *errors, *findings])


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
