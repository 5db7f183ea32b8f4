"""Electricity-market data of six operators, in one shape: a chunk becomes a canonical frame, becomes a receipt.

The public names load what they need when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aurum_etl.chunk import Chunk, Selection
    from aurum_etl.contracts import CONTRACTS, Contract
    from aurum_etl.errors import AurumError
    from aurum_etl.receipt import Outcome, Receipt
    from aurum_etl.runner import Flags, Report, run
    from aurum_etl.window import Window

_HOMES = {
    "AurumError": "errors",
    "CONTRACTS": "contracts",
    "Chunk": "chunk",
    "Contract": "contracts",
    "Flags": "runner",
    "Outcome": "receipt",
    "Receipt": "receipt",
    "Report": "runner",
    "Selection": "chunk",
    "Window": "window",
    "run": "runner",
}

__all__ = [
    "CONTRACTS",
    "AurumError",
    "Chunk",
    "Contract",
    "Flags",
    "Outcome",
    "Receipt",
    "Report",
    "Selection",
    "Window",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
