"""The promise that every store keeps.

`run_chunk` stages everywhere, then commits everywhere, then answers with a receipt; what was staged and not committed
is discarded on the way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.receipt import Written


class Staged(Protocol):
    """Rows that a store has taken in, and no reader sees."""

    def commit(self) -> Written:
        """Make all of it visible, in place of what the scope held before.

        Raises: CommitFailed if nothing became visible; CommitUnknown if even looking did not tell.
        """

    def discard(self) -> None:
        """Leave no trace; harmless after a commit and when called twice."""


class Sink(Protocol):
    """A place where frames go."""

    kind: str

    def open(self) -> None:
        """Reach the store and make what it needs, before anything is fetched.

        Raises: SinkUnavailable if the store cannot be reached or has a table of another shape.
        """

    def stage(self, table: pa.Table, scope: Scope) -> Staged:
        """Take in the rows of one chunk; nothing is visible to readers yet.

        Shape: `table` has exactly the contract's Arrow schema, every row in `scope`, sorted by location and time.
        """

    def close(self) -> None:
        """Let go of connections."""
