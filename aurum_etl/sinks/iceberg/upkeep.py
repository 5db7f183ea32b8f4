"""Upkeep of Iceberg tables: small files together, old snapshots out, and what nobody names any more removed."""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import AurumError, CommitFailed, SinkUnavailable
from aurum_etl.sinks.iceberg import UNKNOWN
from aurum_etl.sinks.iceberg.catalog import NAMESPACE, close_catalog, open_catalog, told
from aurum_etl.sinks.iceberg.files import name_with, origin_of, read_file, remove, write_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings

SMALL_BYTES = 32 * 1024 * 1024
"""Files below this size are small."""
_OURS = re.compile(r"/(data/.+\.parquet|metadata/(.+\.(avro|json|puffin|crc)|probe-[0-9a-f]{32}))$")
"""What a table's folder may have of its own; nothing else is ever removed, wherever a catalog says that a table is."""
_TOO_MANY = 4
"""So many small files of one trading day are worth one that is not."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may go."""

    keep: timedelta
    """Snapshots younger than this stay: how far back readers can travel."""
    orphans: timedelta
    """Files that no snapshot names are removed when they are older than this: a running load has written some."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was, or would be, done for one table."""

    table: str
    small_files: int
    """Data files that are put together."""
    merged_files: int
    """Into so many."""
    snapshots: int
    """Snapshots that expire."""
    orphans: int
    """Files that no snapshot names."""
    orphan_bytes: int
    unknown: int
    """Files that stay because nobody could look up whether they were committed."""


def maintain(settings: Settings, limits: Limits, *, apply: bool) -> list[Upkeep]:
    """Look after every table; without `apply` nothing is changed, and the answer tells what would be.

    Twice:  the second time finds nothing to do.
    Raises: SinkUnavailable if the catalog cannot be read; CommitFailed if others changed the table all the time.
    """
    now = datetime.now(UTC)
    try:
        catalog = open_catalog(settings)
        try:
            return [
                _maintain(catalog.load_table(f"{NAMESPACE}.{kind}"), contract, settings, limits, now, apply=apply)
                for kind, contract in CONTRACTS.items()
                if catalog.table_exists(f"{NAMESPACE}.{kind}")
            ]
        finally:
            close_catalog(catalog)
    except AurumError:
        raise
    except Exception as error:
        raise SinkUnavailable(f"iceberg: the tables cannot be looked after: {told(error)}") from error


def _maintain(
    table: Table, contract: Contract, settings: Settings, limits: Limits, now: datetime, *, apply: bool
) -> Upkeep:
    crowded = list(_crowded(table))
    if apply:
        for files in crowded:
            _compact(table, contract, files)
    old = _old_snapshots(table, now - limits.keep)
    if apply and old:
        table.maintenance.expire_snapshots().by_ids([each.snapshot_id for each in old]).commit()
        table.refresh()
    named = set(_named(table, {each.snapshot_id for each in old}))
    filesystem, folder = _place(table, table.location())
    folder = folder.rstrip("/")
    unknown = _unknown(settings.home / UNKNOWN, table, named, apply=apply)
    orphans = {
        path: size
        for path, (size, modified) in stored_files(table).items()
        if _OURS.match(path.removeprefix(folder))
        and path not in named
        and path not in unknown
        and modified < now - limits.orphans
    }
    if apply:
        for path in orphans:
            filesystem.delete_file(path)
    return Upkeep(
        table=".".join(table.name()),
        small_files=sum(len(files) for files in crowded),
        merged_files=len(crowded),
        snapshots=len(old),
        orphans=len(orphans),
        orphan_bytes=sum(orphans.values()),
        unknown=len(unknown),
    )


def stored_files(table: Table) -> dict[str, tuple[int, datetime]]:
    """Everything that lies in the table's folder, data and metadata: path to bytes and time of the last change."""
    from pyarrow.fs import FileSelector, FileType

    filesystem, folder = _place(table, table.location())
    found = filesystem.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
    return {each.path: (each.size, each.mtime) for each in found if each.type == FileType.File}


def _place(table: Table, location: str) -> tuple[Any, str]:
    """File system and plain path of an address, which catalogs write in more than one way."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    scheme, host, path = PyArrowFileIO.parse_location(location)
    return PyArrowFileIO(table.io.properties).fs_by_scheme(scheme, host), path


def _crowded(table: Table) -> Iterator[list[DataFile]]:
    """The small files of each partition that has too many of them; those of different origins stay apart."""
    partitions: defaultdict[Any, list[DataFile]] = defaultdict(list)
    for task in table.scan().plan_files():
        if task.file.file_size_in_bytes < SMALL_BYTES and not task.delete_files:
            partitions[task.file.partition, origin_of(task.file)].append(task.file)
    yield from (files for files in partitions.values() if len(files) >= _TOO_MANY)


def _compact(table: Table, contract: Contract, files: list[DataFile]) -> None:
    """Put one file in place of many; the rows are the same, in the table's order."""
    import pyarrow as pa

    rows = pa.concat_tables([read_file(table, file, contract) for file in files])
    rows = rows.sort_by([(column, "ascending") for column in contract.order])
    written = write_files(table, rows, name_with(f"{uuid.uuid4().hex}-compacted", origin_of(files[0])))
    try:
        with (
            table.transaction() as transaction,
            transaction.update_snapshot(snapshot_properties={"aurum.upkeep": "compact"}).overwrite() as change,
        ):
            for file in files:
                change.delete_data_file(file)
            for file in written:
                change.append_data_file(file)
    except Exception as error:
        table.refresh()
        if {task.file.file_path for task in table.scan().plan_files()} & {file.file_path for file in written}:
            return
        remove(table, written)
        raise CommitFailed(f"iceberg: {'.'.join(table.name())} was not compacted: {told(error)}") from error


def _old_snapshots(table: Table, before: datetime) -> list[Snapshot]:
    kept = {ref.snapshot_id for ref in table.metadata.refs.values()}
    edge = before.timestamp() * 1000
    return [each for each in table.metadata.snapshots if each.timestamp_ms < edge and each.snapshot_id not in kept]


def _named(table: Table, expired: set[int]) -> Iterator[str]:
    """Paths of everything that the table's metadata leads to, without the snapshots that are to expire."""
    metadata = table.metadata
    addresses: list[str] = [table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)]
    addresses += [file.statistics_path for file in metadata.statistics]
    manifests: dict[str, Any] = {}
    for snapshot in metadata.snapshots:
        if snapshot.snapshot_id not in expired:
            addresses.append(snapshot.manifest_list)
            manifests |= {each.manifest_path: each for each in snapshot.manifests(table.io)}
    addresses += manifests
    for manifest in manifests.values():
        addresses += [entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)]
    for address in addresses:
        yield _place(table, address)[1]


def _unknown(folder: Path, table: Table, named: set[str], *, apply: bool) -> set[str]:
    """Paths of files that may still become part of the table; notes whose outcome is known by now are thrown away.

    A commit demands the snapshot that it was made upon: once the table has a newer one, it can no longer land.
    """
    waiting: set[str] = set()
    for path in sorted(folder.glob("*.json")):
        note: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        if note["table"] != ".".join(table.name()):
            continue
        files = {_place(table, address)[1] for address in note["files"]}
        newest = table.current_snapshot()
        changed_since = newest is not None and newest.timestamp_ms / 1000 > path.stat().st_mtime
        if files & named or changed_since:
            if apply:
                path.unlink()
        else:
            waiting |= files
    return waiting
