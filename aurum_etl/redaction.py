"""What nobody may see."""

from __future__ import annotations


def know(*values: str) -> None:
    """Hide these values from now on, in everything that this process tells."""
