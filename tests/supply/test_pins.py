"""Everything that is pinned agrees, has hashes, and is all that gets installed."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from supply import locked
from supply.locked import disagreements, narrowed
from supply.pins import ROOT, Pin, Pins, pin_of, pins_of, read_pins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

A, B, LATE, OTHER = (letter * 64 for letter in "abce")
POLARS = Pin("polars", "2.1.0", "", frozenset({A, B}))
HATCHLING = Pin("hatchling", "1.33.0", "", frozenset({A}))
UV = Pin("uv", "0.13.9", "", frozenset({B}))
GOOD = Pins(
    project=[POLARS.bare, HATCHLING.bare, UV.bare],
    build=[HATCHLING.bare],
    constraints=[POLARS, HATCHLING, UV],
    requirements=[POLARS],
    installer=[UV],
)


def test_what_is_pinned_here_agrees() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert disagreements(read_pins(), project["build-system"]["requires"]) == []


def test_no_address_stands_where_something_is_pinned() -> None:
    """Versions and hashes reproduce an environment wherever its files come from."""
    for place in ("pyproject.toml", "requirements.txt", ".ci/constraints.txt", ".ci/uv.txt"):
        assert "://" not in (ROOT / place).read_text(), place
    assert (
        not {"index", "index-url", "find-links", "sources"}
        & tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"].keys()
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, project=GOOD.project[1:]), "polars==2.1.0 stands in one of them alone"),
        (replace(GOOD, project=[*GOOD.project, Pin("six", "1.17.0")]), "six==1.17.0 stands in one of them alone"),
        (replace(GOOD, requirements=[replace(POLARS, version="2.0.0")]), "polars==2.0.0 is not in .ci/constraints.txt"),
        (replace(GOOD, requirements=[replace(POLARS, hashes=frozenset({A, LATE}))]), "polars==2.1.0 has other hashes"),
        (replace(GOOD, installer=[replace(UV, hashes=frozenset({A}))]), ".ci/uv.txt: uv==0.13.9 has other hashes"),
        (replace(GOOD, build=[*GOOD.build, Pin("pluggy", "1.7.0")]), "pluggy==1.7.0 is not in .ci/constraints.txt"),
        (replace(GOOD, build=[UV.bare]), "build-system: hatchling>=1.27 is not among build-constraint-dependencies"),
        (replace(GOOD, constraints=[POLARS.bare, HATCHLING, UV]), "constraints: polars==2.1.0 has no hash"),
        (replace(GOOD, requirements=[]), "requirements: empty"),
    ],
)
def test_a_place_that_differs_is_named(wrong: Pins, said: str) -> None:
    assert disagreements(GOOD, ["hatchling>=1.27"]) == []
    found = disagreements(wrong, ["hatchling>=1.27"])
    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    "line",
    [
        "polars",
        "polars>=2.1.0",
        "polars==2.*",
        "--index-url https://registry.invalid/simple",
        "polars @ https://registry.invalid/polars.whl",
        f"polars==2.1.0 --hash=md5:{A[:32]}",
        f"polars==2.1.0 --hash=sha256:{A[:63]}",
        "-e .",
        "-r other.txt",
    ],
)
def test_nothing_but_exact_versions_is_a_pin(line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no exact version of a package"):
        pin_of(line)
    (tmp_path / "some.txt").write_text(f"{POLARS}\n{line}\n")
    with pytest.raises(ValueError, match=r"^some\.txt: "):
        pins_of(tmp_path / "some.txt")


def test_a_pin_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text(
        f"numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\nuv==0.13.9\n"
    )
    numpy, uv = pins_of(path)
    assert numpy == Pin("numpy", "2.4.6", "python_full_version < '3.12'", frozenset({A, B}))
    assert (uv, pin_of(str(numpy))) == (Pin("uv", "0.13.9"), numpy.bare)


INDEX = "https://registry.invalid/simple"


def lock(**versions: str) -> str:
    """A uv.lock of polars, with files of these names and hashes, and of the project itself."""
    files = "".join(
        f'    {{ url = "https://registry.invalid/files/{name}.whl", hash = "sha256:{digest}", size = 1 }},\n'
        for name, digest in versions.items()
    )
    return (
        'version = 1\n\n[[package]]\nname = "aurum-etl"\nversion = "0.1.0"\nsource = { editable = "." }\n\n'
        f'[[package]]\nname = "polars"\nversion = "2.1.0"\nsource = {{ registry = "{INDEX}" }}\n'
        f'sdist = {{ url = "https://registry.invalid/files/polars.tar.gz", hash = "sha256:{B}", size = 1 }}\n'
        f"wheels = [\n{files}]\n"
    )


def test_a_file_that_came_after_its_version_was_pinned_is_left_out() -> None:
    """Who gets hold of a project can add a file to a version that is trusted already."""
    text, late, wrong = narrowed(lock(linux=A, late=LATE), [POLARS])
    assert (text, late, wrong) == (lock(linux=A), ["late.whl"], [])
    assert narrowed(text, [POLARS]) == (text, [], [])


def test_a_late_source_archive_is_left_out_as_well() -> None:
    text, late, wrong = narrowed(lock(linux=A), [replace(POLARS, hashes=frozenset({A}))])
    assert (late, wrong, "sdist" in text) == (["polars.tar.gz"], [], False)


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ([replace(POLARS, version="2.2.0")], "polars==2.1.0 is not in .ci/constraints.txt"),
        ([replace(POLARS, hashes=frozenset({OTHER}))], "no file of it is the one that was pinned"),
        ([POLARS, UV], "uv==0.13.9 is pinned, and nothing needs it"),
    ],
)
def test_a_resolution_of_other_versions_or_files_is_refused(constraints: list[Pin], said: str) -> None:
    _, _, wrong = narrowed(lock(linux=A), constraints)
    assert any(said in each for each in wrong), wrong


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda text: text, 0),
        (lambda text: text.replace("2.1.0", "2.2.0"), 2),
    ],
)
def test_the_lock_is_touched_only_where_all_is_well(
    spoil: Callable[[str], str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".ci").mkdir()
    for name in (".ci/constraints.txt", "requirements.txt", ".ci/uv.txt"):
        (tmp_path / name).write_text(f"{POLARS} \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["polars"]\n[tool.uv]\nconstraint-dependencies = ["polars==2.1.0"]\n'
        'build-constraint-dependencies = ["polars==2.1.0"]\n'
    )
    before = spoil(lock(linux=A, late=LATE))
    (tmp_path / "uv.lock").write_text(before)
    assert locked.main(tmp_path) == code
    told = capsys.readouterr()
    if code:
        assert "polars==2.2.0 is not in .ci/constraints.txt" in told.err
        assert (tmp_path / "uv.lock").read_text() == before
    else:
        assert "left out, since it came after the version was pinned: late.whl" in told.out
        assert (tmp_path / "uv.lock").read_text() == lock(linux=A)
