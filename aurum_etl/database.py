"""DuckDB as it is opened here: with what it was built of, and nothing that it would fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_OWN: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""Left to itself, it downloads programs for functions and kinds of files that it does not know, and runs them."""


def connect(path: str = ":memory:", *, read_only: bool = False, shut: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection to the file, or to a new database in memory, that neither downloads nor loads extensions by itself; one that
    is `shut` reaches no file whatever it is asked.
    """
    import duckdb

    return duckdb.connect(path, read_only=read_only, config={**_OWN, "enable_external_access": not shut})
