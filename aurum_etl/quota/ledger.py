"""Every request to an ISO on record: who may send the next one, the audit log, breakers and alerts are read from it.

One SQLite file under home, so that every process of the machine counts the same requests. A request is put down before it is
sent, with what it is expected to bring, and corrected when it is known what came: whatever happens in between, it counts.
The generic limiters count calls, each on its own; here requests, records, bytes, concurrency and the breaker must be decided
together or not at all, and what was reserved is settled later.

When a request counts: the other side counts it somewhere between its being sent and its being answered, and a network does not
keep distances. So it counts from when it was answered, or a little after it was sent where that takes longer.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl.errors import QuotaSpent, SourceResting
from aurum_etl.quota.base import LIVE, Call, Reply, demand_going
from aurum_etl.quota.breaker import QUICK_RULE, Breaker, BreakerRule, BreakerState
from aurum_etl.quota.limits import RETRY_SECONDS, UNLIMITED, UNPACED_WAIT_SECONDS, Limits, Rule, retries
from aurum_etl.quota.record import SECONDS_OF_A_DAY, Record, free_at, used_of
from aurum_etl.redaction import redacted
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Iterable, Iterator

NEARLY = 0.8
"""From this share on, the use of a budget is an alert."""
_SLACK_SECONDS, _SLACK_SHARE = 0.25, 0.1
"""By how much later than it was sent a request may be counted by the other side, at most, and as a share of the pace."""
_LOOK_SECONDS, _LOOK_SOON_SECONDS = 1.0, 0.05
_FRESH_SECONDS = 5.0
"""Who waits and has not looked for so long waits no more."""
_AGING_SECONDS = 60.0
"""Who has waited so long counts as more urgent by one: nobody waits for ever."""
_OPEN_SECONDS = 3600.0
"""A request takes no longer; what is still open then was lost, whoever sent it."""
_LONGEST_QUIET_SECONDS = 3600.0
"""A header that asks for more is taken for this much: it must not keep everybody away for ever."""
_HISTORY = 20
BESIDE = "login"
"""What stands for the dataset of a request that brings no data."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a run may ask: the same for all of its requests."""

    dataset: str
    selection: str = ""
    """Which locations; requests for the same ones bring about as much."""
    limits: Limits = UNLIMITED
    """Those of the dataset."""
    host_limits: Limits = UNLIMITED
    """Those of each host, for everything that asks it."""
    urgency: int = LIVE
    priority: int = 5
    """Who of equal urgency goes first: the lower number."""
    longest_wait_seconds: float = UNPACED_WAIT_SECONDS
    breaker: BreakerRule = QUICK_RULE
    records: int = 0
    bytes: int = 0
    """What a request may be expected to bring as long as no earlier one tells."""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class HostBreaker:
    """How a host stands."""

    host: str
    state: BreakerState
    until: datetime | None
    """The end of its rest, where it has one."""
    recent_failures: int


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one limit is used."""

    subject: str
    """A dataset or a host."""
    rule: str
    seconds: float | None
    """The stretch of time that the limit is for; None for what is at a time."""
    used: float
    limit: float
    next_free: datetime | None
    """When there is room for one more request; None where there is now."""


def distinct(uses: Iterable[Use]) -> list[Use]:
    """One of each limit: several datasets share a host, and several specs a dataset."""
    return list({(each.subject, each.rule, each.seconds): each for each in uses}.values())


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place in the queue."""

    id: str
    since: float


@dataclass(frozen=True, slots=True)
class Later:
    """Not now."""

    at: float
    """When to look again."""
    known: bool
    """Whether that is when there will be room, as far as can be told now."""
    why: str


class Ledger(Record):
    """Who may send the next request, by what is on record."""

    def budget(self, terms: Terms) -> LedgerBudget:
        """Who lets requests pass on those terms."""
        return LedgerBudget(self, terms)

    def reserve(self, call: Call, terms: Terms, stop: threading.Event) -> Reserved:
        """See `Budget.reserve`."""
        ticket = Ticket(secrets.token_hex(8), self.clock.now())
        try:
            while True:
                demand_going(stop)
                now = self.clock.now()
                found = self.attempt(call, terms, ticket)
                if isinstance(found, Reserved):
                    return found
                self._demand_patience(call, terms, found, ticket.since, now)
                self.clock.wait(stop, min(max(found.at - now, 0.001), _LOOK_SECONDS))
        except BaseException:
            with self.transaction() as connection:
                connection.execute("delete from waiting where id = ?", [ticket.id])
            raise

    def attempt(self, call: Call, terms: Terms, ticket: Ticket) -> Reserved | Later:
        """The same without waiting: the reservation, or when to come again with the same ticket.

        Raises: SourceResting if the host's circuit breaker is open.
        """
        now = self.clock.now()
        if call.beside:
            terms = replace(terms, dataset=BESIDE, selection="", limits=UNLIMITED, records=0, bytes=0)
        with self.transaction() as connection:
            found = self._decide(connection, call, terms, ticket, now)
        return found if isinstance(found, Later) else Reserved(self, found, terms, call, now - ticket.since)

    def _demand_patience(self, call: Call, terms: Terms, later: Later, started: float, now: float) -> None:
        until = later.at if later.known else now
        if until - started <= terms.longest_wait_seconds:
            return
        if not later.known:
            until = now + _AGING_SECONDS
        raise QuotaSpent(
            f"{call.host}: {later.why}; the next turn is at {_told(until)}, and nobody waits longer than "
            f"{terms.longest_wait_seconds:,.0f} s",
            until=_instant(until),
        )

    def _decide(
        self, connection: sqlite3.Connection, call: Call, terms: Terms, ticket: Ticket, now: float
    ) -> int | Later:
        """The number of the request, which may be sent; or when to look again.

        Raises: SourceResting.
        """
        breaker = self._breaker(connection, call.host, now)
        if not breaker.lets_pass(now):
            until = breaker.until if now < breaker.until else now + terms.breaker.probe_seconds
            failed = "a first request is finding out whether it is well" if now >= breaker.until else "too many failed"
            raise SourceResting(f"{call.host}: is left alone until {_told(until)}: {failed}", until=_instant(until))
        records, size = self._expected(connection, terms)
        later = self._soonest(connection, call, terms, records, size, now)
        if later is None:
            later = self._somebody_first(connection, call, terms, ticket, now)
        if later is not None:
            connection.execute(
                "insert into waiting values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "on conflict (id) do update set seen_at = excluded.seen_at",
                [
                    ticket.id, call.host, terms.dataset, terms.urgency, terms.priority, ticket.since, now,
                    json.dumps(asdict(terms.limits)), records, size,
                ],
            )  # fmt: skip
            return later
        connection.execute("delete from waiting where id = ?", [ticket.id])
        number = self._put_down(connection, call, terms, records, size, now, now - ticket.since)
        if breaker.state is not BreakerState.CLOSED:
            self._keep_breaker(connection, call.host, breaker.probing(number))
        return number

    def _put_down(
        self,
        connection: sqlite3.Connection,
        call: Call,
        terms: Terms,
        records: int,
        size: int,
        now: float,
        waited: float,
    ) -> int:
        pace = [rule.seconds for rule in (*terms.limits.rules, *terms.host_limits.rules) if rule.is_pace]
        slack = min([_SLACK_SECONDS, *(each * _SLACK_SHARE for each in pace)])
        (number,) = connection.execute(
            """insert into requests (at, reserved_at, expires_at, host, dataset, selection, chunk_key, origin, method, url,
               attempt, urgency, waited, owner, open, settled, records, bytes, sha256, error)
               values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, '', '')
               returning id""",
            [
                now + slack, now, now + _OPEN_SECONDS, call.host, terms.dataset, terms.selection, call.chunk_key,
                terms.origin, call.method, call.url, call.attempt, terms.urgency, waited, self.owner, records, size,
            ],
        ).fetchone()  # fmt: skip
        connection.execute(
            "insert into terms values (?, ?, ?, ?, ?) on conflict (dataset, host) do update set "
            "limits = excluded.limits, host_limits = excluded.host_limits, seen_at = excluded.seen_at",
            [terms.dataset, call.host, json.dumps(asdict(terms.limits)), json.dumps(asdict(terms.host_limits)), now],
        )
        return int(number)

    def _expected(self, connection: sqlite3.Connection, terms: Terms) -> tuple[int, int]:
        """Records and bytes that a request may bring: what those before it brought."""
        records, size = connection.execute(
            """select avg(records), avg(bytes) from (select records, bytes from requests
               where dataset = ? and selection = ? and settled = 1 and status = 200 and records > 0
               order by at desc limit ?)""",
            [terms.dataset, terms.selection, _HISTORY],
        ).fetchone()
        return (terms.records, terms.bytes) if records is None else (round(records), round(size))

    def _soonest(
        self, connection: sqlite3.Connection, call: Call, terms: Terms, records: int, size: int, now: float
    ) -> Later | None:
        """When host and dataset have room; None if they have."""
        (quiet,) = connection.execute("select max(quiet_until) from hosts where host = ?", [call.host]).fetchone()
        found = [Later(quiet, known=True, why="it asked to be left alone")] if quiet and quiet > now else []
        rules = list(terms.host_limits.rules)
        if call.attempt > 1 and terms.host_limits != UNLIMITED:
            (lately,) = connection.execute(
                "select count(*) from requests where host = ? and at > ?", [call.host, now - RETRY_SECONDS]
            ).fetchone()
            rules.append(retries(lately))
        for rule in rules:
            at = free_at(connection, "host", call.host, rule, 1, now)
            if at > now:
                found.append(Later(at, known=True, why=f"{rule.limit:g} {rule.name} are used"))
        dataset = self._dataset_later(connection, terms.dataset, terms.limits, records, size, now)
        if dataset is not None:
            found.append(dataset)
        return max(found, key=lambda each: each.at, default=None)

    def _dataset_later(
        self, connection: sqlite3.Connection, dataset: str, limits: Limits, records: int, size: int, now: float
    ) -> Later | None:
        """When the dataset has room for so much; None if it has."""
        found = []
        for rule in limits.rules:
            wanted = {"requests": 1, "records": records, "bytes": size}[rule.amount]
            at = free_at(connection, "dataset", dataset, rule, wanted, now)
            if at <= now:
                continue
            why = f"{dataset} has used its {rule.limit:,.0f} {rule.name}"
            if rule.amount != "requests":
                self.release(connection, now)
            if rule.amount == "requests" or free_at(connection, "dataset", dataset, rule, wanted, now, sure=True) > now:
                found.append(Later(at, known=True, why=why))
            else:
                # What is on its way may turn out to be less than was expected of it.
                found.append(Later(min(at, now + _LOOK_SOON_SECONDS), known=False, why=why))
        most = limits.concurrent_requests
        if most is not None and self._open(connection, dataset, most, now) >= most:
            at = now + _LOOK_SOON_SECONDS
            found.append(Later(at, known=False, why=f"{most} requests of {dataset} are being answered"))
        return max(found, key=lambda each: each.at, default=None)

    def _open(self, connection: sqlite3.Connection, dataset: str, most: int, now: float) -> int:
        """How many requests of the dataset are being answered, without those that nobody waits for any more."""
        sql = "select count(*) from requests where settled = 0 and open = 1 and dataset = ?"
        (count,) = connection.execute(sql, [dataset]).fetchone()
        if count >= most and self.release(connection, now):
            (count,) = connection.execute(sql, [dataset]).fetchone()
        return int(count)

    def _somebody_first(
        self, connection: sqlite3.Connection, call: Call, terms: Terms, ticket: Ticket, now: float
    ) -> Later | None:
        """Whether somebody else who waits for the host, or for the dataset, goes first."""
        rows = connection.execute(
            """select id, dataset, urgency, priority, since, limits, records, bytes from waiting
               where (host = ? or dataset = ?) and id <> ? and seen_at > ?""",
            [call.host, terms.dataset, ticket.id, now - _FRESH_SECONDS],
        ).fetchall()
        mine = _rank(terms.urgency, terms.priority, ticket.since, now, ticket.id)
        for other, dataset, urgency, priority, waits_since, limits, records, size in rows:
            if _rank(urgency, priority, waits_since, now, other) > mine:
                continue
            # Who waits for a budget of another dataset keeps nobody from the host; in the same one, small requests would
            # for ever go before a large one.
            if dataset == terms.dataset or not self._dataset_later(
                connection, dataset, Limits(**json.loads(limits)), records, size, now
            ):
                return Later(now + _LOOK_SOON_SECONDS, known=False, why="others are more urgent, or came first")
        return None

    def received(self, number: int, call: Call, terms: Terms, reply: Reply) -> None:
        """See `Reservation.received`."""
        now = self.clock.now()
        with self.transaction() as connection:
            # While it is still open, since a probe that is not is taken for lost.
            before = self._breaker(connection, call.host, now)
            (reserved_at, at) = connection.execute(
                "select reserved_at, at from requests where id = ?", [number]
            ).fetchone()
            if reply.answered_after is not None:
                at = min(at, reserved_at + reply.answered_after)
            connection.execute(
                """update requests set open = 0, at = ?, status = ?, bytes = ?, sha256 = ?, seconds = ?, error = ?,
                   received_at = ? where id = ?""",
                [at, reply.status, reply.bytes, reply.sha256, reply.seconds, redacted(reply.error), now, number],
            )
            if reply.quiet_seconds:
                connection.execute(
                    "insert into hosts values (?, ?, '{}') on conflict (host) do update set "
                    "quiet_until = max(quiet_until, excluded.quiet_until)",
                    [call.host, now + min(reply.quiet_seconds, _LONGEST_QUIET_SECONDS)],
                )
            after = before.after(number, healthy=reply.healthy, now=now, rule=terms.breaker)
            if after != before:
                self._keep_breaker(connection, call.host, after)
            until = _told(after.until) if after.state is BreakerState.OPEN else None
            if after.state is not before.state:
                _alert(connection, now, "breaker", call.host, f"{after.state}{f' until {until}' if until else ''}")
        if after.state is not before.state:
            logger().warning("breaker.changed", host=call.host, state=after.state.value, until=until)

    def settle(self, number: int, terms: Terms, records: int | None, error: str) -> None:
        """See `Reservation.settle`."""
        now = self.clock.now()
        with self.transaction() as connection:
            connection.execute(
                "update requests set settled = 1, records = coalesce(?, records), error = coalesce(nullif(?, ''), error) "
                "where id = ?",
                [records, redacted(error), number],
            )
            alerts = list(self._nearly_used(connection, terms, now))
        for rule, used in alerts:
            logger().warning(
                "quota.nearly_used", dataset=terms.dataset, rule=rule.name, used=round(used), limit=round(rule.limit)
            )

    def _nearly_used(self, connection: sqlite3.Connection, terms: Terms, now: float) -> Iterator[tuple[Rule, float]]:
        """Budgets of which little is left, each told once in the time that it is for."""
        for rule in terms.limits.rules:
            if rule.is_pace or (used := used_of(connection, "dataset", terms.dataset, rule, now)) < NEARLY * rule.limit:
                continue
            subject = f"{terms.dataset} {rule.name}"
            (told,) = connection.execute(
                "select max(at) from alerts where kind = 'quota' and subject = ?", [subject]
            ).fetchone()
            if told is None or told <= now - rule.seconds:
                detail = f"{used:,.0f} of {rule.limit:,.0f} are used"
                _alert(connection, now, "quota", subject, detail)
                yield rule, used

    def _breaker(self, connection: sqlite3.Connection, host: str, now: float) -> Breaker:
        row = connection.execute("select breaker from hosts where host = ?", [host]).fetchone()
        known = json.loads(row[0]) if row else {}
        breaker = Breaker(
            BreakerState(known.get("state", "closed")),
            tuple(known.get("failures", ())),
            known.get("until", 0.0),
            known.get("rests", 0),
            known.get("successes", 0),
            known.get("probe"),
        )
        if breaker.probe is not None:
            self.release(connection, now)
            (out,) = connection.execute(
                "select count(*) from requests where id = ? and open = 1", [breaker.probe]
            ).fetchone()
            if not out:
                # Whoever sent it is gone.
                breaker = replace(breaker, probe=None)
        return breaker

    @staticmethod
    def _keep_breaker(connection: sqlite3.Connection, host: str, breaker: Breaker) -> None:
        connection.execute(
            "insert into hosts values (?, 0, ?) on conflict (host) do update set breaker = excluded.breaker",
            [host, json.dumps(asdict(breaker))],
        )

    def breakers(self) -> list[HostBreaker]:
        """How the hosts stand that were ever in trouble."""
        now = self.clock.now()
        with self.transaction() as connection:
            hosts = [host for (host,) in connection.execute("select host from hosts order by host").fetchall()]
            found = {host: self._breaker(connection, host, now) for host in hosts}
        return [
            HostBreaker(
                host,
                each.state,
                _instant(each.until) if each.state is BreakerState.OPEN else None,
                len(each.failures),
            )
            for host, each in found.items()
        ]

    def uses(self) -> list[Use]:
        """How much is used of every limit under which something was asked in the last day."""
        now = self.clock.now()
        found: list[Use] = []
        with self.transaction() as connection:
            self.release(connection, now)
            rows = connection.execute(
                "select dataset, host, limits, host_limits from terms where seen_at > ? order by host, dataset",
                [now - SECONDS_OF_A_DAY],
            ).fetchall()
            for dataset, _, limits, _ in rows:
                found += self._uses_of(connection, "dataset", dataset, Limits(**json.loads(limits)), now)
            for _, host, _, limits in rows:
                found += self._uses_of(connection, "host", host, Limits(**json.loads(limits)), now)
        return distinct(found)

    def uses_of(self, terms: Terms, hosts: Iterable[str]) -> list[Use]:
        """How much is used of those limits."""
        now = self.clock.now()
        with self.transaction() as connection:
            self.release(connection, now)
            found = list(self._uses_of(connection, "dataset", terms.dataset, terms.limits, now))
            for host in hosts:
                found += self._uses_of(connection, "host", host, terms.host_limits, now)
        return found

    def _uses_of(
        self, connection: sqlite3.Connection, column: str, subject: str, limits: Limits, now: float
    ) -> Iterator[Use]:
        for rule in limits.rules:
            at = free_at(connection, column, subject, rule, 1, now)
            free = _instant(at) if at > now else None
            yield Use(
                subject, rule.name, rule.seconds, used_of(connection, column, subject, rule, now), rule.limit, free
            )
        if limits.concurrent_requests is not None:
            (count,) = connection.execute(
                f"select count(*) from requests where settled = 0 and open = 1 and {column} = ?",  # noqa: S608 - words of ours
                [subject],
            ).fetchone()
            yield Use(subject, "concurrent_requests", None, count, limits.concurrent_requests, None)


@dataclass(frozen=True, slots=True)
class Reserved:
    """A request that may be sent."""

    ledger: Ledger
    number: int
    terms: Terms
    call: Call
    waited_seconds: float

    def received(self, reply: Reply) -> None:
        """See `Reservation.received`."""
        self.ledger.received(self.number, self.call, self.terms, reply)

    def settle(self, records: int | None, error: str = "") -> None:
        """See `Reservation.settle`."""
        self.ledger.settle(self.number, self.terms, records, error)


@dataclass(frozen=True, slots=True)
class LedgerBudget:
    """A budget whose requests are all on record."""

    ledger: Ledger
    terms: Terms

    def reserve(self, call: Call, stop: threading.Event) -> Reserved:
        """See `Budget.reserve`."""
        return self.ledger.reserve(call, self.terms, stop)

    def close(self) -> None:
        """Let go of the record's file."""
        self.ledger.close()


def _alert(connection: sqlite3.Connection, now: float, kind: str, subject: str, detail: str) -> None:
    connection.execute(
        "insert into alerts (at, kind, subject, detail) values (?, ?, ?, ?)", [now, kind, subject, redacted(detail)]
    )


def _rank(urgency: int, priority: int, since: float, now: float, ticket: str) -> tuple[float, int, float, str]:
    """Who goes first: the lower."""
    return urgency - (now - since) // _AGING_SECONDS, priority, since, ticket


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _told(seconds: float) -> str:
    return f"{_instant(seconds):%Y-%m-%dT%H:%M:%SZ}"
