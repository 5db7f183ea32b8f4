"""Keys of the storage and passwords of the catalog change while a sink is open: real servers that ask for them."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import scope_of
from aurum_etl.errors import SinkUnavailable
from aurum_etl.sinks.iceberg import IcebergSink, open_catalog
from aurum_etl.sinks.iceberg.catalog import close_catalog
from tests import services
from tests.conftest import server
from tests.frames import DAY, chunk, rows, scope
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.settings import Settings

NEXT, LAST = DAY.replace(day=15), DAY.replace(day=16)


@dataclass
class Storage:
    """An S3 store, and an account in it that has a key for a while."""

    kept: Kept
    key: str = ""

    def rotate(self) -> None:
        """A new key, and the old one is good for nothing."""
        old, self.key, secret = self.key, f"key{secrets.token_hex(6)}", secrets.token_hex(12)
        self._admin("create-user", "--access", self.key, "--secret", secret, "--role", "admin")
        if old:
            self._admin("delete-user", "--access", old)
        self.kept.put(AWS_ACCESS_KEY_ID=self.key, AWS_SECRET_ACCESS_KEY=secret)

    def settings(self) -> Settings:
        found = server("s3")
        place = f"s3://{found['bucket']}/{secrets.token_hex(8)}"
        self.kept.references.pop("AURUM_ICEBERG_WAREHOUSE", None)
        return self.kept.settings(AWS_ENDPOINT_URL=found["endpoint"], AURUM_ICEBERG_WAREHOUSE=place)

    @staticmethod
    def _admin(*words: str) -> None:
        found = server("s3")
        login = ("--access", found["key"], "--secret", found["secret"], "--endpoint-url", found["endpoint"])
        subprocess.run([services.versitygw(), "admin", *login, *words], check=True, capture_output=True)


@pytest.fixture(params=["file", "vault"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, vault: dict[str, str]) -> Storage:
    found = Storage(Kept(tmp_path, vault if request.param == "vault" else None))
    found.rotate()
    return found


def opened(settings: Settings) -> IcebergSink:
    sink = IcebergSink(settings)
    sink.open(LMP_DAY_AHEAD)
    return sink


def prices(settings: Settings) -> list[tuple[float, int]]:
    catalog = open_catalog(settings)
    try:
        frame = pl.DataFrame(catalog.load_table("iso.lmp").scan().to_arrow())
    finally:
        close_catalog(catalog)
    return frame.group_by("price_total").len().sort("price_total").rows()


def test_a_new_key_is_shown_from_the_next_chunk_on(storage: Storage) -> None:
    """Where what is cached is old, the store's refusal tells."""
    settings = storage.settings()
    sink = opened(settings)
    sink.stage(rows(scope(), "A"), scope()).commit()
    storage.rotate()
    of = scope(LMP_DAY_AHEAD, NEXT)
    sink.stage(rows(of, "A", price=2.0), of).commit()
    assert [each.rows for each in sink.held()] == [24, 24]
    sink.close()
    assert prices(settings) == [(1.0, 24), (2.0, 24)]


@pytest.mark.parametrize("storage", ["file"], indirect=True)
def test_what_was_staged_before_is_committed_as_who_we_are_now(storage: Storage) -> None:
    """Also where another process staged it."""
    settings = storage.settings()
    sink, other = opened(settings), opened(settings)
    one, two = scope(), scope(LMP_DAY_AHEAD, NEXT)
    staged = sink.stage(rows(one, "A"), one)
    handed = other.handed_over(other.stage(rows(two, "A", price=2.0), two))
    storage.rotate()
    adopted = sink.adopt(handed, scope_of(chunk(LMP_DAY_AHEAD, NEXT), LMP_DAY_AHEAD))
    assert [each.rows for each in sink.commit_together([staged, adopted]) if not isinstance(each, Exception)] == [
        24,
        24,
    ]
    for each in (sink, other):
        each.close()
    assert prices(settings) == [(1.0, 24), (2.0, 24)]


@pytest.mark.parametrize("storage", ["file"], indirect=True)
def test_a_key_that_stays_wrong_is_told(storage: Storage) -> None:
    sink = opened(storage.settings())
    storage.kept.put(AWS_SECRET_ACCESS_KEY="sesame-of-nobody")
    with pytest.raises(SinkUnavailable, match="rows cannot be written") as caught:
        sink.stage(rows(scope(), "A"), scope())
    assert "sesame" not in str(caught.value)
    sink.close()


@pytest.fixture
def owner() -> Iterator[str]:
    """A database whose server wants passwords, for a catalog."""
    with services.database(server("guarded postgres")["dsn"]) as dsn:
        yield dsn


@pytest.mark.parametrize("place", ["file", "vault"])
def test_a_catalog_is_opened_anew_with_a_new_password(
    owner: str, tmp_path: Path, vault: dict[str, str], place: str
) -> None:
    kept, user = Kept(tmp_path, vault if place == "vault" else None), f"keeper_{secrets.token_hex(4)}"
    services.execute(owner, f"create role {user} login password 'first'")
    services.execute(owner, f"grant create on schema public to {user}")
    address = f"postgresql://{user}:{{}}@{owner.rpartition('@')[2]}"
    kept.put(AURUM_ICEBERG_URI=address.format("first"))
    settings = kept.settings()
    sink = opened(settings)
    sink.stage(rows(scope(), "A"), scope()).commit()
    of, last = scope(LMP_DAY_AHEAD, NEXT), scope(LMP_DAY_AHEAD, LAST)
    staged = sink.stage(rows(of, "A", price=2.0), of)
    services.execute(owner, f"alter role {user} password 'second'")
    kept.put(AURUM_ICEBERG_URI=address.format("second"))
    staged.commit()
    # As where the catalog was restarted: what is cached opens no new connection.
    ended = f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'"
    services.execute(owner, ended)
    sink.stage(rows(last, "A", price=3.0), last).commit()
    sink.close()
    assert prices(settings) == [(1.0, 24), (2.0, 24), (3.0, 24)]
    services.execute(owner, f"drop owned by {user}")
    services.execute(owner, f"drop role {user}")
