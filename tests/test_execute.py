"""Carrying out a plan, with an executor that does nothing but answer."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl import execute as module
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.errors import SourceResting, Stopped, WatermarkError
from aurum_etl.execute import Ending, Order, Persistence, execute
from aurum_etl.executors.base import Task
from aurum_etl.receipt import Outcome
from tests.test_watermarks import day, receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aurum_etl.executors.base import Ended
    from aurum_etl.receipt import Postponed, Receipt

Answer = str | BaseException
"""`done`, the error of a failure, or what is raised in the place of a receipt."""
BUSY = "SinkUnavailable: no room"
DAYS = [day(number) for number in range(20)]
QUICK = Persistence(attempts=3, first_wait_seconds=0.01, longest_wait_seconds=0.02)


def task(number: int) -> Task:
    return Task(Chunk("caiso_lmp", Selection(ALL), day(number)))


def tasks(count: int) -> list[Task]:
    return [task(number) for number in range(count)]


class Hands:
    """An executor: each task ends after a moment, with the next of its answers; the last of them is repeated."""

    def __init__(
        self,
        journal: list[str],
        width: int = 1,
        answers: Mapping[int, Sequence[Answer]] | None = None,
        seconds: float = 0.01,
    ) -> None:
        self.width = width
        self.journal = journal
        self.most = self.running = 0
        self.stopped = threading.Event()
        self.on_start: Callable[[int], None] = lambda _: None
        self.deaf: set[int] = set()
        """Tasks that take no notice of being stopped."""
        self._answers = {number: list(of_it) for number, of_it in (answers or {}).items()}
        self._seconds = seconds
        self._lock = threading.Lock()

    def start(self, task: Task, ended: Ended) -> None:
        number = DAYS.index(task.chunk.window)
        self.journal.append(f"start {number}")
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        threading.Thread(target=self._work, args=(number, task, ended), daemon=True).start()
        self.on_start(number)

    def _work(self, number: int, task: Task, ended: Ended) -> None:
        if number in self.deaf:
            time.sleep(30)
        stopped = self.stopped.wait(self._seconds)
        answers = self._answers.get(number, ["done"])
        answer = Stopped("the run was stopped") if stopped else answers[0] if len(answers) == 1 else answers.pop(0)
        with self._lock:
            self.running -= 1
        if isinstance(answer, BaseException):
            ended(task, answer)
        elif answer == "done":
            ended(task, (receipt(task.chunk.window),))
        else:
            ended(task, (replace(receipt(task.chunk.window, Outcome.FAILED), error=answer),))

    def stop(self) -> None:
        self.journal.append("stop")
        self.stopped.set()

    def close(self) -> None:
        pass


class Desk:
    """A book and a watcher, in one journal."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.orders = [Order.GO]
        """What is wanted, time after time; the last one is repeated."""
        self.again: list[tuple[Chunk, datetime]] = []
        self.broken = False

    def note(
        self,
        receipts: Sequence[Receipt],
        begun: Sequence[Chunk],
        again: Sequence[tuple[Chunk, datetime]],
        postponed: Sequence[Postponed],
        /,
    ) -> None:
        if self.broken and receipts:
            raise WatermarkError("no room")
        self.again += again
        self.journal += [f"noted begun {self._number(each)}" for each in begun]
        self.journal += [f"noted {each.outcome} {self._number(each.chunk)}" for each in receipts]
        self.journal += [f"noted postponed {self._number(each.chunk)}" for each in postponed]

    def order(self) -> Order:
        return self.orders[0] if len(self.orders) == 1 else self.orders.pop(0)

    def begun(self, chunk: Chunk) -> None:
        self.journal.append(f"heard begun {self._number(chunk)}")

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        again = "" if again_in is None else " and again"
        self.journal.append(f"heard {receipt.outcome} {self._number(receipt.chunk)}{again}")

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        self.journal.append(f"heard postponed {self._number(postponed.chunk)}{' and again' if waits else ''}")

    def state(self, text: str) -> None:
        self.journal.append(f"heard {text}")

    def count(self, line: str) -> int:
        return self.journal.count(line)

    @staticmethod
    def _number(chunk: Chunk) -> int:
        return DAYS.index(chunk.window)


@pytest.fixture
def journal() -> list[str]:
    return []


@pytest.fixture
def desk(journal: list[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(module, "_ORDERS_SECONDS", 0.02)
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    return Desk(journal)


def started(journal: list[str]) -> list[str]:
    return [line for line in journal if line.startswith("start ")]


@pytest.mark.parametrize("width", [1, 3, 20])
def test_tasks_begin_in_order_and_no_more_than_there_is_room_for(desk: Desk, journal: list[str], width: int) -> None:
    hands = Hands(journal, width, seconds=0.2)
    assert execute(tasks(9), hands, desk, Persistence(), desk) is Ending.FINISHED
    assert started(journal) == [f"start {number}" for number in range(9)]
    assert hands.most == min(width, 9)
    assert all(desk.count(f"heard done {number}") == 1 for number in range(9))


def test_everything_is_on_record_before_anybody_hears_of_it(desk: Desk, journal: list[str]) -> None:
    execute(tasks(6), Hands(journal, 2, {1: [BUSY, "done"]}), desk, QUICK, desk)
    for number in range(6):
        places = [journal.index(f"{words} {number}") for words in ("noted begun", "heard begun", "start", "noted done")]
        assert places == sorted(places)
        assert journal.index(f"noted done {number}") < journal.index(f"heard done {number}")
    assert journal.index("noted failed 1") < journal.index("heard failed 1 and again") < journal.index("noted done 1")


def test_nothing_to_do_is_done(desk: Desk, journal: list[str]) -> None:
    assert execute([], Hands(journal), desk, QUICK, desk) is Ending.FINISHED
    assert journal == ["heard running"]


def test_what_may_heal_is_tried_as_often_as_wanted_and_the_others_go_on(desk: Desk, journal: list[str]) -> None:
    assert execute(tasks(3), Hands(journal, 1, {0: [BUSY]}), desk, QUICK, desk) is Ending.FINISHED
    assert (desk.count("start 0"), desk.count("noted failed 0")) == (3, 3)
    assert (desk.count("heard failed 0 and again"), desk.count("heard failed 0")) == (2, 1)
    assert journal.index("start 1") < len(journal) - 1 - journal[::-1].index("start 0")
    assert (desk.count("noted done 1"), desk.count("noted done 2")) == (1, 1)
    assert len(desk.again) == 2


def test_what_heals_is_done(desk: Desk, journal: list[str]) -> None:
    execute(tasks(2), Hands(journal, 2, {0: [BUSY, "CommitUnknown: who knows", "done"]}), desk, QUICK, desk)
    assert (desk.count("noted failed 0"), desk.count("noted done 0")) == (2, 1)


@pytest.mark.parametrize("error", ["SourceChanged: x", "ContractViolation: x", "ZeroDivisionError: x", "Exception", ""])
def test_what_does_not_heal_is_tried_once(desk: Desk, journal: list[str], error: str) -> None:
    assert execute(tasks(2), Hands(journal, 1, {0: [error]}), desk, QUICK, desk) is Ending.FINISHED
    assert started(journal) == ["start 0", "start 1"]
    assert desk.count("heard failed 0") == 1


def late(seconds: float) -> SourceResting:
    return SourceResting("it rests", until=datetime.now(UTC) + timedelta(seconds=seconds))


def test_what_is_postponed_is_tried_in_time_and_counts_no_attempt(desk: Desk, journal: list[str]) -> None:
    hands = Hands(journal, answers={1: [late(0.2), late(0.4), BUSY, "done"]})
    persistence = replace(QUICK, attempts=2, patience_seconds=10)
    assert execute(tasks(3), hands, desk, persistence, desk) is Ending.FINISHED
    assert desk.count("noted postponed 1") == desk.count("heard postponed 1 and again") == 2
    assert desk.count("heard failed 1 and again") == 1
    assert [line for line in journal if line.endswith(" 1")][-1] == "heard done 1"
    assert journal.index("heard done 2") < journal.index("heard done 1"), "the others go on meanwhile"


def test_what_is_due_too_late_is_left_to_another_run_and_stops_nothing(desk: Desk, journal: list[str]) -> None:
    hands = Hands(journal, answers={0: [late(3600)]})
    persistence = replace(QUICK, stops=True, patience_seconds=60)
    assert execute(tasks(2), hands, desk, persistence, desk) is Ending.FINISHED
    assert desk.count("start 0") == desk.count("heard postponed 0") == 1
    assert desk.count("heard done 1") == 1


def test_a_failure_that_stops_lets_others_end_and_begins_none(desk: Desk, journal: list[str]) -> None:
    hands = Hands(journal, 2, {1: ["SourceChanged: x"]}, seconds=0.05)
    ending = execute(tasks(9), hands, desk, replace(QUICK, stops=True), desk)
    assert ending is Ending.FAILED
    assert {"noted done 0", "noted failed 1"} <= set(journal)
    assert len(started(journal)) <= 3
    assert len(started(journal)) == sum(line.startswith(("heard done", "heard failed")) for line in journal)


def test_a_failure_that_may_heal_stops_only_when_it_has_not(desk: Desk, journal: list[str]) -> None:
    hands = Hands(journal, 1, {0: [BUSY, "done"], 2: [BUSY]})
    assert execute(tasks(3), hands, desk, replace(QUICK, stops=True), desk) is Ending.FAILED
    assert (desk.count("noted done 0"), desk.count("noted failed 2")) == (1, 3)


def test_a_task_that_crashes_ends_it_loudly_and_loses_no_receipt(desk: Desk, journal: list[str]) -> None:
    """What ended at the same moment is on record; what is in work gives up, since nobody would hear of it."""
    hands = Hands(journal, 3, {1: [ZeroDivisionError("ours")]}, seconds=0.05)
    with pytest.raises(ZeroDivisionError, match="ours"):
        execute(tasks(9), hands, desk, QUICK, desk)
    assert hands.stopped.is_set()
    ended = sum(line.startswith("noted done") for line in journal)
    time.sleep(0.2)
    assert ended == sum(line.startswith("noted done") for line in journal)


def test_receipts_that_come_with_a_crash_are_kept(desk: Desk, journal: list[str]) -> None:
    first = threading.Event()
    hands = Hands(journal, 2, {0: ["done"], 1: [ZeroDivisionError("ours")]})
    # Both have ended before anybody looks.
    hands.on_start = lambda number: time.sleep(0.2) if number == 1 else first.set()
    with pytest.raises(ZeroDivisionError):
        execute(tasks(2), hands, desk, QUICK, desk)
    assert first.is_set()
    assert desk.count("noted done 0") == desk.count("heard done 0") == 1


def test_a_book_that_cannot_be_written_ends_it(desk: Desk, journal: list[str]) -> None:
    desk.broken = True
    hands = Hands(journal, 2)
    with pytest.raises(WatermarkError):
        execute(tasks(9), hands, desk, QUICK, desk)
    assert hands.stopped.is_set()
    assert not any(line.startswith("heard done") for line in journal), "nobody hears of what is not on record"


def test_a_pause_lets_running_tasks_end_and_begins_none_until_it_is_over(desk: Desk, journal: list[str]) -> None:
    desk.orders = [Order.GO, *[Order.PAUSE] * 8, Order.GO]
    hands = Hands(journal, 2, seconds=0.05)
    assert execute(tasks(9), hands, desk, QUICK, desk) is Ending.FINISHED
    assert [line for line in journal if line in ("heard running", "heard pausing", "heard paused")] == [
        "heard running",
        "heard pausing",
        "heard paused",
        "heard running",
    ]
    paused = journal.index("heard paused")
    assert not started(journal[journal.index("heard pausing") : paused])
    assert sum(line.startswith("heard done") for line in journal[:paused]) == len(started(journal[:paused]))
    assert not hands.stopped.is_set()
    assert len(started(journal)) == 9


def test_what_is_to_be_tried_again_waits_for_the_end_of_a_pause(desk: Desk, journal: list[str]) -> None:
    desk.orders = [Order.GO, *[Order.PAUSE] * 8, Order.GO]
    execute(tasks(1), Hands(journal, 1, {0: [BUSY, "done"]}, seconds=0.03), desk, QUICK, desk)
    assert journal.index("start 0", journal.index("start 0") + 1) > journal.index("heard paused")
    assert desk.count("noted done 0") == 1


@pytest.mark.parametrize("paused_before", [False, True])
def test_a_cancellation_stops_what_runs(desk: Desk, journal: list[str], paused_before: bool) -> None:
    desk.orders = [Order.GO, *([Order.PAUSE] if paused_before else []), Order.CANCEL]
    hands = Hands(journal, 2, seconds=5)
    begun = time.monotonic()
    assert execute(tasks(9), hands, desk, QUICK, desk) is Ending.CANCELLED
    assert time.monotonic() - begun < 4
    assert hands.stopped.is_set()
    assert started(journal) == ["start 0", "start 1"]
    assert not any("done" in line or "failed" in line for line in journal), "who gave up has nothing to remember"


def test_what_does_not_end_in_time_is_left(desk: Desk, journal: list[str]) -> None:
    desk.orders = [Order.GO, Order.CANCEL]
    hands = Hands(journal, 3, seconds=5)
    hands.deaf = {1}
    begun = time.monotonic()
    assert execute(tasks(9), hands, desk, QUICK, desk) is Ending.CANCELLED
    assert 0.5 <= time.monotonic() - begun < 4
    assert hands.running == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_what_runs_and_handlers_are_put_back(desk: Desk, journal: list[str], number: int) -> None:
    before = signal.getsignal(number)
    hands = Hands(journal, 2, seconds=5)
    hands.on_start = lambda place: signal.raise_signal(number) if place == 1 else None
    assert execute(tasks(9), hands, desk, QUICK, desk) is Ending.INTERRUPTED
    assert (journal[-1], started(journal)) == ("stop", ["start 0", "start 1"])
    assert signal.getsignal(number) is before


def test_the_second_signal_is_at_once(desk: Desk, journal: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ONE_KEY_SECONDS", -1.0)
    hands = Hands(journal, 2, seconds=5)
    hands.deaf = {0, 1}
    hands.on_start = lambda _: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        execute(tasks(9), hands, desk, QUICK, desk)


def test_one_key_that_comes_twice_is_one(desk: Desk, journal: list[str]) -> None:
    """From the terminal, and from what started the program."""
    hands = Hands(journal, 2, seconds=5)
    hands.on_start = lambda _: signal.raise_signal(signal.SIGINT)
    assert execute(tasks(9), hands, desk, QUICK, desk) is Ending.INTERRUPTED
    assert started(journal) == ["start 0", "start 1"]


def test_after_a_signal_nothing_is_tried_again(desk: Desk, journal: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(journal, 1, {0: [BUSY]}, seconds=0.2)
    monkeypatch.setattr(hands, "stop", lambda: journal.append("its answer is on its way already"))
    hands.on_start = lambda _: signal.raise_signal(signal.SIGTERM)
    assert execute(tasks(2), hands, desk, QUICK, desk) is Ending.INTERRUPTED
    assert (desk.count("noted failed 0"), desk.again, started(journal)) == (1, [], ["start 0"])


def test_without_the_main_thread_there_are_no_signals(desk: Desk, journal: list[str]) -> None:
    endings: list[Ending] = []
    thread = threading.Thread(
        target=lambda: endings.append(execute(tasks(2), Hands(journal), desk, Persistence(), desk))
    )
    thread.start()
    thread.join()
    assert endings == [Ending.FINISHED]


@given(st.integers(1, 60), st.floats(0.01, 60), st.floats(1, 600))
def test_waits_grow_up_to_a_limit(tries: int, first: float, longest: float) -> None:
    wait = Persistence(9, first, longest).wait_seconds(tries)
    assert 0 <= wait <= min(first * 2 ** (tries - 1), longest)
