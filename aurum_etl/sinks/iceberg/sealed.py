"""Catalogs that load no code they are told to.

Properties of tables, and the configuration that a REST catalog sends, may name Python classes, which the library imports
and calls: whoever may write to the catalog would have their code run by everybody who reads it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aurum_etl.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.rest import RestCatalog as _Kind
    from pyiceberg.io import FileIO
    from pyiceberg.table import CommitTableResponse, Table
    from pyiceberg.table.update import TableRequirement, TableUpdate
else:
    _Kind = object

NAMES_CODE = ("auth", "py-io-impl", "write.py-location-provider.impl", "s3.retry-strategy-impl")
"""The properties whose values pyiceberg 0.12 imports."""
_USED_ANYWAY = ("py-io-impl", "pyiceberg.io.pyarrow.PyArrowFileIO")


@cache
def sealed(kind: type[Catalog]) -> type[Catalog]:
    """The same kind of catalog, which refuses configuration and tables that name code."""
    return type(f"Sealed{kind.__name__}", (_Sealed, kind), {})


class _Sealed(_Kind):
    """Stands before the methods of a catalog of any kind; only a REST catalog fetches configuration."""

    def _fetch_config(self) -> None:
        super()._fetch_config()
        _refuse(self.properties, "the configuration that the catalog sends")

    def _load_file_io(self, properties: Mapping[str, str] | None = None, location: str | None = None) -> FileIO:
        # However a table is come by, this is called with all of its properties.
        _refuse({**self.properties, **(properties or {})}, f"the properties of {location}")
        return super()._load_file_io(dict(properties or {}), location)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        response: CommitTableResponse = super().commit_table(table, requirements, updates)
        # What is committed is no failure any more; whoever loads the table next is refused.
        for name in NAMES_CODE:
            response.metadata.properties.pop(name, None)
        return response


def _refuse(properties: Mapping[str, str], place: str) -> None:
    for name in NAMES_CODE:
        if name in properties and (name, properties[name]) != _USED_ANYWAY:
            raise SinkError(
                f'iceberg: {place} name code to be loaded, which is not done: {name} = "{properties[name]}"; '
                "take the property away where it was set"
            )
