"""Somebody who watches how chunks are carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.chunk import Chunk
    from aurum_etl.receipt import Postponed, Receipt


@dataclass
class Onlooker:
    """Remembers what it saw, and does something when that many chunks have begun."""

    begun_chunks: list[Chunk] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    when: int = 0
    then: Callable[[], object] = lambda: None

    def begun(self, chunk: Chunk) -> None:
        self.begun_chunks.append(chunk)
        if len(self.begun_chunks) == self.when:
            self.then()

    def ended(self, receipt: Receipt, _again_in: float | None) -> None:
        self.receipts.append(receipt)

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Nothing is postponed here."""
        raise AssertionError(f"{postponed}, {waits}")

    def state(self, text: str) -> None: ...
