"""Each server answers, so that a failure elsewhere is a failure elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hvac

from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog

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


def test_the_rest_catalog_answers(tmp_path: Path, rest_catalog: dict[str, str]) -> None:
    catalog = open_catalog(read_settings({"AURUM_HOME": str(tmp_path), **rest_catalog}))
    assert catalog.list_namespaces() == []
    close_catalog(catalog)


def test_the_vault_keeps_what_it_is_given(vault: dict[str, str]) -> None:
    client = hvac.Client(vault["VAULT_ADDR"], token=vault["VAULT_TOKEN"])
    client.secrets.kv.v2.create_or_update_secret("aurum", {"word": "kept"})
    assert client.secrets.kv.v2.read_secret_version("aurum", raise_on_deleted_version=True)["data"]["data"] == {
        "word": "kept"
    }


def test_the_object_store_answers(s3: dict[str, str]) -> None:
    from pyarrow.fs import S3FileSystem

    store = S3FileSystem(
        endpoint_override=s3["AWS_ENDPOINT_URL"],
        access_key=s3["AWS_ACCESS_KEY_ID"],
        secret_key=s3["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
    )
    path = s3["AURUM_ICEBERG_WAREHOUSE"].removeprefix("s3://") + "/probe"
    with store.open_output_stream(path) as output:
        output.write(b"here")
    with store.open_input_stream(path) as content:
        assert content.read() == b"here"
