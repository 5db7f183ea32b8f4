"""Known vulnerabilities: what a service knows of the pins, and what is done with what it knows."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date
    from pathlib import Path

    from supply.pins import Pin


@dataclass(frozen=True, slots=True)
class Advisory:
    """One vulnerability of one pinned version."""

    package: str
    version: str
    id: str
    aliases: frozenset[str] = frozenset()
    """Its names elsewhere: CVE, GHSA."""
    summary: str = ""
    fixed_in: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All names that it has."""
        return self.aliases | {self.id}

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed yet"
        return f"{self.package}=={self.version}: {', '.join(sorted(self.names))}: {self.summary[:200]} ({fixed})"


@dataclass(slots=True)
class Asked:
    """What one service answered."""

    service: str
    pins: set[Pin] = field(default_factory=set)
    """Of which it told, if only that it knows nothing bad."""
    advisories: list[Advisory] = field(default_factory=list)
    unasked: dict[Pin, str] = field(default_factory=dict)
    """Of which it did not tell, and why."""

    def note(self, pin: Pin, found: list[Advisory] | str) -> None:
        """Advisories of the pin, or why there is no answer."""
        if isinstance(found, str):
            self.unasked[pin] = found
        else:
            self.pins.add(pin)
            self.advisories += found


def advisories_by_uv(pins: Sequence[Pin], root: Path, *options: str) -> Asked:
    """What OSV knows of all that uv.lock holds, asked by `uv audit`; the versions are those of the pins."""
    command = ["uv", "audit", "--frozen", "--preview-features", "audit-command,json-output", "--output-format", "json"]
    done = subprocess.run(
        [*command, *options],
        cwd=root,
        check=False,
        # That it cannot be had here should not take long to learn.
        env={"UV_HTTP_RETRIES": "1", **os.environ},
        capture_output=True,
        text=True,
    )
    asked = Asked("OSV")
    try:
        document = json.loads(done.stdout)
        if (count := document["summary"]["audited_packages"]) != len({(pin.name, pin.version) for pin in pins}):
            raise ValueError(f"was asked of {count} packages, of which {len(pins)} are pinned")
        asked.advisories = [
            Advisory(
                package=each["dependency"]["name"],
                version=each["dependency"]["version"],
                id=each["id"],
                aliases=frozenset(each["aliases"] or ()),
                summary=each["summary"] or "",
                fixed_in=tuple(each["fix_versions"] or ()),
            )
            for each in document["vulnerabilities"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        said = [line.strip() for line in done.stderr.splitlines() if "warning:" not in line]
        reason = f"cannot be asked: {' '.join(said) or error}"
        asked.unasked = dict.fromkeys(pins, reason)
        return asked
    asked.pins = set(pins)
    return asked


@dataclass(frozen=True, slots=True)
class Ignored:
    """A vulnerability that is lived with, for a reason and for a time."""

    package: str
    id: str
    reason: str
    until: date


def ignored_of(project: Path) -> list[Ignored]:
    """The list `[[tool.supply.ignored]]` of pyproject.toml.

    Raises: ValueError if an entry has no reason or no end.
    """
    found = []
    for each in tomllib.loads(project.read_text())["tool"]["supply"].get("ignored", ()):
        try:
            entry = Ignored(**each)
            if not entry.reason.strip() or not hasattr(entry.until, "isoformat"):
                raise TypeError("a reason in words and a date are needed")
        except TypeError as error:
            raise ValueError(f"pyproject.toml: tool.supply.ignored: {each}: {error}") from error
        found.append(entry)
    return found


@dataclass(slots=True)
class Judgment:
    """What comes of all that was asked."""

    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    unasked: list[Pin] = field(default_factory=list)
    """Of which no service told anything: nothing is known of them, good or bad."""


def judged(pins: Iterable[Pin], answers: Sequence[Asked], ignored: Sequence[Ignored], today: date) -> Judgment:
    """Every vulnerability is wrong unless it is ignored; so is an entry of that list which is past its end, or of nothing."""
    judgment = Judgment()
    asked_of = {pin for answer in answers for pin in answer.pins}
    judgment.unasked = [pin for pin in pins if pin not in asked_of]
    used: set[Ignored] = set()
    known: set[tuple[str, str]] = set()
    for advisory in (each for answer in answers for each in answer.advisories):
        # Services have each other's names for the same.
        if known & (names := {(advisory.package, name) for name in advisory.names}):
            continue
        known |= names
        entry = next((each for each in ignored if (each.package, each.id) in names), None)
        if entry is None:
            judgment.wrong.append(str(advisory))
            continue
        used.add(entry)
        if today > entry.until:
            judgment.wrong.append(f"{advisory}: was to be ignored until {entry.until}: {entry.reason}")
        else:
            judgment.told.append(f"{advisory}: ignored until {entry.until}: {entry.reason}")
    names_asked = {pin.name for pin in asked_of}
    for entry in (each for each in ignored if each not in used):
        if entry.package in names_asked:
            judgment.wrong.append(
                f"{entry.id} of {entry.package} is ignored, and is no vulnerability of what is pinned"
            )
        else:
            judgment.told.append(
                f"{entry.id} of {entry.package} is ignored; nobody could be asked whether it still is one"
            )
    return judgment
