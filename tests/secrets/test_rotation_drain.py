"""A secret that cannot be had is no reason to pass over what is on a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.drain import drain
from aurum_etl.errors import SecretError
from aurum_etl.sinks.kafka import KafkaSink
from aurum_etl.spec import DrainSpec, KafkaSpec, Spec, TimescaleSpec
from aurum_etl.watermarks import Store
from tests.frames import rows, scope
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path


def test_a_chunk_whose_store_has_no_secret_stays_on_the_topic(
    tmp_path: Path, database: str, kafka: dict[str, str]
) -> None:
    kept = Kept(tmp_path)
    kept.put(TIMESCALE_CONNECTION=database)
    sinks = (TimescaleSpec(kind="timescale", secret=kept.references["TIMESCALE_CONNECTION"]),)
    spec = Spec(dataset="caiso_lmp", drain=DrainSpec(sinks=sinks, encoding="arrow"))
    settings = kept.settings(**kafka)
    topic = KafkaSink(settings, KafkaSpec(kind="kafka", encoding="arrow"))
    topic.open(LMP_DAY_AHEAD)
    topic.stage(rows(scope(), "A"), scope()).commit()
    topic.stage(rows(scope(), "A", price=2.0), scope()).commit()
    store = Store(settings.home / "watermarks.duckdb")
    secret = tmp_path / "TIMESCALE_CONNECTION"
    with pytest.raises(SecretError, match=f"TIMESCALE_CONNECTION: file:{secret} is not there"):
        # It goes with the first chunk.
        drain(spec, settings, store, follow=False, seen=lambda _: secret.unlink())
    kept.put(TIMESCALE_CONNECTION=database)
    assert [each.rows_accepted for each in drain(spec, settings, store, follow=False).receipts] == [24]
