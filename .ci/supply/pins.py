"""What is pinned, as it stands in the files; with the standard library alone, since it is read before anything is installed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[0-9][0-9A-Za-z.+!-]*)(?P<marker>(?: ; [^#\n]*?)?)"
    r"(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64})*)"
)


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One version of one package."""

    name: str
    """Normalized: lower case, hyphens."""
    version: str
    marker: str = ""
    """Where it is the one; empty for everywhere."""
    hashes: frozenset[str] = frozenset()
    """SHA-256 of each file of the version, for all platforms; none where the place that was read has none."""

    @property
    def bare(self) -> Pin:
        """The same without hashes, to be compared with places that have none."""
        return Pin(self.name, self.version, self.marker)

    @property
    def release(self) -> str:
        """Name and version."""
        return f"{self.name}=={self.version}"

    def __str__(self) -> str:
        return self.release + (f" ; {self.marker}" if self.marker else "")


def pin_of(line: str) -> Pin:
    """The pin that a requirement is.

    Raises: ValueError if it is anything else: a range, an address, an option of an installer.
    """
    if (match := _PIN.fullmatch(line.strip())) is None:
        raise ValueError(f"{line.strip()[:120]!r} is no exact version of a package")
    hashes = re.findall(r"sha256:([0-9a-f]{64})", match["hashes"])
    return Pin(match["name"], match["version"], match["marker"].removeprefix(" ; "), frozenset(hashes))


def pins_of(path: Path) -> list[Pin]:
    """The pins of a requirements file, in its order.

    Raises: ValueError if anything else stands in it; the message names the file.
    """
    lines = path.read_text().replace("\\\n", " ").splitlines()
    try:
        return [pin_of(line) for line in lines if line.strip()]
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Pins:
    """Every place that pins something."""

    project: list[Pin]
    """`constraint-dependencies` of pyproject.toml: what `uv run` resolves to."""
    build: list[Pin]
    """`build-constraint-dependencies`: what builds the package, and what that needs."""
    constraints: list[Pin]
    """.ci/constraints.txt: everything that any extra or group installs, with hashes."""
    requirements: list[Pin]
    """requirements.txt: what the engine needs, with hashes."""
    installer: list[Pin]
    """.ci/uv.txt: uv itself, with hashes."""


def read_pins(root: Path = ROOT) -> Pins:
    """All of them as they stand.

    Raises: ValueError if one holds anything but pins.
    """
    uv = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]
    return Pins(
        [pin_of(each) for each in uv["constraint-dependencies"]],
        [pin_of(each) for each in uv["build-constraint-dependencies"]],
        pins_of(root / ".ci" / "constraints.txt"),
        pins_of(root / "requirements.txt"),
        pins_of(root / ".ci" / "uv.txt"),
    )
