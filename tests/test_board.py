"""What a long run shows: the figures, and how they look on a terminal and in a pipe."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from rich.console import Console as Rich

from aurum_etl.board import Tally, board, eta_seconds
from aurum_etl.console import Console
from aurum_etl.receipt import Outcome, Postponed
from aurum_etl.telemetry import configure, logger
from tests.test_coverage import receipt, window

if TYPE_CHECKING:
    from aurum_etl.chunk import Chunk
    from aurum_etl.receipt import Receipt


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ended(number: int, outcome: Outcome = Outcome.DONE, rows: int = 1200, size: int = 500_000) -> Receipt:
    """The receipt of one day."""
    made = receipt(window(date(2026, 7, 1) + timedelta(number)), outcome, rows=rows)
    return replace(made, bytes=size)


def chunk(number: int) -> Chunk:
    return ended(number).chunk


def tally(chunks: int = 10, requests: int = 20, per_minute: float | None = None) -> Tally:
    return Tally("caiso_lmp", chunks, requests, per_minute, {chunk(n).key: 2 for n in range(chunks)}, 1000.0)


@pytest.mark.parametrize(
    ("left", "over", "worked", "requests", "per_minute", "seconds"),
    [
        (10, 0, 0.0, 10, None, None),
        (10, 0, 5.0, 10, 12.0, 50.0),
        (10, 5, 10.0, 10, None, 20.0),
        (10, 5, 10.0, 10, 12.0, 50.0),
        (10, 5, 100.0, 10, 12.0, 200.0),
        (0, 15, 30.0, 0, 12.0, 0.0),
    ],
)
def test_the_end_is_as_far_as_the_slower_of_quota_and_pace(
    left: int, over: int, worked: float, requests: int, per_minute: float | None, seconds: float | None
) -> None:
    assert eta_seconds(left, over, worked, requests, per_minute) == seconds


def test_what_is_tried_again_is_not_over() -> None:
    figures = tally(per_minute=60.0)
    figures.begun(chunk(0), 1000.0)
    figures.ended(ended(0, Outcome.FAILED), 30.0, 1004.0)
    assert (figures.over, figures.running, figures.eta(1004.0)) == (0, {}, 20.0)
    figures.ended(ended(0), None, 1010.0)
    assert figures.outcomes == Counter({"again": 1, "done": 1})
    assert (figures.over, figures.requests_done, figures.eta(1010.0)) == (1, 2, 90.0)


def test_rows_per_second_are_of_the_last_minute() -> None:
    figures = tally()
    for number, instant in enumerate((1010.0, 1030.0, 1080.0)):
        figures.ended(ended(number), None, instant)
        if instant == 1030.0:
            assert figures.rows_per_second(1030.0) == 2400 / 30
    assert figures.rows_per_second(1080.0) == 2400 / 60
    assert figures.rows_per_second(1095.0) == 1200 / 60
    assert (figures.rows_per_second(1140.0), figures.rows, figures.bytes) == (0.0, 3600, 1_500_000)


def test_a_pause_is_no_work() -> None:
    figures = tally()
    figures.ended(ended(0), None, 1010.0)
    figures.changed("paused", 1020.0)
    assert figures.worked(1500.0) == 20.0
    figures.changed("paused", 1600.0)
    figures.changed("running", 2020.0)
    assert (figures.worked(2030.0), figures.eta(2030.0)) == (30.0, 270.0)


def test_more_may_come_than_was_planned() -> None:
    """A source that serves what is newest answers with as many days as it likes; files have no plan."""
    figures = tally(chunks=1)
    for number in range(3):
        figures.ended(ended(number), None, 1001.0)
    assert (figures.over, figures.all, figures.eta(1001.0)) == (3, 3, 0.0)
    assert tally(chunks=0).eta(1001.0) is None
    assert tally(chunks=0).line(1001.0).startswith("caiso_lmp: 0 chunks, 0 rows")


def test_the_figures_are_one_line() -> None:
    figures = tally(chunks=1200, requests=2400, per_minute=12.0)
    figures.ended(ended(0, rows=1_234_567, size=2_340_000), None, 1010.0)
    figures.ended(ended(1, Outcome.EMPTY), None, 1010.0)
    figures.ended(ended(2, Outcome.FAILED), 5.0, 1010.0)
    figures.begun(chunk(3), 1012.0)
    assert figures.line(1020.0) == (
        "caiso_lmp: 2/1,200 chunks (1 done, 1 empty, 1 again), 1,234,567 rows, 61,728 rows/s, 3.3 MB, 1 running, "
        "0:20 so far, 3:19:40 left"
    )
    figures.requests_per_minute = 0.5
    assert figures.line(1020.0).endswith(", 3 d 07:52:00 left")


def plain(
    chunks: int, clock: Clock, capsys: pytest.CaptureFixture[str], steps: list[tuple[float, Receipt]]
) -> list[str]:
    """What stands on standard error after those receipts, each so many seconds after the one before."""
    with board(Console(as_json=False), "caiso_lmp", chunks, chunks, None, {}, clock=clock) as shown:
        for seconds, each in steps:
            clock.now += seconds
            shown.begun(each.chunk)
            shown.ended(each, 3.0 if each.rows_read == 0 else None)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_in_a_pipe_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """The first, one every ten seconds, every failure, and the last."""
    steps = [(1.0, ended(number)) for number in range(25)]
    told = plain(30, Clock(), capsys, steps)
    assert [line.split()[1] for line in told] == ["1/30", "11/30", "21/30", "25/30"]
    assert told[-1].endswith("; over")
    steps[3] = (1.0, ended(3, Outcome.FAILED))
    steps[4] = (1.0, ended(4, Outcome.FAILED, rows=0))
    told = plain(30, Clock(), capsys, steps)
    assert [line.split()[1] for line in told] == ["1/30", "4/30", "4/30", "14/30", "24/30", "24/30"]
    assert told[1].endswith(f"; {chunk(3).key}: SourceChanged: x")
    assert told[2].endswith(f"; {chunk(4).key}: SourceChanged: x; again in 0:03")


def test_the_last_chunk_and_the_end_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(1, Clock(), capsys, [(1.0, ended(0))]) == [
        "caiso_lmp: 1/1 chunks (1 done), 1,200 rows, 1,200 rows/s, 0.5 MB, 0:01 so far; over"
    ]
    assert plain(3, Clock(), capsys, []) == [], "a run that never began has nothing to tell"


def test_the_end_is_told_however_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with pytest.raises(KeyboardInterrupt), board(Console(as_json=False), "x", 9, 9, None, {}, clock=clock) as shown:
        for number in range(2):
            shown.ended(ended(number), None)
        shown.state("running")
        shown.state("stopping")
        raise KeyboardInterrupt
    first, changed, last = capsys.readouterr().err.splitlines()
    assert (first.split()[1], changed, last.split()[1]) == ("1/9", "x: stopping", "2/9")


def test_what_is_left_to_another_run_is_told_at_once_and_what_waits_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    until = datetime(2026, 7, 1, 12, tzinfo=UTC)
    with board(Console(as_json=False), "x", 9, 9, None, {}, clock=clock) as shown:
        for number in range(5):
            shown.postponed(Postponed(chunk(number), until, "SourceResting: it rests"), waits=True)
        shown.postponed(Postponed(chunk(5), until, "QuotaSpent: no more today"), waits=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(f"{chunk(0).key}: SourceResting: it rests; again at 2026-07-01T12:00:00Z")
    assert "1/9 chunks (1 postponed, 5 again)" in lines[1]
    assert lines[1].endswith("QuotaSpent: no more today; left to a run after 2026-07-01T12:00:00Z")
    assert len(lines) == 3


def test_with_json_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Rich(file=io.StringIO(), force_terminal=True, record=True)
    with board(Console(as_json=True), "x", 9, 9, None, {}, screen=screen) as shown:
        shown.begun(chunk(0))
        shown.state("paused")
        shown.ended(ended(0, Outcome.FAILED), None)
    assert capsys.readouterr() == ("", "")
    assert screen.export_text() == ""


def terminal(width: int = 110) -> Rich:
    return Rich(file=io.StringIO(), force_terminal=True, record=True, width=width, height=40, color_system=None)


def crowded(width: int) -> list[str]:
    """What a terminal of that width shows when there is a lot to show."""
    clock = Clock()
    outcomes = [Outcome.DONE, Outcome.EMPTY, Outcome.QUARANTINED, *[Outcome.FAILED] * 5]
    with board(Console(as_json=False), "caiso_lmp", 40, 40, 12.0, {}, clock=clock, screen=terminal(width)) as shown:
        clock.now += 10
        for number, outcome in enumerate(outcomes):
            error = f"SourceChanged: [/b] {number}\nand more" if outcome is Outcome.FAILED else None
            shown.ended(replace(ended(number, outcome), error=error), 9.0 if number == 7 else None)
        for number in range(20, 30):
            shown.begun(chunk(number))
        clock.now += 7.4
        shown.state("paused")
        clock.now += 100
    screen = terminal(width)
    screen.print(shown)
    return [line.rstrip() for line in screen.export_text().splitlines()]


def test_a_terminal_shows_everything_at_once() -> None:
    lines = crowded(110)
    assert lines[0] == "caiso_lmp  paused, 0:17 so far"
    assert "7/40 chunks  3:20 left" in lines[1]
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "1 done 1 empty 1 quarantined 4 failed 0 postponed 1 again",
        "rows 2,400 0 rows/s 4.0 MB",
        f"running {chunk(20).key} 107 s",
    ]
    assert lines[12].strip() == "and 2 more"
    assert [line[11:] for line in lines[13:]] == [
        f"{chunk(number).key}: SourceChanged: [/b] {number} and more" for number in (5, 6, 7)
    ]


@pytest.mark.parametrize("width", [80, 60, 30])
def test_a_narrow_terminal_cuts_lines_and_none_is_wider(width: int) -> None:
    lines = crowded(width)
    assert max(map(len, lines)) <= width
    assert lines[-1].endswith("…")


def test_a_live_board_leaves_nothing_and_lets_the_log_stand_above(capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal()
    with board(Console(as_json=False), "caiso_lmp", 2, 2, None, {}, screen=screen) as shown:
        shown.ended(ended(0), None)
        configure("warning", as_json=False)
        logger().warning("chunk.failed", chunk="that one")
    told = screen.export_text()
    assert "chunk.failed" in told
    assert "1/2 chunks" in told
    assert capsys.readouterr() == ("", "")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with board(Console(as_json=False), "caiso_lmp", 2, 2, None, {}, screen=terminal()) as shown:
        shown.ended(ended(0), None)
    assert capsys.readouterr().err.startswith("caiso_lmp: 1/2 chunks (1 done)")
