"""Whether all that pins something agrees, and what `uv run` installs is of it: `PYTHONPATH=.ci python -m supply.locked`.

A pin in pyproject.toml is a version alone, so `uv lock` takes every file that the registry has under that version today.
Here uv.lock, which is nobody's but this machine's, is held against the hashes that were written down when it was pinned.
A file that came later is taken out of it: what uv installs from there on, it checks against the hashes that are left.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING

from supply.pins import ROOT, Pin, read_pins

if TYPE_CHECKING:
    from pathlib import Path

    from supply.pins import Pins

AGAIN = "write them anew with `just pin --keep`"


def disagreements(pins: Pins, requires: list[str]) -> list[str]:
    """What is wrong among the places that pin; `requires` is what builds the package."""
    hashed = {pin.bare: pin for pin in pins.constraints}
    said = [
        f"pyproject.toml and .ci/constraints.txt: {pin} stands in one of them alone; {AGAIN}"
        for pin in sorted({pin.bare for pin in pins.project} ^ hashed.keys())
    ]
    for place, found in (("requirements.txt", pins.requirements), (".ci/uv.txt", pins.installer)):
        for pin in found:
            # A marker tells where a pin is needed: by the engine alone, in fewer places than by everything.
            known = {each for each in pins.constraints if (each.name, each.version) == (pin.name, pin.version)}
            if not known:
                said.append(f"{place}: {pin} is not in .ci/constraints.txt; {AGAIN}")
            elif pin.hashes not in {each.hashes for each in known}:
                said.append(f"{place}: {pin} has other hashes than in .ci/constraints.txt; {AGAIN}")
    said += [
        f"build-constraint-dependencies: {pin} is not in .ci/constraints.txt; {AGAIN}"
        for pin in pins.build
        if pin.bare not in hashed
    ]
    pinned = {pin.name for pin in pins.build}
    said += [
        f"build-system: {each} is not among build-constraint-dependencies; {AGAIN}"
        for each in requires
        if re.split(r"[^A-Za-z0-9-]", each)[0] not in pinned
    ]
    said += [
        f"{place}: {pin} has no hash; {AGAIN}"
        for place in ("constraints", "requirements", "installer")
        for pin in getattr(pins, place)
        if not pin.hashes
    ]
    said += [f"{each.name}: empty; {AGAIN}" for each in fields(pins) if not getattr(pins, each.name)]
    return said


def narrowed(lock: str, constraints: list[Pin]) -> tuple[str, list[str], list[str]]:
    """The text of uv.lock without files that were not pinned, the names of those, and what is wrong with it.

    A version that is not pinned is wrong, and one of which no file is known: neither can be left out.
    """
    hashes: dict[tuple[str, str], set[str]] = {}
    for pin in constraints:
        hashes.setdefault((pin.name, pin.version), set()).update(pin.hashes)
    late, wrong, seen = [], [], set()
    for package in tomllib.loads(lock)["package"]:
        if "registry" not in package["source"]:
            continue
        key = (package["name"], package["version"])
        seen.add(key)
        if key not in hashes:
            wrong.append(f"uv.lock: {key[0]}=={key[1]} is not in .ci/constraints.txt; {AGAIN}")
            continue
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        unknown = [each for each in files if each["hash"].removeprefix("sha256:") not in hashes[key]]
        if len(unknown) == len(files):
            wrong.append(f"uv.lock: {key[0]}=={key[1]}: no file of it is the one that was pinned")
            continue
        for each in unknown:
            late.append(each["url"].rpartition("/")[2])
            # Each file has a line to itself, which its hash alone would not tell from one in another package.
            lock = re.sub(rf"(?m)^.*{re.escape(each['url'])}.*{each['hash']}.*\n", "", lock)
    wrong += [f"uv.lock: {name}=={version} is pinned, and nothing needs it" for name, version in hashes.keys() - seen]
    return lock, late, wrong


def main(root: Path = ROOT) -> int:
    """Say what is wrong, and leave uv.lock with nothing but pinned files. Returns how much is wrong."""
    pins, lock = read_pins(root), root / "uv.lock"
    wrong = disagreements(pins, tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"])
    text, late, unknown = narrowed(lock.read_text(), pins.constraints)
    wrong += unknown
    if not wrong:
        lock.write_text(text)
        for name in late:
            print(f"left out, since it came after the version was pinned: {name}")
        files = sum(len(pin.hashes) for pin in pins.constraints)
        print(f"locked: {len(pins.constraints)} versions, {files} files, all with hashes; uv.lock has no others")
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
