"""YAML to `Spec`: what to run, checked before anything is fetched.

An error names the file, the path of the field, the value that stands there and the choices, all faults at once:
`specs/caiso_lmp.yaml: $.sinks[0].kind: "icebrg" is not one of iceberg, memory`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from aurum_etl.chunk import Selection
from aurum_etl.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from aurum_etl.dataset import Dataset

_MAX_BYTES = 1_000_000


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Source(_Block):
    """What to ask the ISO for, and how fast."""

    nodes: str | tuple[str, ...] = "ALL"
    """Which locations: a word that the ISO knows (`ALL`, for CAISO also `ALL_APNODES`), or a list of ids as published."""
    chunk_days: Annotated[int, Field(ge=1, le=31)] = 1
    """Market days per chunk: the unit of fetching, replacing and remembering."""
    requests_per_minute: Annotated[float, Field(gt=0, le=6000)] | None = None
    """How often to ask; by default the ISO's own limit."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 6
    """How often one request is sent before its chunk counts as failed."""

    @field_validator("nodes", mode="before")
    @classmethod
    def _list_to_tuple(cls, nodes: object) -> object:
        return tuple(nodes) if isinstance(nodes, list) else nodes


class Schedule(_Block):
    """Which days a run without dates takes."""

    start: date | None = None
    """First market day of interest; a first run without dates starts here, or at the latest complete day."""
    lookback_days: Annotated[int, Field(ge=0, le=366)] = 0
    """Market days before the watermark that are fetched again, for corrections that come late."""


class Quality(_Block):
    """What happens to rows that break the contract."""

    max_rejected_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Above this share of rejected rows a chunk fails and nothing of it is written; below, they go to quarantine."""


class SinkSpec(_Block):
    """One store."""

    kind: str
    """Which store: iceberg or memory."""


class Spec(_Block):
    """One dataset, from its source to its stores."""

    dataset: str
    """The dataset's key, such as `caiso_lmp`."""
    description: str = ""
    """For people."""
    source: Source = Source()
    schedule: Schedule = Schedule()
    quality: Quality = Quality()
    sinks: Annotated[tuple[SinkSpec, ...], Field(min_length=1)] = (SinkSpec(kind="iceberg"),)
    """Where rows go; all of them, or none."""

    @field_validator("sinks", mode="before")
    @classmethod
    def _list_to_tuple(cls, sinks: object) -> object:
        return tuple(sinks) if isinstance(sinks, list) else sinks

    @property
    def selection(self) -> Selection:
        """The locations, as a value."""
        nodes = self.source.nodes
        return Selection(word=nodes) if isinstance(nodes, str) else Selection.named(nodes)


def load_spec(path: Path, overrides: Iterable[str], datasets: Mapping[str, Dataset], sink_kinds: Iterable[str]) -> Spec:
    """The spec in the file, with `PATH=VALUE` overrides, each checked like the spec itself.

    Raises: SpecError if the file cannot be read, or anything in it, or in an override, is not as it should be.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SpecError(f"{path}: more than {_MAX_BYTES:,} bytes; is this a spec?")
        text = path.read_text("utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    content = _parse(text, path)
    for override in overrides:
        _override(content, override)
    try:
        spec = Spec.model_validate(content)
    except ValidationError as errors:
        raise SpecError("\n".join(f"{path}: {_explain(error)}" for error in errors.errors())) from None
    faults = list(_faults_of_meaning(spec, datasets, tuple(sink_kinds)))
    if faults:
        raise SpecError("\n".join(f"{path}: {fault}" for fault in faults))
    return spec


def json_schema(datasets: Iterable[str], sink_kinds: Iterable[str]) -> dict[str, Any]:
    """JSON Schema of a spec, for editors."""
    schema = Spec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "aurum_etl spec"
    schema["properties"]["dataset"]["enum"] = sorted(datasets)
    schema["$defs"]["SinkSpec"]["properties"]["kind"]["enum"] = sorted(sink_kinds)
    return schema


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key may stand once: the library would let the last one win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{key}" stands twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with one rule more
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SpecError(f"{place}: not readable as YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}: $: expected fields such as dataset and source, found {_shown(content)}")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    """Set one field: `source.nodes=ALL`, `sinks[0].kind=memory`, `source.nodes=[A, B]`."""
    path, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[\d+\]|\.\d+)*", path):
        raise SpecError(f'--set: "{override}" is not of the form PATH=VALUE, such as source.nodes=ALL')
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with one rule more
    except yaml.YAMLError as error:
        raise SpecError(f'--set {path}: "{text}" is not readable as YAML') from error
    steps = [int(step) if step.isdecimal() else step for step in re.findall(r"\w+", path)]
    place: Any = content
    for step in steps[:-1]:
        if isinstance(step, int):
            if not isinstance(place, list) or step >= len(place):
                raise SpecError(f"--set {path}: there is no element [{step}]")
            place = place[step]
        else:
            if not isinstance(place, dict):
                raise SpecError(f"--set {path}: {step} is inside something that has no fields")
            if place.get(step) is None:
                place[step] = {}
            place = place[step]
    last = steps[-1]
    if isinstance(last, int):
        if not isinstance(place, list) or last >= len(place):
            raise SpecError(f"--set {path}: there is no element [{last}]")
        place[last] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise SpecError(f"--set {path}: {last} is inside something that has no fields")


def _faults_of_meaning(spec: Spec, datasets: Mapping[str, Dataset], sink_kinds: tuple[str, ...]) -> Iterable[str]:
    """What a schema cannot say: whether the words fit each other."""
    for number, sink in enumerate(spec.sinks):
        if sink.kind not in sink_kinds:
            yield f"$.sinks[{number}].kind: {_shown(sink.kind)} is not one of {', '.join(sorted(sink_kinds))}"
        if sink.kind in [earlier.kind for earlier in spec.sinks[:number]]:
            yield f"$.sinks[{number}].kind: {_shown(sink.kind)} stands twice"
    dataset = datasets.get(spec.dataset)
    if dataset is None:
        yield f"$.dataset: {_shown(spec.dataset)} is not one of {', '.join(sorted(datasets))}"
        return
    yield from _faults_of_nodes(spec.source, dataset)


def _faults_of_nodes(source: Source, dataset: Dataset) -> Iterable[str]:
    words = dataset.selection_words()
    choices = " or ".join(words) + (" or a list of ids" if dataset.named_limit else "")
    if isinstance(source.nodes, str):
        if source.nodes not in words:
            yield f"$.source.nodes: {_shown(source.nodes)} is not {choices}"
    elif not dataset.named_limit or not source.nodes:
        yield f"$.source.nodes: {_shown(list(source.nodes))} is not {choices}"
    else:
        for number, node in enumerate(source.nodes):
            # An id is sent in a list that commas divide; white space in front or behind is never part of one.
            if not node or node != node.strip() or "," in node or not node.isprintable() or node in words:
                yield f"$.source.nodes[{number}]: {_shown(node)} is not a location id"
            if node in source.nodes[:number]:
                yield f"$.source.nodes[{number}]: {_shown(node)} stands twice"
    span = dataset.span_days_all if isinstance(source.nodes, str) else dataset.span_days
    if source.chunk_days > span:
        yield f"$.source.chunk_days: {source.chunk_days} is more than the {span} that {dataset.feed} answers at once"


def _explain(error: ErrorDetails) -> str:
    """One fault in one line: path, value, what would be right."""
    steps = [step for step in error["loc"] if step not in ("str", "tuple[str, ...]")]
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    kinds: dict[str, Callable[[], str]] = {
        "extra_forbidden": lambda: f"unknown field; the fields here are {', '.join(_fields_at(error['loc'][:-1]))}",
        "missing": lambda: "is missing",
    }
    explain = kinds.get(error["type"])
    return f"{path}: {explain()}" if explain else f"{path}: {_shown(error['input'])}: {_lower(error['msg'])}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    blocks: dict[str, type[BaseModel]] = {
        "source": Source,
        "schedule": Schedule,
        "quality": Quality,
        "sinks": SinkSpec,
    }
    block = blocks.get(str(location[0]), Spec) if location else Spec
    return list(block.model_fields)


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 120 else text[:120] + "…"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
