"""The ISOs: each host is asked the smallest thing that it has, as a run would ask it, when it is its turn."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aurum_etl import adapters
from aurum_etl.chunk import Chunk
from aurum_etl.equipment import budget, source
from aurum_etl.errors import (
    AurumError,
    NoData,
    QuotaSpent,
    SecretError,
    SourceChanged,
    SourceError,
    SourceUnavailable,
    SourceUnreachable,
    SpecError,
)
from aurum_etl.health.base import Check, Found, Kind, State, known
from aurum_etl.manners import NothingThere
from aurum_etl.quota import LIVE, BreakerState
from aurum_etl.runner import Flags, fit_out
from aurum_etl.spec import Source as Asking
from aurum_etl.spec import Spec
from aurum_etl.window import market_day

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from aurum_etl.adapters.base import Adapter, Trial
    from aurum_etl.archive import Answer
    from aurum_etl.equipment import Equipment
    from aurum_etl.health.base import Watch
    from aurum_etl.quota import Budget, Call, HostBreaker, Reservation
    from aurum_etl.settings import Settings

CHUNK = "health"
"""What stands in the archive in the place of a chunk's key."""


def checks(settings: Settings, specs: Sequence[Spec], breakers: Sequence[HostBreaker] | None) -> list[Check]:
    """A check for each host and key, or for those that the specs need; where there are breakers, none of them asks."""
    if not specs:
        return [
            _check(settings, adapter, trial, Spec(dataset=trial.dataset.key), State.NOT_CONFIGURED, breakers)
            for adapter in adapters.adapters()
            for trial in adapter.trials
        ]
    # One that several specs need is asked once, under the quota of the first.
    found: dict[str, Check] = {}
    for spec in specs:
        adapter = adapters.adapter(adapters.dataset(spec.dataset).iso)
        for trial in trials_of(spec, adapter):
            check = _check(settings, adapter, trial, spec, State.FAILED, breakers)
            found.setdefault(check.name, check)
    return list(found.values())


def trials_of(spec: Spec, adapter: Adapter) -> list[Trial]:
    """The trials of the hosts that the spec's feed asks, with its credentials."""
    dataset = spec.chosen(adapters.dataset(spec.dataset))
    day = dataset.latest_complete_day(datetime.now(UTC), ZoneInfo(dataset.timezone))
    chunk = Chunk(dataset.key, spec.selection, market_day(day, dataset.timezone))
    hosts = {ask.request.host for ask in adapter.asks(dataset, chunk)}
    return [
        trial
        for trial in adapter.trials
        if trial.request.host in hosts and trial.dataset.feed.credentials == dataset.feed.credentials
    ]


def _check(
    settings: Settings,
    adapter: Adapter,
    trial: Trial,
    spec: Spec,
    missing: State,
    breakers: Sequence[HostBreaker] | None,
) -> Check:
    """The check of one host; without its credentials, what is missing."""
    request, dataset = trial.request, trial.dataset
    base = settings.addresses(adapter.iso, adapter.bases)[request.host]
    query = f"?{urlencode(request.query, safe=',:/')}" if request.query else ""
    asking = Asking(feed=dataset.feed.name, attempts=1, secret=spec.source.secret)
    sent = f"{request.method} {base}/{request.path}{query}"
    check = partial(
        Check,
        name=".".join(filter(None, (adapter.iso.slug, trial.of))),
        kind=Kind.SOURCE,
        advice=(
            f"check the network or HTTPS_PROXY, and where {adapter.iso.base_variable(request.host)} points; or try later"
        ),
    )
    try:
        equipment = fit_out(Spec(dataset=dataset.key, source=asking, quota=spec.quota), Flags(), settings).equipment
    except (SpecError, SecretError) as error:
        return check(asked=sent, look=known(Found(missing, str(error))))
    if breakers is not None:
        host = equipment.hosts[request.host]
        return check(asked=f"the circuit breaker of {host}", look=known(_unasked(host, breakers)))
    return check(
        asked=sent,
        look=lambda watch: _asked(watch, settings, adapter, trial, equipment),
        modules=("httpx", "aurum_etl.decode", "polars"),
    )


def _unasked(host: str, breakers: Sequence[HostBreaker]) -> Found:
    """What is known of the host without asking it."""
    found = next((each for each in breakers if each.host == host), None)
    if found is None or found.state is BreakerState.CLOSED:
        return Found(State.OK, "closed: whoever asks is not held back")
    until = f" until {_instant(found.until)}" if found.until else ", and one request at a time is tried"
    return Found(
        State.FAILED,
        f"{found.state}{until}, since so many requests have failed: wait, or see what the ISO announces",
    )


def _asked(watch: Watch, settings: Settings, adapter: Adapter, trial: Trial, equipment: Equipment) -> Found | str:
    """Send the request when it is its turn, and read the answer as a run would."""

    def read(answer: Answer) -> int:
        ask = trial.ask
        if not ask.reads:
            return 0
        where = answer.request.describe()
        try:
            return sum(
                each.num_rows for each in adapter.batches(ask.report, answer.body, where, settings.response_max_bytes)
            )
        except NoData:
            return 0

    try:
        with (
            budget(equipment, settings, LIVE) as turns,
            source(equipment, settings, _Turn(turns, watch), watch.stop) as download,
        ):
            fetched = download.get(trial.request, read, chunk_key=CHUNK, records=int)
    except NothingThere as nothing:
        # Who says that there is nothing, is there.
        return f"it answers with status {nothing.answer.status}"
    except QuotaSpent as spent:
        until = f" until {_instant(spent.until)}" if spent.until else ""
        return Found(State.WAITING, f"waits for its turn{until}: {spent}")
    except SourceError as error:
        raise _advised(error) from error
    told = f"{fetched.value} rows in {fetched.answer.size:,} bytes" if trial.reads else f"{fetched.answer.size:,} bytes"
    return f"it answers: {told}"


class _Turn:
    """A budget whose waits do not count as slowness of the ISO."""

    def __init__(self, turns: Budget, watch: Watch) -> None:
        self._turns = turns
        self._watch = watch

    def reserve(self, call: Call, stop: threading.Event) -> Reservation:
        """See `Budget.reserve`."""
        with self._watch.waiting_for(f"its turn, since others ask {call.host}"):
            return self._turns.reserve(call, stop)


def _advised(error: SourceError) -> AurumError:
    """The same with what to do, where it does not say that itself."""
    if isinstance(error, SourceUnavailable) and not isinstance(error, SourceUnreachable):
        after = f" in {error.wait_seconds:.0f} s" if error.wait_seconds else " later"
        return SourceUnavailable(f"{error}; try again{after}")
    if isinstance(error, SourceChanged):
        return SourceChanged(f"{error}; it is not what the ISO documents: look at the answer in the archive")
    return error


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
