"""Resolve anew and write every place that pins something: `PYTHONPATH=.ci python -m supply.pin [--keep]`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from supply.pins import ROOT, pins_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supply.pins import Pin

PROJECT = ROOT / "pyproject.toml"
CONSTRAINTS, REQUIREMENTS, INSTALLER = (
    ROOT / ".ci" / "constraints.txt",
    ROOT / "requirements.txt",
    ROOT / ".ci" / "uv.txt",
)
QUIET = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--universal", "--python-version", "3.11"]


def compiled(source: str, *options: str, stdin: str | None = None) -> str:
    """What `uv pip compile` resolves the source to, with hashes. Pins that stand in pyproject.toml are kept."""
    command = ["uv", "pip", "compile", source, *QUIET, "--generate-hashes", *options]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, input=stdin)
    return done.stdout


def put(key: str, pins: Iterable[Pin]) -> None:
    """Write the pins into that list of pyproject.toml."""
    lines = "".join(f"  {json.dumps(str(pin))},\n" for pin in pins)
    text, found = re.subn(rf"(?ms)^{key} = \[\n.*?^\]\n", f"{key} = [\n{lines}]\n", PROJECT.read_text())
    if found != 1:
        raise SystemExit(f"pyproject.toml: there is no list {key}")
    PROJECT.write_text(text)


def main(*, keep: bool) -> None:
    """Pin what any group or extra installs, then what the engine, the build and CI's first step need of it.

    With `keep` what is pinned stays as it is, and only what is new gets a version.
    """
    project = tomllib.loads(PROJECT.read_text())
    if not keep:
        put("constraint-dependencies", [])
    groups = [option for name in project["dependency-groups"] for option in ("--group", name)]
    CONSTRAINTS.write_text(compiled("pyproject.toml", "--all-extras", *groups, *([] if keep else ["--upgrade"])))
    put("constraint-dependencies", pins_of(CONSTRAINTS))
    REQUIREMENTS.write_text(compiled("pyproject.toml"))
    INSTALLER.write_text(compiled("-", stdin="uv\n"))
    needed = compiled("-", stdin="\n".join(project["build-system"]["requires"]))
    names = {line.partition("==")[0] for line in needed.splitlines()}
    put("build-constraint-dependencies", (pin for pin in pins_of(CONSTRAINTS) if pin.name in names))


if __name__ == "__main__":
    main(keep="--keep" in sys.argv[1:])
