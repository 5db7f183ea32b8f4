"""Contenders that take turns, and what comes of it: ratios, each with its yardstick and its aim.

A contender is a function in a module, `benchmarks.parse:ours`, that is called with its arguments in a process of its own
and returns the work to be timed; what it does before (imports, connections, data of its own) is not. Work returns how many
rows it made, or a `Turn` where it has its own clock.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import ExitStack

ROOT = Path(__file__).parent.parent


class Turn(TypedDict):
    """One turn of a contender; what a path measures besides goes by names of its own."""

    rows: int
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Contender:
    """Who takes a turn, and with what."""

    name: str
    work: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    share: float = 1.0
    """Of the rows: who is too slow for all of them is given a part, and its seconds count as many times over."""
    cores: int | None = None
    """How many cores its process, and every process that it starts, may compute on; None for all that there are."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def turn(self) -> dict[str, Turn]:
        """One turn in a fresh process; most contenders are told of by their own name, some by parts of their turn."""
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.measure"]
        command += [self.work, json.dumps(dict(self.arguments)), str(self.cores or 0)]
        environment = os.environ | dict(self.environment)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.name} ({self.work}) failed:\n{done.stderr[-4000:]}")
        told: dict[str, Turn] = json.loads(done.stdout.splitlines()[-1])
        return {name or self.name: self._whole(turn) for name, turn in told.items()}

    def _whole(self, turn: Turn) -> Turn:
        return {**turn, "rows": round(turn["rows"] / self.share), "seconds": turn["seconds"] / self.share}


@dataclass(frozen=True)
class Ratio:
    """What is held against what. Of seconds and the like less is better."""

    ours: str
    yardstick: str
    at_least: float | None = None
    """So many times as fast: the yardstick's seconds by ours."""
    at_most: float | None = None
    """So many times its seconds or memory: ours by the yardstick's."""
    of: str = "seconds"

    @property
    def aim(self) -> str:
        """The aim in signs; empty where there is none."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def more_is_better(self) -> bool:
        """Whether the ratio tells how many times as fast, not how many times as much."""
        return self.at_most is None

    def value(self, turns: Mapping[str, Mapping[str, Any]]) -> float:
        """The ratio of one round."""
        ours, yardstick = float(turns[self.ours][self.of]), float(turns[self.yardstick][self.of])
        return yardstick / ours if self.more_is_better else ours / yardstick


@dataclass(frozen=True)
class Race:
    """Contenders on the same path, and the ratios that are told of them."""

    path: str
    contenders: Sequence[Contender]
    ratios: Sequence[Ratio]
    slowest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """A name for whichever of some contenders took longest, to be a yardstick."""
    sums: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """A name for some contenders one after the other."""
    same_rows: bool = True
    """Whether all of them make as many rows, which is demanded then."""
    rounds: int | None = None
    """Where it is not for the run to say."""
    constants: Callable[[Mapping[str, Turn]], Mapping[str, float]] | None = None
    """What the planning page reckons with, made of each contender's median turn."""


class Figure(TypedDict):
    """One ratio as measured: medians over the rounds."""

    path: str
    contender: str
    rows: int
    seconds: float
    peak_mb: float
    yardstick: str
    of: str
    yardstick_value: float
    ratio: float
    lowest: float
    highest: float
    rounds: int
    aim: str
    met: bool | None


@dataclass
class Ground:
    """Where the races of a run are held: its size, its folder, and servers that are started when first asked for."""

    full: bool
    folder: Path
    stack: ExitStack
    _serving: bool = False

    def server(self, name: str) -> dict[str, str]:
        """Address of a real server on loopback."""
        from tests import services

        if not self._serving:
            self.stack.enter_context(services.run())
            self._serving = True
        return services.address(name)

    def database(self) -> str:
        """DSN of a new database on a PostgreSQL that waits for the disk."""
        from tests import services

        return self.stack.enter_context(services.database(self.server("durable postgres")["dsn"]))

    def made(self, name: str) -> Path:
        """A new folder."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Result:
    """What came of a race."""

    figures: list[Figure]
    medians: dict[str, Turn]
    """By contender: the turn that was neither its fastest nor its slowest."""
    constants: Mapping[str, float]


def run(race: Race, rounds: int, say: Callable[[str], None]) -> Result:
    """All rounds of a race. In each every contender has a turn, so that a busy moment of the machine meets all of them.

    Raises: SystemExit where they did different work.
    """
    taken: list[dict[str, Turn]] = []
    for number in range(race.rounds or rounds):
        turns: dict[str, Turn] = {}
        for each in race.contenders:
            say(f"{race.path}: {each.name}, {number + 1} of {race.rounds or rounds}")
            turns.update(each.turn())
        for name, those in race.slowest.items():
            turns[name] = max((turns[each] for each in those), key=lambda turn: turn["seconds"])
        for name, those in race.sums.items():
            turns[name] = {**turns[those[0]], "seconds": sum(turns[each]["seconds"] for each in those)}
        taken.append(turns)
        made = {name: turn["rows"] for name, turn in turns.items()}
        if race.same_rows and len(set(made.values())) > 1:
            raise SystemExit(f"{race.path}: the contenders did different work: {made}")
    medians = {
        name: sorted((turns[name] for turns in taken), key=lambda turn: turn["seconds"])[len(taken) // 2]
        for name in taken[0]
    }
    constants = race.constants(medians) if race.constants else {}
    return Result([_figure(race, ratio, taken) for ratio in race.ratios], medians, constants)


def _figure(race: Race, ratio: Ratio, rounds: Sequence[Mapping[str, Turn]]) -> Figure:
    values = [ratio.value(turns) for turns in rounds]
    median = statistics.median(values)
    ours = [turns[ratio.ours] for turns in rounds]
    met = None
    if ratio.aim:
        met = median >= ratio.at_least if ratio.at_least is not None else median <= (ratio.at_most or 0)
    return {
        "path": race.path,
        "contender": ratio.ours,
        "rows": ours[0]["rows"],
        "seconds": statistics.median(turn["seconds"] for turn in ours),
        "peak_mb": max(turn["peak_mb"] for turn in ours),
        "yardstick": ratio.yardstick,
        "of": ratio.of,
        "yardstick_value": statistics.median(float(turns[ratio.yardstick][ratio.of]) for turns in rounds),  # type: ignore[literal-required]
        "ratio": median,
        "lowest": min(values),
        "highest": max(values),
        "rounds": len(rounds),
        "aim": ratio.aim,
        "met": met,
    }


def peak_mb() -> float:
    """Most memory that this process ever held.

    `ru_maxrss` will not do where there is better: Linux hands a parent's peak on to its child.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak_kib = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak_kib.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def take_turn(work: str, arguments: Mapping[str, Any], cores: int) -> dict[str, Turn]:
    """A contender's turn, in this process; see `measure.py`."""
    if cores:
        os.environ["POLARS_MAX_THREADS"] = str(cores)
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    module, _, function = work.partition(":")
    prepared: Callable[[], int | dict[str, Turn]] = getattr(import_module(module), function)(**arguments)
    started = time.perf_counter()
    told = prepared()
    seconds = time.perf_counter() - started
    if isinstance(told, dict):
        return told
    return {"": {"rows": told, "seconds": seconds, "peak_mb": peak_mb()}}


def races_of(module: str, ground: Ground) -> Iterator[Race]:
    """What a module of `benchmarks/` has to be run, one after the other; its data is made meanwhile."""
    races: Callable[[Ground], Iterator[Race]] = import_module(f"benchmarks.{module}").races
    return races(ground)
