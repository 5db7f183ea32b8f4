"""Every promise about rows, kept and broken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.contracts import LMP
from aurum_etl.errors import ContractViolation
from aurum_etl.validate import Verdict, gaps, rows_are_in_scope, validate
from tests.frames import DAY, chunk, rows, scope


def frame(*locations: str, **constants: Any) -> pl.DataFrame:
    made = pl.from_arrow(rows(scope(), *(locations or ("A", "B")), **constants))
    assert isinstance(made, pl.DataFrame)
    return made


def broken(verdict: Verdict) -> list[tuple[object, ...]]:
    return verdict.rejected.select("check", "column", "value").unique(maintain_order=True).rows()


def test_good_rows_are_all_accepted() -> None:
    verdict = validate(frame(), LMP)
    assert verdict.accepted.equals(frame())
    assert verdict.rejected.is_empty()


def test_a_word_outside_the_vocabulary_is_rejected_with_the_word() -> None:
    verdict = validate(frame(iso_market="DAY"), LMP)
    assert broken(verdict) == [("word_is_known", "iso_market", "DAY")]
    assert verdict.rows_rejected == 48


def test_a_row_without_its_price_is_rejected() -> None:
    verdict = validate(frame().with_columns(price_total=pl.lit(None, pl.Float64)), LMP)
    assert broken(verdict) == [("value_is_not_null", "price_total", None)]


def test_rows_with_one_key_are_all_rejected() -> None:
    """Which of them is right is not for us to say."""
    once = frame()
    twice = pl.concat([once, once.head(1).with_columns(price_total=2.0)]).sort("iso_location_id", "interval_start")
    verdict = validate(twice, LMP)
    assert {check for check, *_ in broken(verdict)} == {"key_is_unique"}
    assert (verdict.rows_rejected, len(verdict.accepted)) == (2, 47)


def test_an_interval_of_another_length_is_rejected() -> None:
    wrong = frame().with_columns(interval_end=pl.col("interval_start") + pl.duration(minutes=30))
    assert {check for check, *_ in broken(validate(wrong, LMP))} == {"minutes_span_the_interval"}


@pytest.mark.parametrize(
    ("total", "energy", "congestion", "loss", "ghg", "good"),
    [
        (10.0, 8.0, 1.5, 0.5, None, True),
        (10.0, 8.0, 1.0, 0.5, 0.5, True),
        (10.00002, 8.0, 1.5, 0.5, None, True),
        (10.1, 8.0, 1.5, 0.5, None, False),
        (10.0, 8.0, 1.5, 0.5, 0.5, False),
        (10.0, None, 1.5, 0.5, None, True),
        (-3.0, -2.0, -1.0, 0.0, 0.0, True),
    ],
)
def test_the_total_is_the_sum_of_its_components_where_all_are_published(
    total: float, energy: float | None, congestion: float, loss: float, ghg: float | None, good: bool
) -> None:
    parts = {"price_energy": energy, "price_congestion": congestion, "price_loss": loss, "price_ghg": ghg}
    verdict = validate(frame(price_total=total, **parts), LMP, LMP_DAY_AHEAD.checks)
    assert broken(verdict) == ([] if good else [("price_equals_its_components", "price_total", str(total))])


def test_a_row_outside_the_scope_is_rejected() -> None:
    """The next commit would not replace it, and so double it."""
    named = scope(LMP_DAY_AHEAD, DAY, "A")
    verdict = validate(frame("A", "B"), LMP, [rows_are_in_scope(named)])
    assert broken(verdict) == [("rows_are_in_scope", "iso_location_id", "B")]


def test_one_row_with_two_faults_is_told_twice_and_counted_once() -> None:
    verdict = validate(frame("A", iso_market="DAY").with_columns(price_total=pl.lit(None, pl.Float64)), LMP)
    assert (verdict.rows_rejected, len(verdict.rejected)) == (24, 48)


def test_columns_that_are_not_the_contracts_are_a_fault_of_ours() -> None:
    with pytest.raises(ContractViolation, match="price_total"):
        validate(frame().with_columns(pl.col("price_total").cast(pl.Float32)), LMP)


def test_gaps_tell_what_nobody_has_from_what_one_location_lacks() -> None:
    window = chunk().window
    first = pl.col("interval_start") == datetime(2026, 7, 14, 7, tzinfo=UTC)
    last_of_b = (pl.col("iso_location_id") == "B") & (pl.col("interval_start").dt.hour() == 6)
    found = {each.check: each.count for each in gaps(frame().filter(~first & ~last_of_b), window, 60)}
    assert found == {"intervals_are_published": 1, "series_are_complete": 1}
    assert gaps(frame(), window, 60) == ()
