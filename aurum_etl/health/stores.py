"""The stores: each is reached, asked, and written to in a way that leaves no trace."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import SinkUnavailable
from aurum_etl.health.base import Check, Found, Kind, State, unnamed
from aurum_etl.market import Iso
from aurum_etl.spec import KafkaSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO

    from aurum_etl.health.base import Watch
    from aurum_etl.settings import Settings
    from aurum_etl.spec import Spec

_LOOK = (
    "select current_setting('server_version'), current_setting('server_version_num')::int / 10000, current_schema(), "
    "(select extversion from pg_extension where extname = 'timescaledb'), "
    "(select string_agg(relname, ', ' order by relname) from pg_class "
    r"where relnamespace::regnamespace::text = quote_ident(current_schema()) and relname like 'iso\_%' "
    "and relkind in ('r', 'p') and not relispartition and not (has_table_privilege(oid, 'select') "
    "and has_table_privilege(oid, 'insert') and has_table_privilege(oid, 'delete')))"
)
"""Version, schema, extension, and those of our tables whose rows this user may not read and replace."""


def checks(settings: Settings, specs: Sequence[Spec]) -> list[Check]:
    """A check of each store there is, or of those that the specs write to, read from, or are drained into."""
    needed = {name for spec in specs for name in _needed(spec)}
    missing = State.FAILED if specs else State.NOT_CONFIGURED
    every = (
        _timescale_check(settings, missing),
        _iceberg_check(settings),
        _kafka_check(settings, missing),
        _registry_check(settings, missing),
    )
    return [check for check in every if not specs or check.name in needed]


def _needed(spec: Spec) -> set[str]:
    """The names of its checks."""
    kinds = {sink.kind for sink in spec.sinks}
    encodings = {sink.encoding for sink in spec.sinks if isinstance(sink, KafkaSpec)}
    if spec.drain is not None:
        kinds |= {"kafka", *(sink.kind for sink in spec.drain.sinks)}
        encodings.add(spec.drain.encoding)
    return kinds | ({"registry"} if "avro" in encodings else set())


def _timescale_check(settings: Settings, missing: State) -> Check:
    return Check(
        "timescale",
        Kind.STORE,
        "connect where TIMESCALE_CONNECTION points, ask, make a table and take it back",
        lambda watch: _timescale(settings, missing, watch),
        "check that the server is not stuck, and where TIMESCALE_CONNECTION points",
        ("adbc_driver_postgresql.dbapi",),
    )


def _timescale(settings: Settings, missing: State, watch: Watch) -> Found | str:
    if settings.timescale is None:
        return Found(
            missing,
            "TIMESCALE_CONNECTION is not set; it names the database, such as postgresql://localhost:5432/energy",
        )
    from adbc_driver_manager.dbapi import Error
    from adbc_driver_postgresql import dbapi

    from aurum_etl.secrets import demanded, forget
    from aurum_etl.sinks.timescale.connection import ADVICE, OLDEST_SERVER, ask, do, drop, linked, with_defaults

    name, table = "TIMESCALE_CONNECTION", f"aurum_health_{secrets.token_hex(8)}"
    link = linked(
        lambda: demanded(settings.secrets, name),
        lambda: forget(settings.secrets, name),
        lambda dsn: dbapi.connect(with_defaults(dsn, math.ceil(watch.within_seconds))),
    )
    connection = link.connection
    try:
        do(connection, f"set statement_timeout = '{watch.within_seconds * 1000:.0f}ms'")
        version, major, schema, extension, refused = ask(connection, _LOOK)[0]
        # Only who does it knows that it can be done; the table ends with the transaction.
        do(connection, f"create table {table} (at timestamptz)", f"insert into {table} values (now())")  # noqa: S608 - our name
        connection.rollback()
    except Error as error:
        raise SinkUnavailable(f"timescale: {link.explain(error)}") from error
    finally:
        drop(connection)
    if major < OLDEST_SERVER:
        raise SinkUnavailable(f"timescale: PostgreSQL {OLDEST_SERVER} or newer is needed, this is {version}")
    if refused:
        raise SinkUnavailable(f"timescale: this user may not read and replace the rows of {refused}; {ADVICE['42501']}")
    return f"PostgreSQL {version}, {f'TimescaleDB {extension}' if extension else 'no TimescaleDB'}, schema {schema}"


def _iceberg_check(settings: Settings) -> Check:
    where = settings.environment.get("AURUM_ICEBERG_URI") or settings.home / "catalog.db"
    return Check(
        "iceberg",
        Kind.STORE,
        f"list the namespaces of {where}, write an object, read it and delete it",
        lambda watch: _iceberg(settings, watch),
        "check the catalog and its storage, and where AURUM_ICEBERG_URI and AWS_ENDPOINT_URL point",
        (f"pyiceberg.catalog.{'rest' if str(where).startswith('http') else 'sql'}", "pyiceberg.io.pyarrow"),
    )


def _iceberg(settings: Settings, watch: Watch) -> str:
    from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog, told

    # What is not named is under home, and is made by who comes first.
    if "uri" not in settings.catalog:
        settings.private_folder()
    if not {"uri", "warehouse"} & set(settings.catalog):
        settings.private_folder("warehouse")
    seconds = str(watch.within_seconds)
    limits = {"s3.connect-timeout": seconds, "s3.request-timeout": seconds}
    try:
        catalog = open_catalog(settings, limits)
        try:
            place = _place(catalog)
            if place is None:
                return "the catalog answers; where tables will be it tells when there are some"
            _prove(*place)
        finally:
            close_catalog(catalog)
    except Exception as error:  # each catalog and each storage has errors of its own
        raise SinkUnavailable(f"iceberg: {told(error)}") from error
    return f"the catalog answers, and {place[1]} can be written to"


def _place(catalog: Catalog) -> tuple[FileIO, str] | None:
    """A folder that tables are in, or will be; None of a catalog that has none yet, and does not tell where."""
    from pyiceberg.io import load_file_io

    from aurum_etl.sinks.iceberg.catalog import NAMESPACE

    location = str(catalog.properties.get("warehouse", ""))
    if (NAMESPACE,) in catalog.list_namespaces():
        tables = catalog.list_tables(NAMESPACE)
        if tables:
            # Its own storage may have other keys than the catalog's.
            table = catalog.load_table(tables[0])
            return table.io, table.location()
        location = str(catalog.load_namespace_properties(NAMESPACE).get("location", location))
    # The warehouse of a REST catalog may be a mere name.
    if not (location.startswith("/") or urlsplit(location).scheme):
        return None
    return load_file_io(catalog.properties, location), location


def _prove(io: FileIO, location: str) -> None:
    """Write an object, read it back and delete it."""
    path, content = f"{location.rstrip('/')}/health-{secrets.token_hex(8)}", b"health"
    with io.new_output(path).create() as output:
        output.write(content)
    try:
        with io.new_input(path).open() as written:
            if written.read() != content:
                raise SinkUnavailable(f"{path} does not hold what was just written to it")
    finally:
        io.delete(path)


def _kafka_check(settings: Settings, missing: State) -> Check:
    brokers = settings.environment.get("KAFKA_BOOTSTRAP_SERVERS")
    check = Check(
        "kafka",
        Kind.STORE,
        f"metadata of the cluster at {brokers or 'KAFKA_BOOTSTRAP_SERVERS'}",
        lambda watch: _kafka(settings, watch),
        "check that the brokers run, and where KAFKA_BOOTSTRAP_SERVERS points",
        ("confluent_kafka.admin",),
    )
    if brokers:
        return check
    return unnamed(check, missing, "KAFKA_BOOTSTRAP_SERVERS is not set; it names the brokers, such as localhost:9092")


def _kafka(settings: Settings, watch: Watch) -> str:
    from confluent_kafka.admin import AdminClient

    from aurum_etl.sinks.kafka.login import Login
    from aurum_etl.sinks.kafka.topics import told, topic_of

    with told("the brokers cannot be reached"):
        _, cluster = Login(settings).introduced(
            AdminClient, lambda client, left: client.list_topics(timeout=left), watch.within_seconds
        )
    ours = {
        topic_of(iso, contract, encoding, settings.topic_prefix)
        for iso in Iso
        for contract in CONTRACTS.values()
        for encoding in ("avro", "arrow")
    }
    there = sorted(ours & set(cluster.topics))
    topics = f"topics {', '.join(there)}" if there else "no topic of ours: the first load makes them"
    return f"{len(cluster.brokers)} brokers, {topics}"


def _registry_check(settings: Settings, missing: State) -> Check:
    address = settings.environment.get("SCHEMA_REGISTRY_URL")
    check = Check(
        "registry",
        Kind.STORE,
        f"GET {address or 'SCHEMA_REGISTRY_URL'}/subjects",
        lambda watch: _registry(settings, watch),
        "check that the schema registry runs, and where SCHEMA_REGISTRY_URL points",
        ("confluent_kafka.schema_registry",),
    )
    if address:
        return check
    return unnamed(
        check, missing, "SCHEMA_REGISTRY_URL is not set; it names the registry, such as http://localhost:8081"
    )


def _registry(settings: Settings, watch: Watch) -> str:
    from aurum_etl.sinks.kafka.login import asked_of_registry
    from aurum_etl.sinks.kafka.topics import told_by_registry

    limits = {"timeout": watch.within_seconds, "max.retries": 0}
    with told_by_registry("the schema registry cannot be reached"):
        subjects = asked_of_registry(settings, lambda client: client.get_subjects(), **limits)
    return f"{len(subjects)} subjects"
