"""What a run of the benchmarks leaves behind: a document, a table of it to read, and a guard that holds it against the last."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING, TypedDict

from benchmarks.race import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from benchmarks.race import Figure

RESULTS = ROOT / "benchmarks/results"
MARGIN = 2.0
"""How many times worse than the stored ratio the best round of a run must be to fail it: less is the machine's mood."""
_MEASURED = ("aurum-etl", "polars", "pyarrow", "pyiceberg", "adbc-driver-postgresql", "confluent-kafka", "duckdb")
_RIVALS = ("gridstatus", "pandas", "dlt", "fastavro", "orjson")


_BEGIN, _END = "<!-- as `just bench full` measured it -->\n", "<!-- to here -->"


class Document(TypedDict):
    """A whole run."""

    command: str
    date: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    figures: list[Figure]
    constants: dict[str, float]


def document(size: str, today: date, figures: list[Figure], constants: Mapping[str, float]) -> Document:
    """The run as it is kept."""
    return {
        "command": "just bench" if size == "quick" else f"just bench {size}",
        "date": today.isoformat(),
        "machine": _machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in (*_MEASURED, *_RIVALS)}},
        "figures": figures,
        "constants": dict(constants),
    }


def _machine() -> dict[str, str | int]:
    """What a reader must know of it; no name by which it could be found."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("Model name")), "")
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": model,
        "cores": os.cpu_count() or 0,
        "memory_gb": round(memory),
    }


def markdown(told: Document) -> str:
    """The document to read."""
    machine, versions = told["machine"], told["versions"]
    head = (
        f"`{told['command']}`, {told['date']}: {machine['processor'] or machine['architecture']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; {', '.join(f'{name} {number}' for name, number in versions.items())}.\n"
    )
    return "\n".join([head, *rows(told["figures"]), ""])


def rows(figures: Sequence[Figure]) -> list[str]:
    """The table's lines: what was measured in seconds, and what else in its own unit."""
    lines = [
        "| path | ours | rows | took | peak MB | yardstick | took | ratio | lowest to highest | aim | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in figures:
        own = {"seconds": each["seconds"], "peak_mb": each["peak_mb"]}.get(each["of"])
        if own is None:
            own = each["ratio"] * each["yardstick_value"]
        count = f"{each['rows']:,}" if each["rows"] else ""
        lines.append(
            f"| {each['path']} | {each['contender']} | {count} | {_amount(own, each['of'])} "
            f"| {each['peak_mb']:.0f} | {each['yardstick']} | {_amount(each['yardstick_value'], each['of'])} "
            f"| {each['ratio']:.3g}× {_words(each)} | {each['lowest']:.3g}–{each['highest']:.3g} | {each['aim']} "
            f"| {'' if each['met'] is None else 'yes' if each['met'] else 'no'} |"
        )
    return lines


def together(stored: Document, part: Document) -> Document:
    """The stored run with the paths that were run again in the place of theirs, on the same machine and versions.

    Raises: SystemExit if it was another machine, or other versions.
    """
    for name in ("machine", "versions"):
        if stored[name] != part[name]:
            raise SystemExit(f"--keep: {name} are others than on record: run all of it")
    paths = {each["path"] for each in part["figures"]}
    first = next(
        (number for number, each in enumerate(stored["figures"]) if each["path"] in paths), len(stored["figures"])
    )
    rest = [each for each in stored["figures"] if each["path"] not in paths]
    figures = [*rest[:first], *part["figures"], *rest[first:]]
    return {
        **part,
        "command": stored["command"],
        "figures": figures,
        "constants": stored["constants"] | part["constants"],
    }


def quoted(readme: str, told: Document) -> str:
    """The README with that table in the place that is kept for it."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{markdown(told)}{end}{after}"


def worse(figures: Sequence[Figure], stored: Sequence[Figure]) -> list[str]:
    """What is worse than it was, by more than the margin; only ratios are looked at, and of each its best round.

    What is within a limit that it should keep (`≤`) is well, whatever it was. What is new has nothing to be held against;
    what is gone is told.
    """
    before = {_name(each): each for each in stored}
    told = []
    for each in figures:
        earlier = before.pop(_name(each), None)
        if earlier is None or (_is_share(each) and each["met"]):
            continue
        best = each["lowest"] if _is_share(each) else each["highest"]
        times = best / earlier["ratio"] if _is_share(each) else earlier["ratio"] / best
        if times > MARGIN:
            told.append(
                f"{each['path']}: {each['contender']} against {each['yardstick']} ({each['of']}): {best:.3g}× at best, "
                f"{earlier['ratio']:.3g}× before"
            )
    told += [
        f"{path}: {contender} against {yardstick} ({of}): no longer measured"
        for path, contender, yardstick, of in before
    ]
    return told


def _name(figure: Figure) -> tuple[str, str, str, str]:
    return figure["path"], figure["contender"], figure["yardstick"], figure["of"]


def _is_share(figure: Figure) -> bool:
    """Whether less is better."""
    return figure["aim"].startswith("≤")


def _words(figure: Figure) -> str:
    if _is_share(figure):
        return "the time" if figure["of"] == "seconds" else "as much"
    return "as fast"


def _amount(value: float, of: str) -> str:
    """With its unit."""
    unit = {"seconds": "s", "peak_mb": "MB", "commit_seconds": "s in commit", "metadata_kb": "kB of metadata"}[of]
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
