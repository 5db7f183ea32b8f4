"""Which program makes rows of answers: what the same bytes become may change with it, and with how it is set."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.contracts import CONTRACT_VERSION

if TYPE_CHECKING:
    from aurum_etl.dataset import Dataset


def program_of(dataset: Dataset) -> str:
    """Digest of all that decides what rows an answer becomes: program, contract, dataset, feed and settings of its clocks."""
    deciding = [_source(), CONTRACT_VERSION, dataset.key, dataset.feed.name, sorted(dataset.settings.items())]
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:32]


@cache
def _source() -> str:
    """Digest of the program's version and of its own files: who works from a checkout changes these alone."""
    digest = hashlib.sha256(version("aurum-etl").encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
