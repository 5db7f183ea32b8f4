"""Files that a command makes outside of home, where the user says: whole or not at all, and with the modes that the user's
own programs give theirs.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ours: int | None = None
"""What the process had before everything that it makes became its owner's alone."""


def keep_to_the_owner() -> None:
    """From now on whatever is made is made for its owner alone, but for what goes through `made`."""
    global _ours  # noqa: PLW0603 - of the process, as the mask itself is
    _ours = os.umask(0o077)


def let_go() -> None:
    """From now on whatever is made is made as the user's own programs make it, since this process becomes one of them."""
    if _ours is not None:
        os.umask(_ours)


def mode() -> int:
    """What a new file of the user's own programs may be, by the mask that the process came with."""
    if _ours is not None:
        return 0o666 & ~_ours
    # It can only be had by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def made(path: Path) -> Iterator[Path]:
    """A new file to write, which takes the place of `path` in the end, or is gone after an error.

    Nobody can have put anything in its way: in a folder of many its name is not known beforehand, and no link is followed.
    """
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.partial")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield partial
        partial.chmod(mode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
