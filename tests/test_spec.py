"""What users write, and what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aurum_etl import adapters
from aurum_etl.chunk import Selection
from aurum_etl.errors import SpecError
from aurum_etl.spec import Spec, load_spec

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, text: str, *overrides: str) -> Spec:
    path = folder / "s.yaml"
    path.write_text(text)
    return load_spec(path, overrides, adapters.datasets())


def test_a_spec_needs_no_more_than_its_dataset(tmp_path: Path) -> None:
    spec = load(tmp_path, "dataset: caiso_lmp")
    assert (spec.selection, [each.kind for each in spec.sinks]) == (Selection("ALL"), ["iceberg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "dataset: caiso_lmp\nsource: {chunk_dayz: 1}",
            "$.source.chunk_dayz: unknown field; the fields here are feed, clock, nodes",
        ),
        ("dataset: caiso_lmp\nfoo: 1", "$.foo: unknown field; the fields here are dataset"),
        (
            "dataset: caiso_lmp\nsource: {chunk_days: two}",
            '$.source.chunk_days: "two": input should be a valid integer',
        ),
        (
            "dataset: caiso_lmp\nsource: {chunk_days: 0}",
            "$.source.chunk_days: 0: input should be greater than or equal",
        ),
        (
            "dataset: caiso_lmp\nsource: {chunk_days: 2}",
            "$.source.chunk_days: 2 is more than the 1 that PRC_LMP answers",
        ),
        ("dataset: caiso_lpm", '$.dataset: "caiso_lpm" is not one of caiso_lmp, '),
        ("source: {}", "$.dataset: is missing"),
        (
            "dataset: caiso_lmp\nsinks: [{kind: icebrg}]",
            '$.sinks[0].kind: "icebrg" is not one of iceberg, kafka, memory, timescale',
        ),
        ("dataset: caiso_lmp\nsinks: [{kind: iceberg}, {kind: iceberg}]", '$.sinks[1].kind: "iceberg" stands twice'),
        ("dataset: caiso_lmp\nsinks: []", "$.sinks: []"),
        ("dataset: caiso_lmp\nsinks: [{}]", "$.sinks[0].kind: is missing"),
        ("dataset: caiso_lmp\nsinks: [{kind: kafka, partitions: 0}]", "$.sinks[0].partitions: 0"),
        (
            "dataset: caiso_lmp\nsinks: [{kind: kafka, parts: 2}]",
            "fields here are kind, encoding, compression, partitions",
        ),
        (
            "dataset: caiso_lmp\ndrain: {sinks: [{kind: kafka}]}",
            '$.drain.sinks[0].kind: "kafka" is not one of iceberg, memory',
        ),
        ("dataset: caiso_lmp\ndrain: {sinks: [{kind: iceberg}], group: a b}", '$.drain.group: "a b"'),
        (
            "dataset: caiso_lmp\nsource: {nodes: all}",
            '$.source.nodes: "all" is not ALL or ALL_APNODES or a list of ids',
        ),
        ("dataset: caiso_load\nsource: {nodes: [PGE-TAC]}", "$.source.nodes: ['PGE-TAC'] is not ALL"),
        ('dataset: caiso_lmp\nsource: {nodes: ["A,B"]}', '$.source.nodes[0]: "A,B" is not a location id'),
        ("dataset: caiso_lmp\nsource: {nodes: [A, A]}", '$.source.nodes[1]: "A" stands twice'),
        ("dataset: caiso_lmp\nsource: {nodes: 3}", "$.source.nodes: 3"),
        ("- 1", "$: expected fields such as dataset and source, found [1]"),
        ("dataset: caiso_lmp\ndataset: caiso_load", ':2:1: not readable as YAML: "dataset" stands twice'),
        ("dataset: [", "not readable as YAML"),
        ("!!python/object/apply:os.system ['true']", "not readable as YAML"),
    ],
)
def test_an_error_names_file_path_value_and_choices(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "s.yaml"))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "dataset: caiso_lmp\nsource: {chunk_days: x, foo: 1}")
    assert len(str(caught.value).splitlines()) == 2


def test_overrides_are_checked_like_the_spec(tmp_path: Path) -> None:
    text = "dataset: caiso_lmp\nsinks: [{kind: iceberg}]"
    assert load(tmp_path, text, "source.nodes=[B, A]").selection == Selection.named(["A", "B"])
    assert load(tmp_path, text, "sinks[0].kind=memory", "source.nodes=ALL_APNODES").sinks[0].kind == "memory"
    assert load(tmp_path, text, "sinks.0.kind=memory").sinks[0].kind == "memory"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source.nodes", "is not of the form PATH=VALUE"),
        ("source..x=1", "is not of the form PATH=VALUE"),
        ("sinks[3].kind=memory", "--set sinks[3].kind: there is no element [3]"),
        ("dataset.x=1", "--set dataset.x: x is inside something that has no fields"),
        ("source.nodez=A", "$.source.nodez: unknown field"),
        ("source.chunk_days=[", "is not readable as YAML"),
    ],
)
def test_a_wrong_override_is_told(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "dataset: caiso_lmp\nsinks: [{kind: iceberg}]", override)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load_spec(tmp_path / "none.yaml", (), adapters.datasets())
