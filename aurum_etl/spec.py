"""YAML to `Spec`: what to run, checked before anything is fetched.

An error names the file, the path of the field, the value that stands there and the choices, all faults at once:
`specs/caiso_lmp.yaml: $.sinks[0].kind: "icebrg" is not one of iceberg, kafka, memory, timescale`.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from aurum_etl.chunk import Selection
from aurum_etl.errors import SpecError, listed
from aurum_etl.redaction import start_of
from aurum_etl.secrets import SECRETS
from aurum_etl.secrets.base import FORMS, Reference
from aurum_etl.settings import CATALOG_VARIABLES, KAFKA_VARIABLES, REGISTRY_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from aurum_etl.dataset import Dataset

_MAX_BYTES = 1_000_000
_UNREADABLE = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the library raises for a text that is no YAML: of its own, and of what it calls (`2026-13-01`, `!!timestamp x`)."""
_BRIEF = reprlib.Repr()
"""For values: a list that is named inside itself, or a thousand times inside others, would be written without end."""
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxstring, _BRIEF.maxother = 3, 10, 10, 100, 100
_LISTED = BeforeValidator(lambda found: tuple(found) if isinstance(found, list) else found)
"""YAML has lists, and frozen blocks have tuples."""


def _reference(found: object) -> object:
    """A reference, or several by the names of secrets. What stands there is never repeated: it may be the secret itself."""
    several = found if isinstance(found, dict) else {"": found}
    for name, each in several.items():
        fault = f"is not of the form {FORMS}, or several by the names of secrets"
        if name and name not in SECRETS:
            fault = f"has a name that is not one of {', '.join(SECRETS)}"
        elif isinstance(each, str):
            try:
                Reference.parse(each)
                continue
            except ValueError as error:
                fault = str(error)
        raise PydanticCustomError(
            "reference", "{told}", {"told": " ".join(filter(None, (name if name in SECRETS else "", fault)))}
        )
    return found


Referred = Annotated[str | dict[str, str], BeforeValidator(_reference)]
Unit = Literal["exact", "hour", "day", "week", "month"]


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Source(_Block):
    """What to ask the ISO for, and how fast."""

    feed: str | None = None
    """Which of the dataset's feeds, where there are several, such as `csv` or `api`; by default the first that
    `aurum-etl datasets` lists."""
    clock: dict[str, str] = Field(default_factory=dict)
    """How to read time labels where the ISO's documents leave it open, such as `{labels: end}`; the choices are the
    feed's."""
    nodes: Annotated[str | tuple[str, ...], _LISTED] = "ALL"
    """Which locations: a word that the ISO knows (`ALL`, for CAISO also `ALL_APNODES`), or a list of ids as published."""
    chunk_days: Annotated[int, Field(ge=1, le=31)] = 1
    """Market days per chunk: the unit of fetching, replacing and remembering."""
    concurrent_chunks: Annotated[int, Field(ge=1, le=64)] = 3
    """Chunks in work at a time: one waits for its answer while another is computed and a third is loaded. Memory grows
    with it."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 6
    """How often one request is sent before its chunk counts as failed."""
    secret: Referred | None = None
    """Where the credentials of the feed are, to be looked at before the environment and where Vault has them by convention:
    `vault:iso/pjm#api_key`, `env:NAME`, `file:/run/secrets/pjm`; or several, by the names of their variables. A Vault path
    without `#field` and a folder hold all of them."""


class QuotaSpec(_Block):
    """How much of the ISO this dataset may use, where the ISO's own numbers are not meant. Any stretch of time counts, not
    clock hours; the profile of a run scales it.
    """

    requests_per_minute: Annotated[float, Field(gt=0, le=6000)] | None = None
    """How often to ask; by default the ISO's own limit."""
    burst: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many of them may go at once."""
    requests_per_hour: Annotated[int, Field(ge=1)] | None = None
    """Requests in any hour."""
    requests_per_day: Annotated[int, Field(ge=1)] | None = None
    """Requests in any 24 hours."""
    records_per_hour: Annotated[int, Field(ge=1)] | None = None
    """Records, as published, in any hour."""
    bytes_per_hour: Annotated[int, Field(ge=1)] | None = None
    """Bytes, as received, in any hour."""
    bytes_per_day: Annotated[int, Field(ge=1)] | None = None
    """Bytes, as received, in any 24 hours."""
    concurrent_requests: Annotated[int, Field(ge=1, le=100)] | None = None
    """Requests that are being answered at a time."""
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    """Which dataset's requests go first where several wait for the same host: the lower number; runs go before backfills
    whatever it is."""
    rest_seconds: Annotated[float, Field(gt=0)] | None = None
    """For how long a host is left alone after too many failures, at first; by default 30."""
    longest_wait_minutes: Annotated[float, Field(gt=0)] | None = None
    """What would have to wait longer for its turn is postponed; by default as long as the profile says."""


class Schedule(_Block):
    """Which days a run without dates takes."""

    start: date | None = None
    """First market day of interest; a first run without dates starts here, or at the latest complete day."""
    watermark: Unit = "exact"
    """To what the watermark is rounded down before such a run goes on from it: a day of which a part is there, or a week or
    month, is then done again as a whole."""
    lookback_days: Annotated[int, Field(ge=0, le=366)] = 0
    """Market days before the watermark that are fetched again, for corrections that come late."""


class Quality(_Block):
    """What happens to rows that break the contract."""

    max_rejected_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Above this share of rejected rows a chunk fails and nothing of it is written; below, they go to quarantine."""


class MemorySpec(_Block):
    """Tables in memory, gone when the process ends: to try things out."""

    kind: Literal["memory"]


class IcebergSpec(_Block):
    """Iceberg tables; where catalog and warehouse are, the settings say."""

    kind: Literal["iceberg"]
    secret: Referred | None = None
    """Where the secrets of its catalog and object store are; as `secret` of `source`."""


class TimescaleSpec(_Block):
    """TimescaleDB, or PostgreSQL without the extension; the database is named by `TIMESCALE_CONNECTION`."""

    kind: Literal["timescale"]
    chunk_days: Annotated[int, Field(ge=1, le=366)] = 7
    """Days of `interval_start` in one piece of a table: a hypertable's chunk, or a partition. Fixed when the table is made."""
    compress_after_days: Annotated[int, Field(ge=1, le=36500)] | None = 30
    """Pieces older than this that are not compressed yet are compressed in the background (TimescaleDB); null: never."""
    retain_days: Annotated[int, Field(ge=4, le=36500)] | None = None
    """Pieces older than this are dropped by the database (TimescaleDB); null: kept for ever."""
    aggregates: Annotated[tuple[Literal["hour", "day"], ...], _LISTED] = ("hour", "day")
    """Means, minima, maxima and counts that the database keeps up to date (TimescaleDB) or computes when asked."""
    secret: Referred | None = None
    """Where the secrets of its database, or the user and password for it are; as `secret` of `source`."""


class KafkaSpec(_Block):
    """Kafka topics; the brokers are named by `KAFKA_BOOTSTRAP_SERVERS`, the registry by `SCHEMA_REGISTRY_URL`."""

    kind: Literal["kafka"]
    encoding: Literal["avro", "arrow"] = "avro"
    """`avro`: one record per message, under the registry. `arrow`: one Arrow IPC stream per message, on a topic of its own."""
    compression: Literal["lz4", "zstd"] = "lz4"
    """How batches are compressed on the wire and on disk."""
    partitions: Annotated[int, Field(ge=1, le=1000)] = 6
    """Partitions of a topic that is not there yet."""
    replication: Annotated[int, Field(ge=1, le=9)] | None = None
    """Copies of each partition of a topic that is not there yet; null: as the broker has it."""
    retention_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    """How long a topic that is not there yet keeps its messages; null: as the broker has it."""
    secret: Referred | None = None
    """Where the secrets of its brokers and registry are; as `secret` of `source`."""


SinkSpec = Annotated[IcebergSpec | KafkaSpec | MemorySpec | TimescaleSpec, Field(discriminator="kind")]
StoreSpec = Annotated[IcebergSpec | MemorySpec | TimescaleSpec, Field(discriminator="kind")]
SINK_SPECS: dict[str, type[_Block]] = {
    "iceberg": IcebergSpec,
    "kafka": KafkaSpec,
    "memory": MemorySpec,
    "timescale": TimescaleSpec,
}


SECRETS_OF: dict[str, tuple[str, ...]] = {
    "iceberg": tuple(name for name in CATALOG_VARIABLES if name in SECRETS),
    "kafka": tuple(name for name in (*KAFKA_VARIABLES, *REGISTRY_VARIABLES) if name in SECRETS),
    "memory": (),
    "timescale": ("TIMESCALE_CONNECTION",),
}
"""Which secrets a kind of store may need."""


def default_sink(kind: str) -> SinkSpec:
    """A store of that kind as it is without options."""
    model: SinkSpec = TypeAdapter(SinkSpec).validate_python({"kind": kind})
    return model


class DrainSpec(_Block):
    """What `aurum-etl drain` does with the topic of the dataset."""

    sinks: Annotated[tuple[StoreSpec, ...], Field(min_length=1), _LISTED]
    """The stores that are fed from the topic."""
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "aurum-drain"
    """The consumer group: drains of one group share the work, and the stores keep one position per group."""
    encoding: Literal["avro", "arrow"] = "avro"
    """Which of the dataset's topics is read."""


class Spec(_Block):
    """One dataset, from its source to its stores."""

    dataset: str
    """The dataset's key, such as `caiso_lmp`."""
    description: str = ""
    """For people."""
    source: Source = Source()
    quota: QuotaSpec = QuotaSpec()
    schedule: Schedule = Schedule()
    quality: Quality = Quality()
    sinks: Annotated[tuple[SinkSpec, ...], Field(min_length=1), _LISTED] = (IcebergSpec(kind="iceberg"),)
    """Where rows go; all of them, or none."""
    drain: DrainSpec | None = None
    """Which stores are fed from Kafka."""

    @property
    def selection(self) -> Selection:
        """The locations, as a value."""
        nodes = self.source.nodes
        return Selection(word=nodes) if isinstance(nodes, str) else Selection.named(nodes)

    def references(self, dataset: Dataset) -> dict[str, Reference]:
        """Where this spec says that secrets of the chosen dataset's feed, and of its stores, are, by name.

        Raises: SpecError if that cannot be told; the message names the path.
        """
        found: dict[str, Reference] = {}
        for place, referred, names in self._referring(dataset):
            if isinstance(referred, str):
                reference = Reference.parse(referred)
                if not names:
                    raise SpecError(
                        f"$.{place}: nothing is needed here; {dataset.key} {dataset.feed.name} asks for no credentials"
                    )
                if len(names) > 1 and (reference.scheme == "env" or reference.field):
                    raise SpecError(
                        f"$.{place}: is one secret, and there are several; say which, as {{{names[0]}: {reference}}}, of "
                        f"{', '.join(names)}"
                    )
                told = {name: replace(reference, shared=len(names) > 1) for name in names}
            else:
                if other := [name for name in referred if name not in names]:
                    choices = f"is not one of {', '.join(names)}" if names else "is needed by nothing here"
                    raise SpecError(f"$.{place}.{other[0]}: {choices}")
                told = {name: Reference.parse(each) for name, each in referred.items()}
            for name, reference in told.items():
                if found.setdefault(name, reference) != reference:
                    raise SpecError(f"$.{place}: {name} is elsewhere said to be at {found[name]}")
        return found

    def secrets(self, dataset: Dataset, environment: Mapping[str, str]) -> dict[str, bool]:
        """The secrets that the chosen dataset's feed and the stores can use, and whether they cannot do without."""
        drained = self.drain.sinks if self.drain else ()
        kinds = [sink.kind for sink in (*self.sinks, *drained)] + (["kafka"] if self.drain else [])
        needed = {*dataset.feed.credentials, "TIMESCALE_CONNECTION"}
        if environment.get("KAFKA_SECURITY_PROTOCOL", "").upper().startswith("SASL_"):
            needed |= {"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}
        names = [*dataset.feed.credentials, *(name for kind in kinds for name in SECRETS_OF[kind])]
        return {name: name in needed for name in names}

    def _referring(self, dataset: Dataset) -> Iterator[tuple[str, str | dict[str, str], tuple[str, ...]]]:
        """Where references stand, what stands there, and of which secrets it can be."""
        if self.source.secret is not None:
            yield "source.secret", self.source.secret, dataset.feed.credentials
        drained = self.drain.sinks if self.drain else ()
        for place, sinks in (("sinks", self.sinks), ("drain.sinks", drained)):
            for number, sink in enumerate(sinks):
                if not isinstance(sink, MemorySpec) and sink.secret is not None:
                    yield f"{place}[{number}].secret", sink.secret, SECRETS_OF[sink.kind]

    def chosen(self, dataset: Dataset) -> Dataset:
        """The dataset by the feed, and with the settings of its clock, that this spec names."""
        return dataset.of(self.source.feed or dataset.feeds[0].name, self.source.clock)


def load_spec(path: Path, overrides: Iterable[str], datasets: Mapping[str, Dataset]) -> Spec:
    """The spec in the file, with `PATH=VALUE` overrides, each checked like the spec itself.

    Raises: SpecError if the file cannot be read, or anything in it, or in an override, is not as it should be.
    """
    try:
        with path.open("rb") as file:
            read = file.read(_MAX_BYTES + 1)
        if len(read) > _MAX_BYTES:
            raise SpecError(f"{path}: more than {_MAX_BYTES:,} bytes; is this a spec?")
        text = read.decode("utf-8")
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
        # A list whose only element is at fault is not empty, too.
        told = [error for error in errors.errors() if not (error["type"] == "too_short" and error["input"])]
        raise SpecError("\n".join(f"{path}: {_explain(error)}" for error in told)) from None
    faults = list(_faults_of_meaning(spec, datasets))
    if faults:
        raise SpecError("\n".join(f"{path}: {fault}" for fault in faults))
    return spec


def json_schema(datasets: Iterable[str]) -> dict[str, Any]:
    """JSON Schema of a spec, for editors."""
    schema = Spec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "aurum_etl spec"
    schema["properties"]["dataset"]["enum"] = sorted(datasets)
    return schema


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key is a word and may stand once: the library would let the last one win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{key}" stands twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse `<<`: what is merged into what is merged would be written out in full, without end."""
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, '"<<" is not taken', key_node.start_mark)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with one rule more
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SpecError(f"{place}: not readable as YAML: {error.problem}") from error
    except _UNREADABLE as error:
        raise SpecError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}: $: expected fields such as dataset and source, found {_shown(content)}")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    """Set one field: `source.nodes=ALL`, `sinks[0].kind=memory`, `source.nodes=[A, B]`."""
    path, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[\d{1,9}\]|\.\d{1,9})*", path):
        raise SpecError(f'--set: "{override}" is not of the form PATH=VALUE, such as source.nodes=ALL')
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with one rule more
    except _UNREADABLE as error:
        # What is meant for a secret's place may be the secret itself.
        found = "what stands there" if "secret" in path else _shown(text)
        raise SpecError(f"--set {path}: {found} is not readable as YAML") from error
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


def _faults_of_meaning(spec: Spec, datasets: Mapping[str, Dataset]) -> Iterable[str]:
    """What a schema cannot say: whether the words fit each other."""
    for place, sinks in (("sinks", spec.sinks), ("drain.sinks", spec.drain.sinks if spec.drain else ())):
        for number, sink in enumerate(sinks):
            if sink.kind in [earlier.kind for earlier in sinks[:number]]:
                yield f"$.{place}[{number}].kind: {_shown(sink.kind)} stands twice"
    dataset = datasets.get(spec.dataset)
    if dataset is None:
        yield f"$.dataset: {_shown(spec.dataset)} is not one of {listed(datasets, spec.dataset)}"
        return
    feeds = [feed.name for feed in dataset.feeds]
    if spec.source.feed is not None and spec.source.feed not in feeds:
        yield f"$.source.feed: {_shown(spec.source.feed)} is not one of {', '.join(feeds)}"
        return
    dataset = dataset.of(spec.source.feed or feeds[0])
    try:
        spec.references(dataset)
    except SpecError as error:
        yield str(error)
    yield from _faults_of_clock(spec.source, dataset)
    yield from _faults_of_nodes(spec.source, dataset)


def _faults_of_clock(source: Source, dataset: Dataset) -> Iterable[str]:
    settable = {name: choices for report in dataset.feed.reports for name, choices in report.settable.items()}
    for name, value in source.clock.items():
        if name not in settable:
            choices = f"not one of {', '.join(settable)}" if settable else f"nothing that {dataset.key} leaves open"
            yield f"$.source.clock: {_shown(name)} is {choices}"
        elif value not in settable[name]:
            yield f"$.source.clock.{name}: {_shown(value)} is not one of {', '.join(settable[name])}"


def _faults_of_nodes(source: Source, dataset: Dataset) -> Iterable[str]:
    words = dataset.selection_words()
    choices = " or ".join(words) + (" or a list of ids" if dataset.feed.named_limit else "")
    if isinstance(source.nodes, str):
        if source.nodes not in words:
            yield f"$.source.nodes: {_shown(source.nodes)} is not {choices}"
    elif not dataset.feed.named_limit or not source.nodes:
        yield f"$.source.nodes: {_shown(list(source.nodes))} is not {choices}"
    else:
        for number, node in enumerate(source.nodes):
            # An id is sent in a list that commas divide; white space in front or behind is never part of one.
            if not node or node != node.strip() or "," in node or not node.isprintable() or node in words:
                yield f"$.source.nodes[{number}]: {_shown(node)} is not a location id"
            if node in source.nodes[:number]:
                yield f"$.source.nodes[{number}]: {_shown(node)} stands twice"
    span = dataset.feed.span_days_all if isinstance(source.nodes, str) else dataset.feed.span_days
    if source.chunk_days > span:
        reports = " and ".join(report.name for report in dataset.feed.reports)
        yield f"$.source.chunk_days: {source.chunk_days} is more than the {span} that {reports} answers at once"


def _explain(error: ErrorDetails) -> str:
    """One fault in one line: path, value, what would be right."""
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path = f"{_path(error['loc'])}.kind"
        if error["type"] == "union_tag_not_found":
            return f"{path}: is missing"
        choices = error["ctx"]["expected_tags"].replace("'", "")
        return f"{path}: {_shown(error['ctx']['tag'])} is not one of {choices}"
    kinds: dict[str, Callable[[], str]] = {
        "extra_forbidden": lambda: f"unknown field; the fields here are {', '.join(_fields_at(error['loc'][:-1]))}",
        "missing": lambda: "is missing",
        "reference": lambda: error["msg"],
    }
    explain = kinds.get(error["type"])
    path = _path(error["loc"])
    return f"{path}: {explain()}" if explain else f"{path}: {_shown(error['input'])}: {_lower(error['msg'])}"


def _path(location: tuple[int | str, ...]) -> str:
    """The place in the YAML; names that only the model has, such as the kind of a union's member, are left out."""
    steps = [
        step
        for number, step in enumerate(location)
        if step not in ("str", "tuple[str, ...]")
        and not str(step).startswith("function-before")
        and not (number and isinstance(location[number - 1], int) and step in SINK_SPECS)
    ]
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    blocks: dict[str, type[BaseModel]] = {
        "source": Source,
        "quota": QuotaSpec,
        "schedule": Schedule,
        "quality": Quality,
        "drain": DrainSpec,
        **SINK_SPECS,
    }
    names = [str(step) for step in location if str(step) in blocks]
    return list((blocks[names[-1]] if names else Spec).model_fields)


def _shown(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    try:
        text = f'"{value}"' if isinstance(value, str) else _BRIEF.repr(plain)
    except ValueError:
        # A whole number of thousands of digits, which `59:59:…` is too.
        text = f"a very large {type(value).__name__}"
    return start_of(text, 120)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
