"""The wheel, built and tried as somebody would who trusts nothing but hashes: `PYTHONPATH=.ci python -m supply.wheel [FOLDER]`.

Built twice, it is the same to the byte; it holds the package, its license and nothing else; and in an environment in which
every file was checked against requirements.txt it does what the README's first command does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.metadata import Metadata

from supply.pins import ROOT

INFORMATION = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def objections(wheel: Path, root: Path = ROOT) -> list[str]:
    """What the wheel holds beside the files of the package and its own information, and what it lacks of them."""
    package = root / "aurum_etl"
    wanted = {
        path.relative_to(root).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        # Raises if a field is not as the specification has it.
        metadata = Metadata.from_email(archive.read(_information_of(wheel) + "/METADATA"), validate=True)
    wanted |= {f"{_information_of(wheel)}/{name}" for name in INFORMATION}
    said = [f"{name} is in the wheel, and is none of the package" for name in sorted(names - wanted)]
    said += [f"{name} is not in the wheel" for name in sorted(wanted - names)]
    if not metadata.description or metadata.description_content_type != "text/markdown":
        said.append("the wheel has no README")
    return said


def _information_of(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}-{version}.dist-info"


def built(folder: Path, root: Path = ROOT) -> Path:
    """The wheel, by a backend whose files are checked as well."""
    command = ["uv", "build", "--quiet", "--wheel", "--require-hashes", "--build-constraint", ".ci/constraints.txt"]
    subprocess.run([*command, "--out-dir", str(folder)], cwd=root, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run_from_hashes(wheel: Path, folder: Path, root: Path = ROOT) -> None:
    """The README's first command, by a program of which each file had its hash checked.

    Raises: CalledProcessError if a file is another than was pinned, or the program fails.
    """
    environment = {**os.environ, "AURUM_HOME": str(folder / "home"), "VIRTUAL_ENV": str(folder / "venv")}
    install = ["uv", "pip", "install", "--quiet", "--only-binary", ":all:"]
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
        [*install, "--require-hashes", "--requirement", str(root / "requirements.txt")],
        [*install, "--no-deps", str(wheel)],
        ["uv", "pip", "check", "--quiet"],
        [str(folder / "venv" / "bin" / "aurum-etl"), "run", str(root / "specs" / "caiso_lmp.yaml"), "--sim"],
    ):
        # Not in the repository, whose package would be the one that is found.
        subprocess.run(command, cwd=folder, env=environment, check=True)


def main(folder: Path) -> int:
    """Put the wheel into the folder if nothing is wrong with it. Returns how much is."""
    with TemporaryDirectory() as made:
        first, second = (built(Path(made) / each) for each in ("first", "second"))
        wrong = objections(first)
        if first.read_bytes() != second.read_bytes():
            wrong.append("built twice, it is not the same")
        if not wrong:
            run_from_hashes(first, Path(made))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / first.name).write_bytes(first.read_bytes())
            print(f"wheel: {folder / first.name}: the same twice, nothing but the package, runs from checked files")
    print(*(f"WRONG: {each}" for each in wrong), sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1] if sys.argv[1:] else "dist")) else 0)
