"""Each server answers, so that a failure elsewhere is a failure elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from tests.conftest import server

if TYPE_CHECKING:
    from pathlib import Path


def test_postgres_answers(database: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        assert cursor.fetchall() == [(1,)]


def test_kafka_and_the_registry_answer(kafka: dict[str, str]) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.schema_registry import SchemaRegistryClient

    assert AdminClient({"bootstrap.servers": kafka["KAFKA_BOOTSTRAP_SERVERS"]}).list_topics(timeout=5).brokers
    with SchemaRegistryClient({"url": kafka["SCHEMA_REGISTRY_URL"]}) as registry:
        assert isinstance(registry.get_subjects(), list)


def test_the_rest_catalog_and_the_object_store_answer(tmp_path: Path, s3: dict[str, str]) -> None:
    uri = server("rest_catalog")["uri"]
    settings = read_settings({"AURUM_HOME": str(tmp_path), "AURUM_ICEBERG_URI": uri, **s3})
    catalog = open_catalog(settings)
    assert isinstance(catalog.list_namespaces(), list)
    close_catalog(catalog)
