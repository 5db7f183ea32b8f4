"""A home in which jobs are killed: its processes, its stores, and what must be true of them in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adbc_driver_postgresql import dbapi
from confluent_kafka import Consumer, KafkaError, TopicPartition

from aurum_etl import inspection
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.contracts import LMP
from aurum_etl.errors import EXIT_USAGE
from aurum_etl.execute import Ending
from aurum_etl.receipt import Outcome
from aurum_etl.reload import go_on, resumption
from aurum_etl.settings import read_settings
from aurum_etl.sinks.kafka.topics import Marker, client_settings, topic_of
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import ChunkState, jobs_of
from tests.frames import chunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.receipt import Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator
    from aurum_etl.watermarks.jobs import JobStatus

ROOT = Path(__file__).parents[2]
FIRST = date(2026, 7, 14)
ROWS = 48
"""Of a day: two places, 24 hours."""
SECONDS = 25.0
"""How long a process may take to end on a machine that is busy: it means to in ten, and what it waits for takes 60."""


def until(true: Callable[[], object], seconds: float = 90) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


@dataclass
class Home:
    """One AURUM_HOME, a simulator, and the stores that the spec names."""

    settings: Settings
    environment: dict[str, str]
    """Beside what the tests themselves have."""
    simulator: Simulator
    spec: Path
    kinds: tuple[str, ...]
    days: int = 4

    def start(self, *options: object, skip: int = 0) -> subprocess.Popen[str]:
        """A process that works on a job, of the days after as many others."""
        first = FIRST + timedelta(skip)
        words = [sys.executable, "-m", "tests.crash.child", self.spec, first, first + timedelta(self.days), *options]
        return subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def child(self, *options: object, code: int = 0) -> str:
        """The job, after its process has ended as it should."""
        with self.start(*options) as process:
            out, err = process.communicate(timeout=180)
        assert process.returncode == code, err
        return out.split()[0]

    def goes_on(self, name: str) -> None:
        """The job is carried to its end by a process that has seen nothing of it: this one."""
        assert go_on(resumption(name, settings=read_settings(self.environment)))[0] is Ending.FINISHED

    def refused(self, *options: object) -> str:
        """Why a process does not even begin."""
        with self.start(*options) as process:
            _, err = process.communicate(timeout=180)
        assert process.returncode == EXIT_USAGE, err
        return err

    def command(self, *words: object) -> subprocess.Popen[str]:
        """`aurum-etl`, as a user has it."""
        return subprocess.Popen(
            [sys.executable, "-m", "aurum_etl", *(str(word) for word in words)],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def backfill(self, *options: object) -> subprocess.Popen[str]:
        """`aurum-etl backfill` of the same days."""
        last = FIRST + timedelta(self.days)
        return self.command("backfill", self.spec, "--from", FIRST, "--to", last, "--json", *options)

    def status(self) -> JobStatus:
        """How the newest job stands."""
        return jobs_of(self.settings).statuses()[0]

    def counts(self) -> dict[str, int]:
        """Chunks of the newest job, by state; empty before there is one."""
        found = jobs_of(self.settings).statuses()
        return {state.value: count for state, count in found[0].counts.items()} if found else {}

    @property
    def store(self) -> Store:
        return Store(self.settings.home / "watermarks.duckdb")

    def settled(self) -> list[Receipt]:
        """Receipts of chunks that are done."""
        return [each for each in self.store.receipts() if each.outcome is Outcome.DONE]

    def asked(self) -> Counter[str]:
        """How often each day was asked for, by the start of its window."""
        return Counter(
            f"{datetime.strptime(each.query['startdatetime'], '%Y%m%dT%H:%M%z').astimezone(UTC):%Y-%m-%d}"
            for each in self.simulator.log
        )

    def assert_one_copy(self, name: str, kills: int = 0) -> None:
        """Every chunk is done once on record, and its rows are in every store, once."""
        jobs = jobs_of(self.settings)
        job = jobs.job(name)
        (status,) = jobs.statuses([job.id])
        assert (status.state, status.counts) == ("completed", {ChunkState.DONE: self.days})
        assert status.rows == self.days * ROWS
        settled = Counter(each.chunk.key for each in self.settled())
        assert settled == dict.fromkeys(self.keys, 1)
        for kind in self.kinds:
            getattr(self, f"_in_{kind}")(kills)

    @property
    def keys(self) -> list[str]:
        """The chunks' keys."""
        names = ("DLAP_SCE-APND", "TH_NP15_GEN-APND")
        return [chunk(LMP_DAY_AHEAD, FIRST + timedelta(day), *names).key for day in range(self.days)]

    def _in_iceberg(self, _kills: int) -> None:
        connection = inspection.connect(self.settings, self.store)
        found = connection.execute(
            "select chunk_key, count(*), count(distinct (iso_location_id, interval_start)) from lmp group by 1"
        ).fetchall()
        assert sorted(found) == [(key, ROWS, ROWS) for key in self.keys]

    def _in_timescale(self, _kills: int) -> None:
        assert self.settings.timescale is not None
        with dbapi.connect(self.settings.timescale) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select chunk_key, count(*), count(distinct (iso_location_id, interval_start)) from iso_lmp group by 1"
            )
            assert sorted(cursor.fetchall()) == [(key, ROWS, ROWS) for key in self.keys]

    def _in_kafka(self, kills: int) -> None:
        """Each chunk once, or once more for each kill; a committed reader sees whole chunks and nothing else."""
        markers, records = self.on_the_topic()
        copies = Counter(marker.chunk.key for marker in markers)
        assert sorted(copies) == self.keys
        assert max(copies.values()) <= 1 + kills
        assert {sum(marker.parts.values()) for marker in markers} == {ROWS}
        assert records == ROWS * len(markers)

    def on_the_topic(self) -> tuple[list[Marker], int]:
        """The markers of partition 0 and the number of records, as a committed reader sees them."""
        topic = topic_of(LMP_DAY_AHEAD.iso, LMP, "avro", self.settings.topic_prefix)
        consumer = Consumer(
            {
                **client_settings(self.settings.kafka),
                "group.id": "reads",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        markers, records, ended = [], 0, 0
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
            while ended < len(partitions):
                message = consumer.poll(10)
                assert message is not None
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended += 1
                elif message.value() is not None:
                    records += 1
                elif message.partition() == 0:
                    marker = Marker.parse(message.headers())
                    assert marker is not None
                    markers.append(marker)
        finally:
            consumer.close()
        return markers, records
