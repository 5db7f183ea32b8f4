"""What is logged by mistake, or stands in a traceback, is the repr of something: none of ours shows a secret."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl import adapters, equipment, runner, sinks
from aurum_etl.adapters.access import NameAndPassword, SubscriptionKey
from aurum_etl.adapters.ercot.login import Login
from aurum_etl.archive import Exchange
from aurum_etl.executors.dask.worker import Job
from aurum_etl.quota import Terms, ledger_of
from aurum_etl.receipt import Origin
from aurum_etl.secrets.vault import Vault, VaultAccess
from aurum_etl.settings import read_settings
from aurum_etl.spec import default_sink, load_spec
from tests.frames import spec
from tests.secrets.canaries import Canaries
from tests.secrets.test_canaries import everywhere, with_login

if TYPE_CHECKING:
    from pathlib import Path


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    canary = Canaries()
    base = with_login("http://127.0.0.1:1", canary, "AURUM_PJM_BASE")
    settings = read_settings(
        everywhere(canary)
        | {
            "AURUM_HOME": str(tmp_path / "home"),
            "AURUM_PJM_BASE": base,
            "TIMESCALE_CONNECTION": with_login("postgresql://127.0.0.1:1/x", canary, "TIMESCALE_CONNECTION"),
            "AURUM_ICEBERG_URI": with_login("postgresql://127.0.0.1:1/x", canary, "AURUM_ICEBERG_URI"),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
        }
    )
    prepared = runner.fit_out(
        load_spec(spec(tmp_path, "dataset: pjm_lmp\n"), (), adapters.datasets()), runner.Flags(), settings
    )
    access = VaultAccess("http://127.0.0.1:1", token=canary("VAULT_TOKEN"), secret_id=canary("VAULT_SECRET_ID"))
    with (
        closing(ledger_of(settings)) as ledger,
        equipment.source(prepared.equipment, settings, ledger.budget(Terms("pjm_lmp")), threading.Event()) as source,
    ):
        told = [
            settings,
            settings.secrets,
            settings.secrets.find("PJM_API_KEY"),
            access,
            Vault(access),
            prepared,
            prepared.equipment,
            source,
            Job("job", prepared.equipment, str(settings.home), None),
            Exchange(base, Origin.LIVE, 200, {}, datetime.now(UTC), 0.1, 1, "k"),
            SubscriptionKey(settings.secrets, ("PJM_API_KEY",)),
            NameAndPassword(settings.secrets, ("ISONE_API_USERNAME", "ISONE_API_PASSWORD")),
            Login(base, "LOGIN", "AURUM_ERCOT_LOGIN_BASE", settings.secrets),
            *(sinks.sink(default_sink(kind), settings) for kind in sinks.KINDS),
        ]
        assert {type(each).__name__: canary.found_in(repr(each)) for each in told if canary.found_in(repr(each))} == {}
    assert canary.found_in(repr(settings.environment)), "they are there"
