"""Worker processes look secrets up themselves, each time: none of them travels to a worker."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl import reload
from aurum_etl.execute import Ending
from aurum_etl.executors import Place
from aurum_etl.executors.dask import worker
from aurum_etl.receipt import Outcome
from aurum_etl.reload import Reload
from aurum_etl.runner import Flags
from aurum_etl.settings import read_settings
from tests.frames import spec
from tests.onlooker import Onlooker
from tests.secrets.guarded import guarded_database
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from aurum_etl.simulator import Simulator

DAYS = 5
FLAGS = Flags(start=date(2026, 7, 1), end=date(2026, 7, 1) + timedelta(DAYS))
TEXT = """
dataset: pjm_load
source: {{concurrent_chunks: 2, secret: "{PJM_API_KEY}"}}
sinks: [{{kind: timescale, secret: "{TIMESCALE_CONNECTION}"}}]
"""


def test_a_password_that_changes_in_mid_backfill_fails_no_chunk_of_a_worker(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have this process's environment, in which there is no secret."""
    for name in ("PJM_API_KEY", "TIMESCALE_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    kept, password = Kept(tmp_path), "sesame-of-the-first-day"
    with guarded_database() as guarded:
        guarded.do(f"alter role {guarded.role} login password '{password}'")
        kept.put(PJM_API_KEY=simulator.env["PJM_API_KEY"], TIMESCALE_CONNECTION=guarded.address(guarded.role, password))
        bases = {name: value for name, value in simulator.env.items() if name.endswith("_BASE")}
        settings = read_settings({**kept.environment, **bases})

        def rotate() -> None:
            guarded.do(f"alter role {guarded.role} password 'of-the-second-day'")
            kept.put(TIMESCALE_CONNECTION=guarded.address(guarded.role, "of-the-second-day"))

        onlooker, wanted = Onlooker(when=3, then=rotate), Reload(attempts=1, place=Place("dask", workers=1))
        path = spec(tmp_path, TEXT.format(**kept.references))
        prepared = reload.planned(path, FLAGS, wanted, settings)
        sent = pickle.dumps(worker.Job("any", prepared.equipment, str(settings.home), None))
        job = reload.begin(prepared, wanted, "spec.yaml").id
        ending, _ = reload.go_on(reload.resumption(job, settings=settings), onlooker)
        (counted,) = guarded.ask("select count(distinct operating_date) from iso_load")
    assert ending is Ending.FINISHED
    assert Counter(each.outcome for each in onlooker.receipts) == {Outcome.DONE: DAYS}, onlooker.receipts
    assert counted == (DAYS,)
    for secret in (password, "of-the-second-day", simulator.env["PJM_API_KEY"]):
        assert secret.encode() not in sent
    assert str(tmp_path).encode() in sent, "it says where secrets are"
