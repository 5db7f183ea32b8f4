"""Weather: storms that pass over each host, the same for the same seed, whoever asks and how fast.

A storm lasts for some requests, not for some time: the nth request to a host meets what it would have met on any machine.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurum_etl.simulator.base import Answer, Fault, damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARE = 0.25
_WRITTEN = re.compile(r"(?P<seed>\d+)(?::(?P<share>\d*\.?\d+))?")


@dataclass(frozen=True, slots=True)
class _Storm:
    """What one kind of storm does to so many requests."""

    kind: str
    most: int
    seconds: float | None = None


_STORMS = (
    _Storm("429", 4),
    _Storm("retry_after", 2),
    _Storm("retry_date", 2),
    _Storm("503", 4),
    _Storm("503", 2, 1.0),
    _Storm("reset", 3),
    _Storm("hang", 1, 1.0),
    _Storm("slow", 2, 1.0),
    _Storm("trickle", 1, 2.0),
    _Storm("html", 2),
    _Storm("wrong_type", 2),
    _Storm("cut_zip", 2),
    _Storm("corrupt_member", 1),
    _Storm("refuse_connection", 1, 1.5),
)
STORMY = frozenset(each.kind for each in _STORMS)
"""Kinds of faults that a weather has: how answers come or do not. What is in them is not a matter of weather."""
_OF_ZIPS = ("cut_zip", "corrupt_member")


@dataclass(frozen=True, slots=True)
class Weather:
    """What the requests to each host meet."""

    seed: int
    share: float = _SHARE
    """How much of the requests a storm meets, about."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"weather: a share of {self.share:g} is not above 0, and at most 1")

    @classmethod
    def parse(cls, text: str) -> Weather:
        """A weather from `SEED[:SHARE]`, such as `7` or `7:0.4`."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f'weather "{text}" is not of the form SEED[:SHARE], such as 7:0.4')
        return cls(int(found["seed"]), float(found["share"] or _SHARE))

    def over(self, host: str) -> Iterator[Fault | None]:
        """What one request to the host after the other meets, without end: every kind of storm comes before one does again."""
        # Of this module's promises only `random()` holds for all versions, and so the others are not used.
        chance = random.Random(f"{self.seed}/{host}").random  # noqa: S311 - weather is no secret
        while True:
            for storm in sorted(_STORMS, key=lambda _: chance()):
                length = 1 + int(chance() * storm.most)
                calm = round(length * (1 - self.share) / self.share * (0.5 + chance()))
                for _ in range(calm):
                    yield None
                for _ in range(length):
                    yield Fault(storm.kind, seconds=storm.seconds)


def weathered(answer: Answer, fault: Fault) -> tuple[Answer, Fault]:
    """A good answer after a storm of zips: damaged where it is one. A file without a checksum would be another file, and not
    a damaged one; there the connection breaks.
    """
    if not answer.body.startswith(b"PK"):
        return answer, Fault("reset")
    return Answer(answer.status, answer.headers, damaged(answer.body, fault.kind)), fault


def is_of_zips(fault: Fault) -> bool:
    """Whether the fault is one of zips."""
    return fault.kind in _OF_ZIPS
