"""The benchmarks: what a ratio is, who is compared with whom, when a run is worse than the one before, and what is quoted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks import plan, table
from benchmarks.race import ROOT, Contender, Figure, Race, Ratio, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.race import Turn

FULL: table.Document = json.loads((table.RESULTS / "full.json").read_text())


def slow(rows: int, seconds: float) -> Callable[[], int]:
    """A contender that takes its time."""

    def work() -> int:
        time.sleep(seconds)
        return rows

    return work


def told(rows: int) -> Callable[[], dict[str, Turn]]:
    """A contender with a clock of its own, and two names."""
    return lambda: {
        "first": {"rows": rows, "seconds": 1.0, "peak_mb": 100.0},
        "last": {"rows": rows, "seconds": 4.0, "peak_mb": 150.0},
    }


def contender(name: str, work: str, **arguments: object) -> Contender:
    return Contender(name, f"tests.test_benchmarks:{work}", arguments)


def figure(
    ratio: float, *, best: float | None = None, aim: str = "≥ 2", met: bool = True, yardstick: str = "peer"
) -> Figure:
    return {
        "path": "a path",
        "contender": "ours",
        "rows": 10,
        "seconds": 1.0,
        "peak_mb": 1.0,
        "yardstick": yardstick,
        "of": "seconds",
        "yardstick_value": ratio,
        "ratio": ratio,
        "lowest": ratio if best is None else min(best, ratio),
        "highest": ratio if best is None else max(best, ratio),
        "rounds": 2,
        "aim": aim,
        "met": met,
    }


def test_each_contender_has_a_process_of_its_own_and_ratios_say_who_was_faster() -> None:
    race = Race(
        "naps",
        [contender("ours", "slow", rows=5, seconds=0.02), contender("peer", "slow", rows=5, seconds=0.4)],
        [Ratio("ours", "peer", at_least=2), Ratio("peer", "ours", at_least=2), Ratio("ours", "peer", at_most=0.5)],
    )
    heard: list[str] = []
    ours, theirs, share = run(race, 2, heard.append).figures
    assert heard == ["naps: ours, 1 of 2", "naps: peer, 1 of 2", "naps: ours, 2 of 2", "naps: peer, 2 of 2"]
    assert (ours["met"], theirs["met"], share["met"]) == (True, False, True)
    assert ours["lowest"] <= ours["ratio"] <= ours["highest"]
    assert ours["rows"] == 5
    assert ours["peak_mb"] > 1


def test_who_does_other_work_is_not_compared() -> None:
    contenders = [contender("ours", "slow", rows=5, seconds=0), contender("peer", "slow", rows=4, seconds=0)]
    with pytest.raises(SystemExit, match=r"different work.*'ours': 5, 'peer': 4"):
        run(Race("naps", contenders, []), 1, print)


def test_a_share_of_the_rows_counts_as_many_times_over() -> None:
    tenth = Contender("peer", "tests.test_benchmarks:slow", {"rows": 5, "seconds": 0.05}, share=0.1)
    ours = contender("ours", "slow", rows=50, seconds=0.01)
    (ratio,) = run(Race("naps", [ours, tenth], [Ratio("ours", "peer", at_least=2)]), 1, print).figures
    assert ratio["yardstick_value"] >= 0.5


def test_parts_of_a_turn_are_told_by_their_names_and_the_slowest_or_all_of_them_can_be_the_yardstick() -> None:
    race = Race(
        "tenths",
        [contender("", "told", rows=5)],
        [
            Ratio("last", "first", at_most=1.25),
            Ratio("last", "first", at_most=2, of="peak_mb"),
            Ratio("first", "slowest", at_most=1),
            Ratio("first", "both", at_most=1),
        ],
        slowest={"slowest": ["first", "last"]},
        sums={"both": ["first", "last"]},
        constants=lambda turns: {"seconds": turns["last"]["seconds"]},
    )
    result = run(race, 1, print)
    assert [each["ratio"] for each in result.figures] == [4.0, 1.5, 0.25, 0.2]
    assert [each["met"] for each in result.figures] == [False, True, True, True]
    assert result.constants == {"seconds": 4.0}


def test_a_contender_that_fails_ends_the_run_with_its_words() -> None:
    with pytest.raises(SystemExit, match=r"(?s)ours.*unexpected keyword argument 'hours'"):
        run(Race("naps", [contender("ours", "slow", rows=1, hours=1)], []), 1, print)


@pytest.mark.parametrize(
    ("now", "is_worse"),
    [
        (figure(10.0), False),
        (figure(6.0), False),
        (figure(4.0), True),
        # Its best round says that it can: the others met a busy machine.
        (figure(4.0, best=8.0), False),
    ],
)
def test_only_what_is_worse_by_more_than_the_margin_in_its_best_round_fails(now: Figure, is_worse: bool) -> None:
    assert bool(table.worse([now], [figure(10.0)])) is is_worse


@pytest.mark.parametrize(
    ("now", "is_worse"),
    [
        (figure(6.0, aim="≤ 2", met=False), False),
        (figure(9.0, aim="≤ 2", met=False), True),
        (figure(9.0, aim="≤ 2", met=False, best=5.0), False),
        # It is still within what it should keep.
        (figure(9.0, aim="≤ 10"), False),
    ],
)
def test_where_less_is_better_more_is_worse_beyond_the_aim(now: Figure, is_worse: bool) -> None:
    assert bool(table.worse([now], [figure(4.0, aim="≤ 2")])) is is_worse


def test_absolute_time_fails_nothing_and_what_is_gone_is_told() -> None:
    slower: Figure = {**figure(10.0), "seconds": 1000.0, "peak_mb": 9999.0}
    assert table.worse([slower, figure(1.0, yardstick="a new one")], [figure(10.0)]) == []
    assert table.worse([], [figure(10.0)]) == ["a path: ours against peer (seconds): no longer measured"]


def test_the_readme_quotes_the_table_as_it_was_measured() -> None:
    readme = (ROOT / "README.md").read_text()
    assert table.markdown(FULL) in readme
    assert table.quoted(readme, FULL) == readme


def test_the_table_to_read_is_the_document() -> None:
    for size in ("quick", "full"):
        document = json.loads((table.RESULTS / f"{size}.json").read_text())
        assert table.markdown(document) == (table.RESULTS / f"{size}.md").read_text()


def test_the_planning_page_is_what_the_script_makes_of_the_table() -> None:
    assert plan.page(FULL) == plan.PAGE.read_text()


def test_what_the_plan_says_follows_from_the_constants() -> None:
    def page(**changes: float) -> str:
        return plan.page({**FULL, "constants": {**FULL["constants"], **changes}})

    assert "three stores | 441" in page(three_stores_rows_per_second=1_000.0)
    assert "| computing |" in page(three_stores_rows_per_second=1_000.0)
    assert "| Iceberg | 1.0 | 0.04 | 0.004 |" in page(iceberg_bytes_per_row=1.0)


def test_paths_that_are_run_again_stand_where_they_stood_and_only_on_the_same_machine() -> None:
    again: table.Document = {**FULL, "figures": [figure(3.0)], "constants": {"kafka_bytes_per_row": 1.0}}
    before: table.Document = {**FULL, "figures": [figure(1.0, yardstick="another"), *FULL["figures"][:2]]}
    told = table.together(before, again)
    assert told["figures"] == [figure(3.0), *FULL["figures"][:2]]
    assert told["constants"] == {**FULL["constants"], "kafka_bytes_per_row": 1.0}
    with pytest.raises(SystemExit, match="machine are others than on record"):
        table.together(before, {**again, "machine": {**FULL["machine"], "cores": 64}})
