"""A day of each ISO's largest dataset, as its simulated self answers for it, kept in an archive to be read again and again."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl import adapters
from aurum_etl.adapters.base import fetch
from aurum_etl.archive import Archive, Request
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.download import QUICK, Download
from aurum_etl.quota import Terms, ledger_of
from aurum_etl.receipt import Origin
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Simulator
from aurum_etl.window import Window, market_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aurum_etl.dataset import Dataset

_MAX_BYTES = 2**33


@dataclass(frozen=True, slots=True)
class Case:
    """What is read, and of how many places."""

    key: str
    feed: str
    day: date
    locations: int
    days: int = 1
    age_days: int = 1
    """How long after its end the ISO is asked: it has been published by then, and not yet been taken away."""
    beside: str = ""
    """The dataset of a day that the peer asks for as well, to look kinds of places up in."""
    form: str = ""
    """Where it is not the one that the engine asks for: a form of the same answers that somebody may have as files. The peer is
    given what it asks for."""

    @property
    def dataset(self) -> Dataset:
        """The dataset by its feed."""
        return adapters.dataset(self.key).of(self.feed)

    @property
    def chunk(self) -> Chunk:
        """All places, over those days."""
        zone = self.dataset.timezone
        last = self.day + timedelta(self.days - 1)
        return Chunk(self.key, Selection(ALL), Window(market_day(self.day, zone).start, market_day(last, zone).end))


CASES = {
    "miso": Case("miso_lmp_rt5", "final", date(2026, 3, 9), locations=180, days=7, age_days=14, beside="miso_lmp"),
    "pjm": Case("pjm_lmp_rt5", "verified", date(2026, 7, 14), locations=1_250, beside="pjm_pnode"),
    "pjm_csv": Case(
        "pjm_lmp_rt60", "api", date(2026, 7, 14), locations=13_500, age_days=5, beside="pjm_pnode", form="csv"
    ),
    "isone": Case("isone_lmp_rt5", "api", date(2026, 7, 14), locations=1_250),
    "ercot": Case("ercot_lmp_rt5", "archive", date(2026, 7, 14), locations=1_118),
    "spp": Case("spp_lmp_rt5", "daily", date(2026, 3, 17), locations=1_234, age_days=8),
}
"""Where a whole day is more than a benchmark wants to wait for, fewer places: the work per row is the same."""


def record(name: str, folder: Path, share: float = 1.0) -> None:
    """Ask the simulator for the case, of that share of its places, and keep what it answers in an archive.

    In it, `answers.json` lists question and body of each answer in the order of asking, and whether the peer alone reads it.
    """
    case = CASES[name]
    dataset = case.dataset
    adapter = adapters.adapter(dataset.iso)
    archive = Archive(folder)
    asked = case.chunk.window.end + timedelta(days=case.age_days)
    with Simulator(nodes=round(case.locations * share), now=lambda: asked) as simulator, ExitStack() as stack:
        settings = read_settings({"AURUM_HOME": str(folder / "home"), **simulator.env})
        ledger = stack.enter_context(closing(ledger_of(settings)))
        bases = settings.addresses(dataset.iso, adapter.bases)
        with Download(
            bases,
            Origin.SIMULATOR,
            archive,
            budget=ledger.budget(Terms(dataset.key)),
            patience=QUICK,
            max_bytes=_MAX_BYTES,
            manners=adapter.manners,
            auth=adapter.auth(dataset, settings.secrets, bases),
        ) as source:
            fetch(adapter, dataset, case.chunk, source, _MAX_BYTES)
            asked_for = [each for _, each in archive.exchanges()]
            ours = range(len(asked_for))
            if case.beside:
                other = adapters.dataset(case.beside)
                fetch(adapter, other, replace(case.chunk, dataset=other.key), source, _MAX_BYTES)
            if case.form:
                first = len(list(archive.exchanges()))
                for each in asked_for:
                    source.get(_in_form(each, case), lambda _: None, chunk_key=case.chunk.key)
                ours = range(first, first + len(asked_for))
    answers = [_told(each, beside=number not in ours) for number, (_, each) in enumerate(archive.exchanges())]
    (folder / "answers.json").write_text(json.dumps(answers))


def size_of(folder: Path) -> int:
    """Bytes of the answers that the engine asked for, as the archive holds them."""
    answers = json.loads((folder / "answers.json").read_text())
    return sum((folder / each["body"]).stat().st_size for each in answers if not each["beside"])


def _in_form(exchange: Mapping[str, Any], case: Case) -> Request:
    """The same question for an answer in the case's form."""
    query = (*((name, value) for name, value in exchange["query"]), ("format", case.form))
    return Request(case.dataset.iso, exchange["path"], query)


def _told(exchange: Mapping[str, Any], *, beside: bool) -> dict[str, Any]:
    question = [exchange["path"], *(f"{name}={value}" for name, value in exchange["query"])]
    digest = exchange["sha256"]
    return {"question": " ".join(question), "body": f"objects/{digest[:2]}/{digest}", "beside": beside}
