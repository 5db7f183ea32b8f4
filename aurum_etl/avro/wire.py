"""What writing and reading Avro have in common."""

from __future__ import annotations

HEADER_BYTES = 5
"""In front of each record under a registry: a zero, and the schema's id."""
GROUP_BITS = 7
"""Of a number that each of its bytes has; the eighth tells that another byte follows."""
INT_LIMIT = 2**31
SLACK = b"\x00" * 16
"""Put behind every message, so that looking at the next bytes never reaches beyond."""


def name_of(kind: object) -> str:
    """The type's name, whichever way a schema says it."""
    return str(kind["type"]) if isinstance(kind, dict) else str(kind)
