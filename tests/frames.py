"""Small tables and specs, made where they are used."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import ALL, Chunk, Scope, Selection, scope_of
from aurum_etl.pipeline import to_arrow
from aurum_etl.window import market_day

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings

PACIFIC = "America/Los_Angeles"
DAY = date(2026, 7, 14)
LMP_HEADER = (
    "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_INTERVAL,NODE_ID_XML,NODE_ID,NODE,MARKET_RUN_ID,LMP_TYPE,"
    "XML_DATA_ITEM,PNODE_RESMRID,GRP_TYPE,POS,MW,GROUP"
)


def lmp_csv(*rows: tuple[str, str, str, str], run: str = "DAM") -> bytes:
    """A csv as OASIS serves it, from (start, node, component, value) with starts like `2026-07-14T07:00`."""
    lines = [LMP_HEADER]
    for start, node, component, value in rows:
        end = f"{datetime.fromisoformat(start) + timedelta(hours=1):%Y-%m-%dT%H:%M}"
        lines.append(
            f"{start}:00-00:00,{end}:00-00:00,2026-07-14,1,0,{node},{node},{node},{run},{component},X,{node},ALL,0,{value},1"
        )
    return ("\n".join(lines) + "\n").encode()


def zip_of(**members: bytes) -> bytes:
    """A zip; `a_csv` is the member `a.csv`."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(".".join(name.rsplit("_", 1)), content)
    return body.getvalue()


def chunk(dataset: Dataset = LMP_DAY_AHEAD, day: date = DAY, *names: str, word: str = ALL) -> Chunk:
    """One market day of all, of a class, or of the named locations."""
    selection = Selection.named(names) if names else Selection(word)
    return Chunk(dataset.key, selection, market_day(day, dataset.timezone))


def with_variables(settings: Settings, **variables: str) -> Settings:
    """The same where these variables are set, too."""
    return replace(settings, environment={**settings.environment, **variables})


def scope(dataset: Dataset = LMP_DAY_AHEAD, day: date = DAY, *names: str, word: str = ALL) -> Scope:
    """What that chunk owns."""
    return scope_of(chunk(dataset, day, *names, word=word), dataset)


def rows(of: Scope, *locations: str, price: float = 1.0, **constants: object) -> pa.Table:
    """A canonical table: every hour of the scope's window at every location."""
    dataset = {each.key: each for each in (LMP_DAY_AHEAD, LOAD_ACTUAL)}[of.chunk.dataset]
    contract, window = of.contract, of.chunk.window
    owned = {column: words[0] for column, words in of.equals.items()}
    minutes = int(owned["iso_interval_minutes"])
    hours = pl.datetime_range(window.start, window.end, "1h", closed="left", time_unit="us", eager=True)
    words: dict[str, object] = {
        "iso_code": dataset.iso.value,
        "iso_market": dataset.market and dataset.market.value,
        "iso_market_run": dataset.run,
        "iso_product": contract.product.value,
        "iso_location_type": "NODE",
        "iso_timezone": dataset.timezone,
        "iso_unit": contract.unit.value,
        "iso_subject": contract.subject.value,
        "iso_curve_role": contract.curve_role.value,
        "chunk_key": of.chunk.key,
        "ingested_at": datetime(2026, 7, 15, tzinfo=UTC),
        "price_total": price,
        "load_mw": price,
        **dataset.feed.reports[0].words,
        **owned,
        **constants,
    }
    frame = (
        pl.DataFrame({"iso_location_id": sorted(locations)})
        .join(hours.to_frame("interval_start"), how="cross")
        .with_columns(
            series_id=pl.lit("test.") + pl.col("iso_location_id"),
            interval_end=pl.col("interval_start") + timedelta(minutes=minutes),
            operating_date=pl.col("interval_start").dt.convert_time_zone(dataset.timezone).dt.date(),
        )
    )
    made = set(frame.columns) - set(constants)
    return to_arrow(
        frame.select(
            (pl.col(name) if name in made else pl.lit(words.get(name))).cast(kind).alias(name)
            for name, kind in contract.polars_schema.items()
        ),
        contract,
    )


def spec(folder: Path, text: str = "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}\n") -> Path:
    """A spec file."""
    path = folder / "spec.yaml"
    path.write_text(text)
    return path
