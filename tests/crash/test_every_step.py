"""A job is killed at every step, with every store; another process goes on with it, and there is one copy."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.home import Home

ALL = ("iceberg", "timescale", "kafka")
OF_ALL = [
    "begun",
    "after fetch",
    "staged iceberg",
    "staged kafka",
    "committed iceberg",
    "committed timescale",
    "committed kafka",
    "receipt noted",
]
"""Each state that a kill can leave behind, the stores being staged and committed in the order of `ALL`."""


@pytest.mark.parametrize("point", OF_ALL)
def test_a_kill_loses_nothing_and_doubles_nothing(home: Callable[..., Home], point: str) -> None:
    """The second of four chunks, with three in work: what has a receipt is not even asked for again."""
    at = home(*ALL)
    job = at.child("--kill", point, "--nth", 2, code=-signal.SIGKILL)
    before, asked = {each.chunk.key for each in at.settled()}, at.asked()
    at.goes_on(job)
    at.assert_one_copy(job, kills=1)
    again = {day: count - asked[day] for day, count in at.asked().items()}
    assert sum(again.values()) == at.days - len(before)
    assert sum(count - 1 for count in at.asked().values()) <= 3, "no more than what was in work is done twice"


@pytest.mark.parametrize("kinds", [("iceberg",), ("timescale",)], ids="+".join)
def test_any_number_of_kills_ends_with_one_copy(home: Callable[..., Home], kinds: tuple[str, ...]) -> None:
    """One after the other, so that each process finds what several have left."""
    at = home(*kinds, days=3)
    kills = (f"staged {kinds[-1]}", f"committed {kinds[0]}", "receipt inserted")
    job = at.child("--kill", kills[0], code=-signal.SIGKILL)
    for point in kills[1:]:
        at.child("--job", job, "--kill", point, code=-signal.SIGKILL)
    at.goes_on(job)
    at.assert_one_copy(job, kills=len(kills))
