"""What is true of every sibling, and of the source as a whole; a new one joins by being there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import polars as pl
import pytest

from aurum_etl import adapters, errors
from aurum_etl.adapters import adapter
from aurum_etl.contracts import CONTRACTS
from aurum_etl.normalize import normalize
from aurum_etl.spec import load_spec
from aurum_etl.validate import validate

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "aurum_etl"
SOURCES = sorted(PACKAGE.rglob("*.py"))
DATASETS = adapters.datasets()
each_dataset = pytest.mark.parametrize("key", DATASETS)


@each_dataset
def test_every_dataset_has_a_spec_that_loads(key: str) -> None:
    assert load_spec(ROOT / "specs" / f"{key}.yaml", (), DATASETS).dataset == key


def test_every_spec_is_of_a_dataset() -> None:
    assert {path.stem for path in (ROOT / "specs").glob("*.yaml")} == set(DATASETS)


def golden(key: str) -> str:
    """The canonical frame of the dataset's payloads, as text."""
    dataset = DATASETS[key]
    frames = []
    for path in sorted((ROOT / "tests" / "adapters" / "payloads" / key).iterdir()):
        normalized = normalize(adapter(dataset.iso).batches(dataset, path, path.name, 10**8), dataset)
        assert normalized.unplaced.is_empty()
        frames.append(normalized.frame)
    assert validate(frames[0], dataset.contract).rejected.is_empty()
    return pl.concat(frames).write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ")


@each_dataset
def test_every_payload_normalizes_into_its_golden(key: str) -> None:
    assert golden(key) == (ROOT / "tests" / "golden" / f"{key}.csv").read_text()


@each_dataset
def test_every_dataset_maps_what_it_reads_to_its_contract(key: str) -> None:
    dataset = DATASETS[key]
    assert dataset.contract.kind in CONTRACTS
    assert set(dataset.clock.columns) | {dataset.location, *dataset.values} <= set(dataset.published)
    assert set(dataset.values.values()) | set(dataset.words) <= {column.name for column in dataset.contract.values}
    assert (dataset.market is None) == (dataset.run is None) == (not dataset.contract.has_market)
    assert re.compile(dataset.location_rules[-1].pattern).search("anything at all")
    assert key.startswith(dataset.iso.slug)


def test_every_error_stands_in_the_drawn_tree() -> None:
    drawn = re.findall(r"[├└]─ (\w+)", str(errors.__doc__))
    classes = {
        name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.AurumError)
    }
    assert {*drawn, "AurumError"} == classes


def test_no_rows_become_python_objects_on_the_hot_path() -> None:
    """From bytes to stores, rows are columns."""
    row_wise = {"iter_rows", "to_dicts", "rows", "to_pylist", "map_elements", "iter_slices", "itertuples"}
    hot = [
        PACKAGE / "decode.py",
        PACKAGE / "normalize.py",
        PACKAGE / "checks.py",
        *(PACKAGE / "sinks").rglob("*.py"),
        PACKAGE / "avro.py",
    ]
    found = [
        f"{path.name}:{node.lineno}: {node.func.attr}"
        for path in hot
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in row_wise
    ]
    assert found == []


def test_only_settings_reads_the_environment() -> None:
    found = [
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert found == ["settings.py"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
