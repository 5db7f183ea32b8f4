"""How an ISO behaves at the level of HTTP, as values; a light module, since every adapter has some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurum_etl.errors import NoData

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from aurum_etl.archive import Answer


class NothingThere(NoData):
    """The status alone says that there is nothing; the answer is kept."""

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


def _does_not_say(_: Answer) -> float | None:
    return None


def _by_its_status(_: Answer) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Manners:
    """How an ISO behaves at the level of HTTP."""

    busy_seconds: Callable[[Answer], float | None] = _does_not_say
    """How long a refusal's body asks to be left alone, in seconds; None if it doesn't say."""
    nothing_there: frozenset[int] = frozenset()
    """Statuses that may say that there is nothing (yet)."""
    says_nothing: Callable[[Answer], bool] = _by_its_status
    """Whether an answer with one of them does: gateways and moved pages have the same."""
    too_much: re.Pattern[bytes] | None = None
    """What is in the body of a 400 that refuses because too much was asked for at once; None where no 400 says that."""
    open_hosts: frozenset[str] = frozenset()
    """Hosts that do not want to know who asks, and so are not told."""
    access: str = "check the credentials"
    """What to do about a refusal for lack of rights: which variables, and where to get what they hold."""
    user_agent: str = "aurum-etl"
