"""A source over HTTP for the tests, whose requests and answers are on record in folders of the test's own."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from aurum_etl.archive import Archive
from aurum_etl.download import QUICK, Download, Patience
from aurum_etl.quota import Ledger, Terms
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aurum_etl.adapters.base import Adapter
    from aurum_etl.dataset import Dataset

MAX_BYTES = 10**9
"""Of an answer: more than any here has."""


@contextmanager
def downloading(
    adapter: Adapter,
    dataset: Dataset,
    bases: Mapping[str, str],
    credentials: Mapping[str, str],
    *,
    ledger: Ledger,
    archive: Path,
    origin: Origin = Origin.SIMULATOR,
    patience: Patience = QUICK,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Download]:
    """What is at those addresses; the ledger is closed in the end."""
    with (
        closing(ledger),
        Download(
            bases,
            origin,
            Archive(archive),
            budget=ledger.budget(Terms(dataset.key)),
            patience=patience,
            max_bytes=max_bytes,
            manners=adapter.manners,
            auth=adapter.auth(dataset, credentials, bases),
        ) as source,
    ):
        yield source
