"""What goes out: the package and its license, the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from supply.pins import ROOT
from supply.wheel import objections

if TYPE_CHECKING:
    from pathlib import Path


def built(folder: Path) -> Path:
    """By the backend that is installed, without asking a registry for another."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


def test_it_holds_the_package_and_its_license_and_nothing_else(wheel: Path) -> None:
    assert objections(wheel) == []


def test_built_twice_it_is_the_same(wheel: Path, tmp_path: Path) -> None:
    assert built(tmp_path).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    ("drop", "add", "said"),
    [
        ("", "tests/secrets.py", "tests/secrets.py is in the wheel, and is none of the package"),
        ("", "aurum_etl.pth", "aurum_etl.pth is in the wheel, and is none of the package"),
        ("aurum_etl/py.typed", "", "aurum_etl/py.typed is not in the wheel"),
        ("aurum_etl-0.1.0.dist-info/licenses/LICENSE", "", "licenses/LICENSE is not in the wheel"),
    ],
)
def test_what_does_not_belong_or_lacks_is_named(drop: str, add: str, said: str, wheel: Path, tmp_path: Path) -> None:
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            if name != drop:
                target.writestr(name, source.read(name))
        if add:
            target.writestr(add, "")
    (found,) = objections(changed)
    assert found.endswith(said)
