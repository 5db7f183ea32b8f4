"""What a dataset is, told to people: the list of all of them, and a spec to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurum_etl.secrets import SECRETS

if TYPE_CHECKING:
    from datetime import timedelta

    from aurum_etl.dataset import Dataset, Feed

_LOOKBACK_DAYS = {"lmp": 7, "asm": 7, "load": 3, "genmix": 1}
"""For corrections that come late; forecasts and registries have none."""


def document(dataset: Dataset) -> dict[str, Any]:
    """Everything worth knowing before choosing it: times in UTC, lengths in minutes, lags in hours."""
    return {
        "key": dataset.key,
        "iso": dataset.iso.value,
        "kind": dataset.contract.kind,
        "market": dataset.market and dataset.market.value,
        "run": dataset.run,
        "title": dataset.title,
        "timezone": dataset.timezone,
        "interval_minutes": list(dataset.intervals),
        "cadence": cadence(dataset),
        "selections": list(dataset.selection_words()),
        "feeds": [
            {
                "name": feed.name,
                "reports": [report.name for report in feed.reports],
                "credentials": list(feed.credentials),
                "named_locations_per_request": feed.named_limit,
                "kept_days": feed.kept_days,
                "since": feed.since and str(feed.since),
                "newest_only": feed.latest_only,
                "settings": {name: list(choices) for name, choices in _settable(feed).items()},
            }
            for feed in dataset.feeds
        ],
        "credentials": list(dataset.feed.credentials),
        "history_from": dataset.first_day,
        "lag_hours": round(_lag(dataset).total_seconds() / 3600, 2),
        "by_publication": dataset.by_publication,
        "rows_per_day": round(dataset.rows_per_location_day * dataset.locations),
        "locations": dataset.locations,
        "source_url": dataset.source_url,
    }


def cadence(dataset: Dataset) -> str:
    """How often there is something: `60 min`, `15 and 5 min`, `irregular`, `registry`."""
    if dataset.contract.is_registry:
        return "registry"
    if 0 in dataset.intervals:
        return "irregular"
    return f"{' and '.join(str(minutes) for minutes in dataset.intervals)} min"


def feeds(dataset: Dataset) -> str:
    """The feeds, each with the credentials that it needs: `csv, api (MISO_API_…)`."""
    return ", ".join(
        feed.name + (f" ({', '.join(feed.credentials)})" if feed.credentials else "") for feed in dataset.feeds
    )


def new_spec(dataset: Dataset) -> str:
    """A spec that runs as it stands, with what may be changed in comments."""
    words = " or ".join(dataset.selection_words())
    nodes = f"{words}, or a list of ids as published" if dataset.feed.named_limit else words
    settable = {name: choices for feed in dataset.feeds for name, choices in _settable(feed).items()}
    longest, longest_of_all = (min(31, days) for days in (dataset.feed.span_days, dataset.feed.span_days_all))
    span = f"1 to {longest_of_all}"
    if dataset.feed.named_limit and longest != longest_of_all:
        span += f", or {longest} where locations are named"
    lines = [
        f"# {dataset.iso.value}: {dataset.title}.",
        f"# {_published(dataset)}",
        f"# Source: {dataset.source_url}",
        f"dataset: {dataset.key}",
        "",
        "source:",
        *(f"  # {each}" for each in _feed_lines(dataset)),
        f"  feed: {dataset.feed.name}",
        f"  # {nodes}.",
        f"  nodes: {dataset.selection_words()[0]}",
        f"  # Market days that are fetched, replaced and remembered together, {span}.",
        "  chunk_days: 1",
    ]
    asking = [feed for feed in dataset.feeds if feed.credentials]
    if asking:
        where = f"vault:{SECRETS[asking[0].credentials[0]].path}"
        lines += [
            f"  # Where {', '.join(asking[0].credentials)} are, if not in the environment:",
            "  # in Vault, in a file or folder, or in other variables. Never the secret itself.",
            f"  # secret: {where}",
        ]
    for name, choices in settable.items():
        lines += [
            f"  # How its time labels are read, which its documents leave open: {name} is {' or '.join(choices)}.",
            f"  # clock: {{{name}: {choices[0]}}}",
        ]
    if not dataset.is_of_now:
        lines += [
            "",
            "schedule:",
            f"  # Where a first run without dates begins; the source has been seen to serve {dataset.first_day} and later.",
            f"  # start: {dataset.first_day}",
            "  # Market days before the watermark that every run without dates fetches again, for late corrections.",
            f"  lookback_days: {_LOOKBACK_DAYS.get(dataset.contract.kind, 0)}",
        ]
    lines += [
        "",
        "quality:",
        "  # A chunk of which a larger share is rejected fails as a whole; below, rejected rows go to quarantine.",
        "  max_rejected_share: 0.05",
        "",
        "sinks:",
        "  # iceberg, timescale, kafka or memory; several may stand here.",
        "  - kind: iceberg",
    ]
    return "\n".join(lines) + "\n"


def _published(dataset: Dataset) -> str:
    rows = f"about {round(dataset.rows_per_location_day * dataset.locations):,} rows"
    if dataset.contract.is_registry:
        return f"A registry, replaced as a whole: {rows}."
    hours = _lag(dataset).total_seconds() / 3600
    when = f"{abs(hours):.0f} hours {'before' if hours < 0 else 'after'} its end" if hours else "at its end"
    return f"{cadence(dataset).capitalize()}, {rows} a day; a market day is complete {when}."


def _feed_lines(dataset: Dataset) -> list[str]:
    """One line per feed: what it needs, and what it serves."""
    lines = []
    for feed in dataset.feeds:
        traits = [f"needs {', '.join(feed.credentials)}"] if feed.credentials else ["needs no credentials"]
        if feed.latest_only:
            traits.append("serves what there is now and no other days")
        elif feed.kept_days is not None:
            traits.append(f"serves the last {feed.kept_days} days")
        elif feed.since is not None:
            traits.append(f"serves {feed.since} and later")
        lines.append(f"{feed.name}: {'; '.join(traits)}.")
    return lines


def _settable(feed: Feed) -> dict[str, tuple[str, ...]]:
    return {name: choices for report in feed.reports for name, choices in report.settable.items()}


def _lag(dataset: Dataset) -> timedelta:
    return dataset.lag if dataset.feed.lag is None else dataset.feed.lag
