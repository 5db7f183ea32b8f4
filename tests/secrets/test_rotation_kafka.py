"""Passwords change at brokers that ask for them again every two seconds: what is sent and read goes on."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.drain import drain_into
from aurum_etl.errors import SinkUnavailable
from aurum_etl.sinks.kafka import KafkaSink
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.spec import DrainSpec, KafkaSpec, MemorySpec, Spec
from aurum_etl.watermarks import Store
from tests.conftest import server
from tests.frames import DAY, rows, scope
from tests.secrets.kept import Kept
from tests.services import SASL_AGAIN_SECONDS, SASL_MECHANISM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.receipt import Receipt
    from aurum_etl.settings import Settings

SPEC = Spec(dataset="caiso_lmp", drain=DrainSpec(sinks=(MemorySpec(kind="memory"),), encoding="arrow"))


class Brokers:
    """A Kafka that wants passwords, and a user of it."""

    def __init__(self, kept: Kept) -> None:
        found = server("guarded kafka")
        self.user = f"loader{secrets.token_hex(4)}"
        self.environment = {
            "KAFKA_BOOTSTRAP_SERVERS": found["bootstrap"],
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": SASL_MECHANISM,
            "AURUM_TOPIC_PREFIX": f"test{secrets.token_hex(4)}.",
        }
        self.kept = kept
        self.admin = AdminClient(
            {
                "bootstrap.servers": found["bootstrap"],
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": SASL_MECHANISM,
                "sasl.username": found["username"],
                "sasl.password": found["password"],
            }
        )

    def rotate(self, password: str) -> None:
        """Let the brokers know the user by another password, and then whoever looks it up."""
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        self._alter(UserScramCredentialUpsertion(self.user, scram, password.encode()))
        self.kept.put(KAFKA_SASL_USERNAME=self.user, KAFKA_SASL_PASSWORD=password)

    def forget(self) -> None:
        self._alter(UserScramCredentialDeletion(self.user, ScramMechanism.SCRAM_SHA_256))

    def settings(self) -> Settings:
        return self.kept.settings(**self.environment)

    def _alter(self, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
        for future in self.admin.alter_user_scram_credentials([change]).values():
            future.result(10)


@pytest.fixture(params=["file", "vault"])
def brokers(request: pytest.FixtureRequest, tmp_path: Path, vault: dict[str, str]) -> Iterator[Brokers]:
    found = Brokers(Kept(tmp_path, vault if request.param == "vault" else None))
    found.rotate("first")
    yield found
    found.forget()


def sink_of(brokers: Brokers) -> KafkaSink:
    sink = KafkaSink(brokers.settings(), KafkaSpec(kind="kafka", encoding="arrow", partitions=2))
    sink.open(LMP_DAY_AHEAD)
    return sink


def test_a_new_password_is_shown_from_the_next_chunk_on(brokers: Brokers) -> None:
    """Where what is cached is old, the brokers' refusal tells."""
    sink, of = sink_of(brokers), scope()
    sink.stage(rows(of, "A"), of).commit()
    brokers.rotate("second")
    assert sink.stage(rows(of, "A", price=2.0), of).commit().rows == 24
    assert [each.rows for each in sink.held()] == [24]


@pytest.mark.parametrize("brokers", ["file"], indirect=True)
def test_a_password_that_stays_wrong_is_told_at_once(brokers: Brokers) -> None:
    sink, of = sink_of(brokers), scope()
    brokers.kept.put(KAFKA_SASL_PASSWORD="sesame-of-nobody")
    started = time.monotonic()
    for ask in (lambda: sink.stage(rows(of, "A"), of), sink.open):
        with pytest.raises(SinkUnavailable, match=r"_AUTHENTICATION.*check KAFKA_SASL_USERNAME") as caught:
            ask()
        assert "sesame" not in str(caught.value)
    assert time.monotonic() - started < 20, "the time for an answer is thirty seconds, and ten"


def test_a_drain_reads_on(brokers: Brokers) -> None:
    """Its connections are there for as long as it is, and are asked again who they are."""
    sink, settings = sink_of(brokers), brokers.settings()
    took: list[Receipt] = []

    class Enough(Exception):
        pass

    def seen(receipt: Receipt) -> None:
        took.append(receipt)
        if len(took) == 2:
            raise Enough

    def follow() -> None:
        memory = MemorySink()
        with pytest.raises(Enough):
            drain_into([memory], SPEC, settings, Store(settings.home / "watermarks.duckdb"), follow=True, seen=seen)

    first, second = scope(), scope(LMP_DAY_AHEAD, DAY.replace(day=15))
    sink.stage(rows(first, "A"), first).commit()
    drain = threading.Thread(target=follow)
    drain.start()
    wait_for(lambda: len(took) == 1)
    brokers.rotate("second")
    # By now every connection has been asked for a password anew, and shown one.
    time.sleep(SASL_AGAIN_SECONDS * 1.5)
    sink.stage(rows(second, "A"), second).commit()
    drain.join(60)
    assert not drain.is_alive()
    assert [each.chunk for each in took] == [first.chunk, second.chunk]


def wait_for(look: object, seconds: float = 60) -> None:
    assert callable(look)
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends
        time.sleep(0.1)
