"""Iceberg tables, one per kind: SQLite catalog and local warehouse under AURUM_HOME, or a PostgreSQL or REST catalog and
an S3 store.

Partitioned by `iso_code` and `operating_date`, sorted by location and time, and each data file holds the rows of one
chunk: replacing a chunk is a change of metadata. Files carry the chunk key and the instant of the attempt in their
bounds, snapshots carry them in their summary, so that after an unknown outcome one can look whether it landed.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import tenacity

from aurum_etl.contracts import CONTRACT_VERSION, CONTRACTS
from aurum_etl.errors import AurumError, CommitFailed, CommitUnknown, Overtaken, SinkError, SinkUnavailable
from aurum_etl.receipt import Written
from aurum_etl.redaction import address_of
from aurum_etl.secrets import SECRETS, forget
from aurum_etl.secrets.refusal import once_more_if_refused
from aurum_etl.settings import CATALOG_VARIABLES
from aurum_etl.sinks.base import Position, demand_contract, ingested_at
from aurum_etl.sinks.iceberg import ledger
from aurum_etl.sinks.iceberg.catalog import NAMESPACE, close_catalog, iceberg_schema, is_refusal, open_catalog, told
from aurum_etl.sinks.iceberg.files import (
    Replacement,
    holds_attempt,
    name_with,
    remove,
    write_files,
)
from aurum_etl.sinks.ledger import Entry, Provenance
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Progress
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.spec import IcebergSpec
    from aurum_etl.window import Window

__all__ = ["ATTEMPT", "CHUNK_KEY", "NAMESPACE", "UNKNOWN", "Handover", "IcebergSink", "open_catalog"]

T = TypeVar("T")

CHUNK_KEY, ATTEMPT = "aurum.chunk_key", "aurum.attempt"
UNKNOWN = "unknown"
"""The folder under home that remembers files whose fate nobody could look up."""
_COMMIT_ATTEMPTS = 10
_OPEN_ATTEMPTS = 4
_KEEP_SNAPSHOTS = "history.expire.min-snapshots-to-keep"

PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # Bounds are cut to 16 characters by default, and then say nothing about a chunk key.
    "write.metadata.metrics.column.chunk_key": "full",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # A backfill of years is a thousand commits: planning reads every manifest that is not merged.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "32",
    # Every commit copies the whole history, many times over: what it costs would grow with what was done before.
    _KEEP_SNAPSHOTS: "30",
    # Conflicts are retried here, from fresh metadata, and not by the library.
    "commit.retry.num-retries": "0",
}


@dataclass(frozen=True, slots=True)
class Handover:
    """Staged files on their way to the process that commits them: all there is to know of them, and no connection."""

    table: str
    """The UUID of the table that they were written for."""
    files: tuple[DataFile, ...]
    entry: Entry
    attempt: str
    """Names the attempt in the snapshot that will hold it."""


class IcebergSink:
    """One Iceberg table per kind, in the namespace `iso`.

    **Twice:** a second commit of the same chunk replaces its scope in one snapshot; readers see the old rows or the new
    ones, never both and never neither. Files in which the scope owns every row are dropped whole; a file that also holds
    other rows (three nodes fetched again out of a whole day) is rewritten without the scope's rows. Threads that commit at
    the same time share a snapshot. A process that is killed between stage and commit, or interrupted during a commit,
    leaves files that no snapshot names and no reader sees: `maintain` removes them.
    """

    kind = "iceberg"

    def __init__(self, settings: Settings, contracts: Mapping[str, Contract] = CONTRACTS) -> None:
        self._settings = settings
        self._contracts = contracts
        self._catalog: Catalog | None = None
        self._opened_as: Mapping[str, str] = {}
        """What the settings said of the catalog when it was opened."""
        self._opening = threading.Lock()
        self._waiting: defaultdict[str, list[_Staged]] = defaultdict(list)
        self._committing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @classmethod
    def from_spec(cls, _spec: IcebergSpec, settings: Settings) -> Self:
        """The sink in the catalog that the settings name."""
        return cls(settings)

    @property
    def _place(self) -> str:
        """Where the catalog is, without anything secret."""
        uri = self._settings.catalog.get("uri")
        return address_of(uri).rpartition("://")[2] if uri else str(self._settings.home / "catalog.db")

    def open(self, dataset: Dataset | None = None) -> None:
        """See `Sink.open`: reaches the catalog, makes the tables that are not there, and proves that it may write."""
        contracts = list(self._contracts.values()) if dataset is None else [dataset.contract]
        self._settings.private_folder(*(() if "warehouse" in self._settings.catalog else ("warehouse",)))
        try:
            catalog = self._settings.home / "catalog.db"
            if "uri" not in self._settings.catalog and not catalog.exists():
                catalog.touch(mode=0o600)
            self._unrefused(lambda: self._reach(contracts))
        except AurumError:
            raise
        except Exception as error:
            raise SinkUnavailable(f"iceberg: catalog {self._place} cannot be opened: {told(error)}") from error
        for contract in contracts:
            _prove_writable(self._table(contract))

    def _reach(self, contracts: Iterable[Contract]) -> None:
        """Open the catalog. Where several processes make a new one at once, the losers find it made when they look again."""
        from pyiceberg.exceptions import CommitFailedException
        from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(
                (IntegrityError, OperationalError, ProgrammingError, CommitFailedException)
            ),
            wait=tenacity.wait_random(0.02, 0.2),
            stop=tenacity.stop_after_attempt(_OPEN_ATTEMPTS),
            reraise=True,
        ):
            with attempt:
                self.close()
                catalog = self._open()
                if engine := getattr(catalog, "engine", None):
                    with engine.connect() as connection:
                        # A write that changes nothing; to begin one is not enough, for SQLite then falls back to reading.
                        connection.exec_driver_sql("delete from iceberg_tables where 1 = 0")
                        connection.rollback()
                catalog.create_namespace_if_not_exists(NAMESPACE)
                for contract in contracts:
                    _fit(self._table(contract), contract)

    def _open(self) -> Catalog:
        """The catalog, opened with what the secrets are now; whoever is in the middle of something goes on with the old one."""
        self._opened_as, before = self._settings.catalog, self._catalog
        self._catalog = opened = open_catalog(self._settings)
        if before is not None:
            close_catalog(before)
        return opened

    def _present(self) -> Catalog:
        """The catalog, opened anew if the secrets have changed since it was opened.

        Raises: SinkUnavailable if the sink is not open, or the catalog can no longer be.
        """
        with self._opening:
            if self._catalog is None:
                raise SinkUnavailable("iceberg: the sink is not open")
            if self._settings.catalog != self._opened_as:
                try:
                    self._open()
                except AurumError:
                    raise
                except Exception as error:
                    raise SinkUnavailable(f"iceberg: catalog {self._place} cannot be opened: {told(error)}") from error
                logger().info("iceberg.login_renewed")
            return self._catalog

    def _unrefused(self, ask: Callable[[], T]) -> T:
        """What comes of asking; once more where it is refused, and the secrets are others past what is cached."""
        return once_more_if_refused(
            lambda _: ask(),
            lambda: self._settings.catalog,
            lambda: forget(self._settings.secrets, *(name for name in CATALOG_VARIABLES if name in SECRETS)),
            is_refusal,
        )

    def close(self) -> None:
        """See `Sink.close`."""
        if self._catalog is not None:
            close_catalog(self._catalog)
            self._catalog = None

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> _Staged:
        """See `Drained.stage`: writes the data files, which no snapshot names yet."""
        demand_contract(table, scope)
        attempt = uuid.uuid4().hex

        def write() -> tuple[Table, list[DataFile]]:
            target = self._table(scope.contract)
            return target, write_files(target, table, name_with(attempt, Provenance.of(table).origin))

        try:
            target, files = self._unrefused(write)
        except AurumError:
            raise
        except Exception as error:
            raise SinkUnavailable(f"iceberg: rows cannot be written to {self._warehouse}: {told(error)}") from error
        entry = Entry(scope.chunk, table.num_rows, ingested_at(table), Provenance.of(table))
        return _Staged(self, target, files, scope, entry, attempt, progress)

    def handed_over(self, staged: _Staged) -> Handover:
        """What another process needs to commit what was staged here; from now on its files are that process's.

        Raises: ValueError if it was committed or discarded already.
        """
        staged.demand_unsettled()
        staged.settled = True
        return Handover(str(staged.table.metadata.table_uuid), tuple(staged.files), staged.entry, staged.attempt)

    def adopt(self, handover: Handover, scope: Scope) -> _Staged:
        """What another process staged for that scope, as if it had been staged here.

        Raises: SinkUnavailable if that process has another table by this name.
        """
        try:
            table = self._unrefused(lambda: self._table(scope.contract))
        except SinkError:
            raise
        except Exception as error:
            raise SinkUnavailable(f"iceberg: {scope.chunk.key} cannot be committed: {told(error)}") from error
        if str(table.metadata.table_uuid) != handover.table:
            raise SinkUnavailable(
                f"iceberg: {scope.chunk.key} was written for another table {'.'.join(table.name())} than the one in "
                f"{self._place}; give its process the same AURUM_HOME or AURUM_ICEBERG_URI as this one"
            )
        files = list(handover.files)
        return _Staged(self, table, files, scope, handover.entry, handover.attempt, None)

    def position(self, group: str, topic: str) -> Position:
        """See `Drained.position`: a property of the topic's table, which no expiry takes away."""
        return _position(self._table_of_topic(topic), group, topic)

    def advance(self, progress: Progress) -> None:
        """See `Drained.advance`: a snapshot without files."""
        table = self._table_of_topic(progress.topic)
        _demand_position(table, progress)
        try:
            with table.transaction() as transaction:
                transaction.set_properties({_position_key(progress.group, progress.topic): str(progress.after)})
                # The snapshot makes the catalog check that nobody was faster: for properties alone some do not.
                with transaction.update_snapshot(snapshot_properties=_offsets(progress)).fast_append():
                    pass
        except Exception as error:
            table.refresh()
            if _position(table, progress.group, progress.topic) != progress.after:
                raise CommitFailed(f"iceberg: the position was not kept: {told(error)}") from error

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """See `Sink.held`: the data files tell, and the summaries as far as they are kept."""
        kinds = self._contracts if dataset is None else [dataset.contract.kind]
        with self._asked(kinds, "what it holds") as tables:
            return [each for table in tables for each in ledger.held(table, dataset, window)]

    def days(self, scope: Scope) -> tuple[Day, ...]:
        """See `Sink.days`."""
        with self._asked([scope.contract.kind], f"for the days of {scope.chunk.key}") as tables:
            return tuple(day for table in tables for day in ledger.days(table, scope))

    @contextmanager
    def _asked(self, kinds: Iterable[str], what: str) -> Iterator[list[Table]]:
        """The tables of those kinds that there are, whether the sink is open or not."""
        catalog: Catalog | None = None
        try:
            catalog = self._present() if self._catalog is not None else None
            if catalog is None:
                if "uri" not in self._settings.catalog and not (self._settings.home / "catalog.db").exists():
                    yield []
                    return
                catalog = open_catalog(self._settings)
            names = [f"{NAMESPACE}.{kind}" for kind in kinds]
            yield [catalog.load_table(name) for name in names if catalog.table_exists(name)]
        except AurumError:
            raise
        except Exception as error:
            raise SinkUnavailable(f"iceberg: catalog {self._place} cannot be asked {what}: {told(error)}") from error
        finally:
            if catalog is not None and catalog is not self._catalog:
                close_catalog(catalog)

    def _table_of_topic(self, topic: str) -> Table:
        # Whatever a prefix has in it: aurum.iso.<iso>.<kind>.…
        return self._table(self._contracts[topic.rpartition("aurum.iso.")[2].split(".")[1]])

    @property
    def _warehouse(self) -> str:
        return self._settings.catalog.get("warehouse") or str(self._settings.home)

    def _table(self, contract: Contract) -> Table:
        from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError

        catalog, name = self._present(), f"{NAMESPACE}.{contract.kind}"
        with suppress(NoSuchTableError):
            return catalog.load_table(name)
        try:
            return _create(catalog, name, contract)
        except TableAlreadyExistsError:  # another process was faster
            return catalog.load_table(name)

    def commit(self, staged: _Staged) -> None:
        """Commit it, with all that others staged for the same table and wait to commit: one snapshot for the batch."""
        kind = staged.scope.contract.kind
        self._waiting[kind].append(staged)
        with self._committing[kind]:
            if staged.outcome is not None:
                return  # whoever held the lock took it along
            waiting, self._waiting[kind] = self._waiting[kind], []
            batch: list[_Staged] = []
            for each in [staged, *(other for other in waiting if other is not staged)]:
                # Of two that own the same rows the later one must see what the former left.
                alone = each.progress is not None or any(each.scope.meets(other.scope) for other in batch)
                (self._waiting[kind] if batch and (alone or batch[0].progress) else batch).append(each)
            self._renew(batch)
            _commit_batch(batch, self._settings)

    def _renew(self, batch: Sequence[_Staged]) -> None:
        """Let the commit be made as who we are now, whoever we were when it was staged.

        Raises: CommitFailed, of which nothing was sent, if nobody can tell who that is, or the catalog cannot be had.
        """
        try:
            if batch[0].table.catalog is not self._present():
                table = self._unrefused(lambda: self._table(batch[0].scope.contract))
                for each in batch:
                    each.table = table
        except Exception as error:
            keys = ", ".join(each.scope.chunk.key for each in batch)
            raise CommitFailed(f"iceberg: {keys} was not committed: {told(error)}") from error

    def commit_together(self, staged: Sequence[_Staged]) -> list[Written | SinkError]:
        """Commit many chunks, each table in as few snapshots as their scopes allow; what came of each of them."""
        for each in staged:
            each.demand_unsettled()
            self._waiting[each.scope.contract.kind].append(each)
        came: list[Written | SinkError] = []
        for each in staged:
            try:
                came.append(each.commit())
            except SinkError as error:
                came.append(error)
        return came


class _Staged:
    """Data files in the table's folder that no snapshot names."""

    def __init__(
        self,
        sink: IcebergSink,
        table: Table,
        files: list[DataFile],
        scope: Scope,
        entry: Entry,
        attempt: str,
        progress: Progress | None,
    ) -> None:
        self._sink = sink
        self.table = table
        self.files = files
        self.scope = scope
        self.entry = entry
        self.attempt = attempt
        self.progress = progress
        self.settled = False
        """Whether the files are, or may be, part of the table: then nobody may remove them."""
        self.outcome: str | Exception | None = None
        """The snapshot that holds the rows, or why there is none."""

    def commit(self) -> Written:
        """See `Staged.commit`: one change of the table, tried again from fresh metadata when others were faster."""
        if self.outcome is None:
            self.demand_unsettled()
            self._sink.commit(self)
        outcome, self.outcome = self.outcome, ValueError(self._once)
        if isinstance(outcome, Exception):
            raise outcome
        return Written(IcebergSink.kind, ".".join(self.table.name()), self.entry.rows, outcome or "")

    @property
    def _once(self) -> str:
        return f"{self.scope.chunk.key}: staged files can be committed once, and not after a discard"

    def demand_unsettled(self) -> None:
        """Refuse what was committed or discarded before."""
        if self.settled:
            raise ValueError(self._once)

    def discard(self) -> None:
        """See `Staged.discard`."""
        if self.settled:
            return
        self.settled = True
        remove(self.table, self.files)


def _commit_batch(batch: Sequence[_Staged], settings: Settings) -> None:
    """Commit them in one snapshot; the outcome is in each of them."""
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, CommitFailed) and error.retryable),
        wait=tenacity.wait_random_exponential(0.05, 5),
        stop=tenacity.stop_after_attempt(_COMMIT_ATTEMPTS),
        retry_error_callback=lambda state: _tell(batch, state.outcome.exception() if state.outcome else None),
    ):
        with attempt:
            try:
                _commit_once(batch, settings)
                _shorten_history(batch[0].table)
            except (CommitUnknown, Overtaken) as error:
                _tell(batch, error)


def _shorten_history(table: Table) -> None:
    """Expire the oldest snapshots once there are twice as many as the table wants to keep; their files are `maintain`'s.

    What branches and tags name stays.
    """
    keep = int(table.metadata.properties.get(_KEEP_SNAPSHOTS, PROPERTIES[_KEEP_SNAPSHOTS]))
    snapshots = sorted(table.metadata.snapshots, key=lambda each: each.timestamp_ms)
    if len(snapshots) < 2 * keep:
        return
    named = {ref.snapshot_id for ref in table.metadata.refs.values()}
    old = [each.snapshot_id for each in snapshots[:-keep] if each.snapshot_id not in named]
    try:
        table.maintenance.expire_snapshots().by_ids(old).commit()
    except Exception as error:  # noqa: BLE001 - the rows are in; the next commit tries again
        logger().info("iceberg.history_kept", table=table.name(), reason=told(error))


def _tell(batch: Sequence[_Staged], error: BaseException | None) -> None:
    for each in batch:
        each.outcome = error if isinstance(error, Exception) else None


def _commit_once(batch: Sequence[_Staged], settings: Settings) -> None:
    from pyiceberg.exceptions import CommitFailedException

    table, keys = batch[0].table, ", ".join(each.scope.chunk.key for each in batch)
    replacement = Replacement()
    try:
        table.refresh()
        if (progress := batch[0].progress) is not None:
            _demand_position(table, progress)
        # From here until it is known otherwise: an interrupt may come when the catalog has already changed.
        for each in batch:
            each.settled = True
            replacement.make_room(table, each.scope, f"{each.attempt}-kept-{uuid.uuid4().hex[:8]}")
        _replace(table, batch, replacement)
        snapshot = _snapshot(table, batch[0].attempt)
    except Exception as error:
        # Whatever it was, the commit may have happened before it: look, then act.
        try:
            table.refresh()
            refused = isinstance(error, Overtaken | CommitFailedException)
            snapshot = None if refused else _landed(table, batch, replacement.seen)
        except Exception as while_looking:  # noqa: BLE001 - see open
            _remember(batch, settings)
            raise CommitUnknown(
                f"iceberg: whether {keys} was committed is unknown ({told(error)}), and the table cannot be "
                f"read ({told(while_looking)}); run it again once it can be: the scope is replaced, nothing doubles"
            ) from error
        if snapshot is None:
            for each in batch:
                each.settled = False
            remove(table, replacement.kept)
            if isinstance(error, Overtaken):
                raise
            logger().warning("iceberg.conflict", chunk=keys, reason=told(error))
            raise CommitFailed(f"iceberg: {keys} was not committed: {told(error)}") from error
    for each in batch:
        each.outcome = snapshot


def _replace(table: Table, batch: Sequence[_Staged], replacement: Replacement) -> None:
    """One snapshot: what has to go out, what was staged in."""
    properties = {
        CHUNK_KEY: "\n".join(each.scope.chunk.key for each in batch),
        ATTEMPT: "\n".join(each.attempt for each in batch),
        "aurum.rows": str(sum(each.entry.rows for each in batch)),
        "aurum.contract_version": CONTRACT_VERSION,
        **ledger.summary(each.entry for each in batch),
    }
    progress = batch[0].progress
    added = [*(file for each in batch for file in each.files), *replacement.kept]
    with table.transaction() as transaction:
        if progress is not None:
            properties |= _offsets(progress)
            transaction.set_properties({_position_key(progress.group, progress.topic): str(progress.after)})
        update = transaction.update_snapshot(snapshot_properties=properties)
        # Only appends merge small manifests.
        with update.overwrite() if replacement.dropped else update.merge_append() as change:
            for file in replacement.dropped.values():
                change.delete_data_file(file)
            for file in added:
                change.append_data_file(file)


def _landed(table: Table, batch: Sequence[_Staged], seen: set[str]) -> str | None:
    """The snapshot that holds the batch, empty if the history no longer tells which; None if the rows are not there."""
    if (snapshot := _snapshot(table, batch[0].attempt)) is not None:
        return snapshot
    for each in batch:
        paths = {file.file_path for file in each.files}
        if paths and holds_attempt(table, each.scope, paths, seen, each.entry.ingested_at):
            return ""
    return None


def _snapshot(table: Table, attempt: str) -> str | None:
    """Id of the newest snapshot of this attempt, as far as the history goes."""
    for snapshot in reversed(table.metadata.snapshots):
        summary = snapshot.summary.additional_properties if snapshot.summary is not None else {}
        if attempt in summary.get(ATTEMPT, "").split("\n"):
            return str(snapshot.snapshot_id)
    return None


def _remember(batch: Sequence[_Staged], settings: Settings) -> None:
    """Note the files of an unknown outcome, so that nobody takes them for litter before it is known."""
    for each in batch:
        note = {
            "table": ".".join(each.table.name()),
            "chunk_key": each.scope.chunk.key,
            "files": [file.file_path for file in each.files],
        }
        path = settings.private_folder(UNKNOWN) / f"{each.attempt}.json"
        path.write_text(json.dumps(note), "utf-8")


def _position_key(group: str, topic: str) -> str:
    return f"aurum.position.{group}.{topic}"


def _position(table: Table, group: str, topic: str) -> Position:
    return Position.parse(table.metadata.properties.get(_position_key(group, topic)))


def _demand_position(table: Table, progress: Progress) -> None:
    found = _position(table, progress.group, progress.topic)
    if found != progress.before:
        raise Overtaken(f"iceberg: {progress.topic}: another drain of {progress.group} has read on to {found}")


def _offsets(progress: Progress) -> dict[str, str]:
    return {"aurum.group": progress.group, "aurum.topic": progress.topic, "aurum.position": str(progress.after)}


def _create(catalog: Catalog, name: str, contract: Contract) -> Table:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform

    schema = iceberg_schema(contract)
    by = [
        PartitionField(schema.find_field(column).field_id, 1000 + number, IdentityTransform(), column)
        for number, column in enumerate(contract.partitions)
    ]
    order = [
        SortField(schema.find_field(column).field_id, IdentityTransform())
        for column in ("iso_location_id", contract.time)
    ]
    return catalog.create_table(
        name, schema, partition_spec=PartitionSpec(*by), sort_order=SortOrder(*order), properties=PROPERTIES
    )


def _fit(table: Table, contract: Contract) -> None:
    """Add the columns that the contract has grown; columns that only the table has are a newer program's.

    Raises: SinkUnavailable if a column is of another type, or one that may not be null would have to be added.
    """
    have = {field.name: (str(field.field_type), field.required) for field in table.schema().fields}
    wanted = iceberg_schema(contract)
    differing, missing = [], []
    for field in wanted.fields:
        if field.name not in have and not field.required:
            missing.append(field)
        elif have.get(field.name) != (str(field.field_type), field.required):
            differing.append(field.name)
    if tuple(field.name for field in table.spec().fields) != contract.partitions:
        differing.append(f"the partitions, which should be {' and '.join(contract.partitions)}")
    names = {field.name for field in wanted.fields}
    differing += [name for name, (_, required) in have.items() if name not in names and required]
    if differing:
        raise SinkUnavailable(
            f"iceberg: table {'.'.join(table.name())} is not of this contract; what differs: "
            f"{', '.join(sorted(differing))}; use another AURUM_HOME, or move the table away"
        )
    if missing:
        with table.update_schema() as update:
            for field in missing:
                update.add_column(field.name, field.field_type, field.doc)
        logger().warning("iceberg.migrated", table=table.name(), added=[field.name for field in missing])


def _prove_writable(table: Table) -> None:
    """Better now than after an hour of fetching."""
    path = f"{table.location()}/metadata/probe-{uuid.uuid4().hex}"
    try:
        with table.io.new_output(path).create() as output:
            output.write(b"aurum")
        table.io.delete(path)
    except Exception as error:
        raise SinkUnavailable(f"iceberg: warehouse {table.location()} cannot be written to: {told(error)}") from error
