"""Keys of the ISOs change in the middle of a backfill: what was cached is refused, and no chunk fails of it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from aurum_etl import adapters, reload
from aurum_etl.execute import Ending
from aurum_etl.market import Iso
from aurum_etl.quota import ledger_of
from aurum_etl.quota.record import tables_of
from aurum_etl.receipt import Outcome
from aurum_etl.reload import Reload
from aurum_etl.runner import Flags
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Simulator
from tests.frames import spec
from tests.onlooker import Onlooker
from tests.secrets.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path


DAYS = 4
FLAGS = Flags(start=date(2026, 7, 1), end=date(2026, 7, 1) + timedelta(DAYS))
FEEDS = {
    "PJM": "dataset: pjm_load\nsource: {concurrent_chunks: 2",
    "ISONE": "dataset: isone_load\nsource: {concurrent_chunks: 2",
    "MISO's prices": "dataset: miso_lmp\nsource: {feed: api, nodes: [MINN.HUB], concurrent_chunks: 2",
    "MISO's load": "dataset: miso_load\nsource: {concurrent_chunks: 2",
    "ERCOT": "dataset: ercot_load\nsource: {feed: api, concurrent_chunks: 2",
}


@pytest.mark.parametrize(("feed", "place"), [*((feed, "vault") for feed in FEEDS), ("PJM", "file")])
def test_a_key_that_changes_in_mid_backfill_fails_no_chunk(
    tmp_path: Path, vault: dict[str, str], feed: str, place: str
) -> None:
    """With one try for each chunk, so that a refusal that costs one would be seen."""
    kept = Kept(tmp_path, vault if place == "vault" else None)
    with Simulator(isos=[Iso[feed.partition("'")[0]]]) as simulator:
        accepted = {name: value for name, value in simulator.env.items() if not name.endswith("_BASE")}
        loaded = FEEDS[feed].partition("dataset: ")[2].partition("\n")[0]
        names = set(next(iter(filter(bool, (each.credentials for each in adapters.dataset(loaded).feeds)))))
        kept.put(**{name: accepted[name] for name in names})
        bases = {name: value for name, value in simulator.env.items() if name.endswith("_BASE")}
        settings = read_settings({**kept.environment, **bases})
        text = f"{FEEDS[feed]}, secret: {json.dumps(kept.references)}}}\nsinks: [{{kind: memory}}]\n"

        def rotate() -> None:
            # As an ISO does it: the user name stays.
            changed = {name: f"{accepted[name]}-rotated" for name in names if not name.endswith("USERNAME")}
            simulator.accept(**changed)
            kept.put(**changed)

        onlooker, wanted = Onlooker(when=3, then=rotate), Reload(attempts=1)
        prepared = reload.planned(spec(tmp_path, text), FLAGS, wanted, settings)
        job = reload.begin(prepared, wanted, "spec.yaml").id
        ending, _ = reload.go_on(reload.resumption(job, settings=settings), onlooker)
        asked = len(simulator.log)
    assert ending is Ending.FINISHED
    assert Counter(each.outcome for each in onlooker.receipts) == {Outcome.DONE: DAYS}, onlooker.receipts
    with closing(ledger_of(settings)) as ledger:
        recorded = tables_of(ledger.path.parent)["requests"].num_rows
    assert recorded == asked, "every request is on record, also the refused ones"
