"""What is true of every sibling, and of the source as a whole; a new one joins by being there."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aurum_etl import adapters, errors
from aurum_etl.adapters import adapter
from aurum_etl.adapters.base import read_files
from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
from aurum_etl.contracts import CONTRACTS
from aurum_etl.dataset import Word
from aurum_etl.pipeline import normalized_of
from aurum_etl.spec import load_spec
from aurum_etl.validate import validate
from aurum_etl.window import market_day

if TYPE_CHECKING:
    from aurum_etl.adapters.base import Fetched
    from aurum_etl.dataset import Report
    from aurum_etl.normalize import Normalized

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


def published(key: str) -> tuple[Fetched, Normalized]:
    """The dataset's payloads, as published and as a canonical frame."""
    dataset = DATASETS[key]
    paths = sorted((ROOT / "tests" / "adapters" / "payloads" / key).iterdir())
    fetched = read_files(adapter(dataset.iso), dataset, paths, 10**8)
    return fetched, normalized_of(fetched, dataset)


def form(report: Report) -> str:
    """What a file of the report looks like, and how it is read."""
    return repr(replace(report, name="", parameters={}))


def golden(key: str) -> str:
    """The canonical frame of the dataset's payloads, as text."""
    frame = published(key)[1].frame
    return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")


@each_dataset
def test_every_payload_normalizes_into_its_golden(key: str) -> None:
    assert golden(key) == (ROOT / "tests" / "golden" / f"{key}.csv").read_text()


@each_dataset
def test_every_report_has_a_payload_whose_rows_are_all_accepted(key: str) -> None:
    dataset = DATASETS[key]
    fetched, normalized = published(key)
    # Reports that differ only in how they are asked for have one form.
    assert {form(report) for report, _ in fetched.batches} == {form(report) for report in dataset.reports}
    assert normalized.unplaced.is_empty()
    assert normalized.drift == ()
    assert validate(normalized.frame, dataset.contract, dataset.checks).rejected.is_empty()


@each_dataset
def test_every_report_maps_what_it_reads_to_its_contract(key: str) -> None:
    dataset = DATASETS[key]
    contract = dataset.contract
    assert CONTRACTS[contract.kind] is contract
    assert (dataset.market is None) == (dataset.run is None) == (not contract.has_market)
    assert key.startswith(f"{dataset.iso.slug}_{contract.kind}")
    values = {column.name for column in contract.values}
    for report in dataset.reports:
        spread = report.spread
        made = set() if spread is None else {spread.into, *(new for group in spread.columns.values() for new in group)}
        made |= {spread.others} if spread is not None and spread.others else set()
        made |= set(spread.words) if spread is not None else set()
        words = {word.column for word in report.words.values() if isinstance(word, Word)}
        stamps = set() if report.published_at is None else set(report.published_at.columns)
        named = {report.location, report.location_name, report.revision.column if report.revision else ""} - {""}
        assert set(report.clock.columns) | words | stamps | named | {*report.values} <= set(report.published) | made
        into = set(report.components.into.values()) if report.components else set()
        assert {*report.values.values(), *report.words, *into} <= values
        demanded = {column.name for column in contract.values if column.type == "string" and not column.nullable}
        assert demanded <= set(report.words)
        assert report.optional <= set(report.published)
        if isinstance(report.location_types, tuple) and report.location:
            assert re.compile(report.location_types[-1].pattern).search("anything at all")
        for word in report.words.values():
            vocabulary = word.vocabulary if isinstance(word, Word) else None
            assert vocabulary is None or all(vocabulary.values())


@each_dataset
def test_every_feed_brings_the_same_series(key: str) -> None:
    """Or one feed's chunk would take away what another's has written."""
    dataset = DATASETS[key]
    kinds = {
        tuple(sorted((column, word) for column, word in report.words.items() if isinstance(word, str)))
        for feed in dataset.feeds
        for report in feed.reports
    }
    for feed in dataset.feeds:
        found = {
            tuple(sorted((column, word) for column, word in report.words.items() if isinstance(word, str)))
            for report in feed.reports
        }
        assert found == kinds


def test_no_two_datasets_own_the_same_rows() -> None:
    """Or the one's chunk would take away what the other's has written."""
    day = date(2026, 7, 14)
    for one, other in itertools.combinations(DATASETS.values(), 2):
        if one.iso is other.iso:
            scopes = [
                scope_of(Chunk(each.key, Selection(ALL), market_day(day, each.timezone)), each) for each in (one, other)
            ]
            assert not scopes[0].meets(scopes[1]), f"{one.key} and {other.key}"


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
        *(PACKAGE / "avro").rglob("*.py"),
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
