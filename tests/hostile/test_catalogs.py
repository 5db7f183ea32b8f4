"""A catalog, or a registry, that answers for itself and not for us."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import SortOrder
from pyiceberg.transforms import IdentityTransform

from aurum_etl.contracts import LMP
from aurum_etl.errors import SinkError
from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg import IcebergSink, open_catalog
from aurum_etl.sinks.iceberg.catalog import close_catalog, iceberg_schema
from aurum_etl.sinks.iceberg.upkeep import Limits, maintain
from tests.hostile import JULY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.hostile import Victim

NAMES = {
    "py-io-impl": "owned.Owned",
    "write.py-location-provider.impl": "owned.Owned",
    "s3.retry-strategy-impl": "owned.O",
}


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that can be imported, and tells if it was."""
    told = tmp_path / "told"
    (tmp_path / "owned.py").write_text(f"open({str(told)!r}, 'w').close()\nclass Owned: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield told
    sys.modules.pop("owned", None)


@contextmanager
def catalog(answers: Mapping[str, object]) -> Iterator[str]:
    """A REST catalog that answers what a path ends with."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            found = next((answer for end, answer in answers.items() if path.endswith(end)), None)
            body = found if isinstance(found, bytes) else json.dumps(found if found is not None else {}).encode()
            self.send_response(200 if found is not None or self.command != "GET" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def do_POST(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def table(
    location: Path | str, properties: Mapping[str, str] | None = None, config: Mapping[str, str] | None = None
) -> Any:
    """What a catalog says of a table of ours."""
    schema = iceberg_schema(LMP)
    by = [
        PartitionField(schema.find_field(name).field_id, 1000 + number, IdentityTransform(), name)
        for number, name in enumerate(LMP.partitions)
    ]
    metadata = new_table_metadata(schema, PartitionSpec(*by), SortOrder(), str(location), dict(properties or {}))
    return {
        "metadata-location": f"{location}/metadata/0.metadata.json",
        "metadata": json.loads(metadata.model_dump_json()),
        "config": dict(config or {}),
    }


@pytest.mark.parametrize("place", ["defaults", "overrides"])
@pytest.mark.parametrize(
    ("name", "value"),
    [*NAMES.items(), ("auth", {"type": "custom", "impl": "owned.Owned", "custom": {}})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_catalogs_config_names_no_code(victim: Victim, owned: Path, place: str, name: str, value: object) -> None:
    with catalog({"/v1/config": {"defaults": {}, "overrides": {}, place: {name: value}}}) as uri:
        victim.environment["AURUM_ICEBERG_URI"] = uri
        error = victim.json("run", victim.spec, *JULY, code=6)["error"]["message"]
        assert f"code to be loaded, which is not done: {name} =" in error
        assert victim.json("inspect", "from lmp", code=6)["error"]["kind"] == "SinkError"
    assert not owned.exists()


@pytest.mark.parametrize("part", ["properties", "config"])
@pytest.mark.parametrize("name", NAMES)
def test_a_table_names_no_code(victim: Victim, owned: Path, tmp_path: Path, part: str, name: str) -> None:
    answers = {
        "/v1/config": {"defaults": {}, "overrides": {}},
        "/tables/lmp": table(tmp_path / "w", **{part: {name: NAMES[name]}}),
        "/namespaces/iso": {"namespace": ["iso"], "properties": {}},
    }
    with catalog(answers) as uri:
        victim.environment["AURUM_ICEBERG_URI"] = uri
        error = victim.json("run", victim.spec, *JULY, code=6)["error"]["message"]
    assert f"code to be loaded, which is not done: {name} =" in error
    assert not owned.exists()


@pytest.mark.parametrize("name", NAMES)
def test_metadata_that_somebody_changed_names_no_code(tmp_path: Path, owned: Path, name: str) -> None:
    """Whoever may write to a warehouse has the catalog's own file in reach as well, and the program of nobody."""
    settings = read_settings({"AURUM_HOME": str(tmp_path / "home")})
    sink = IcebergSink(settings)
    sink.open()
    sink.close()
    for path in settings.home.glob("warehouse/**/*.metadata.json"):
        content = json.loads(path.read_text())
        content["properties"][name] = NAMES[name]
        path.write_text(json.dumps(content))
    found = open_catalog(settings)
    with pytest.raises(SinkError, match="name code to be loaded"):
        found.load_table("iso.lmp")
    close_catalog(found)
    assert not owned.exists()


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b"<html>", b"\xff\xfe", {"defaults": [], "overrides": 1}],
    ids=["nothing", "cut", "list", "null", "text", "deep", "html", "bytes", "shape"],
)
def test_a_catalog_that_answers_nonsense_is_told(victim: Victim, answer: object) -> None:
    with catalog({"/v1/config": answer}) as uri:
        victim.environment["AURUM_ICEBERG_URI"] = uri
        assert victim.json("run", victim.spec, *JULY, code=6)["error"]["kind"] == "SinkUnavailable"


def test_upkeep_removes_nothing_but_files_of_a_table(tmp_path: Path) -> None:
    """A catalog says where a table is: it may say that it is where somebody lives."""
    lived_in = tmp_path / "somebody"
    precious = [
        lived_in / each for each in ("letter.txt", "data/photo.jpg", "metadata/notes.md", ".ssh/id", "a.parquet")
    ]
    for path in precious:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    answers = {
        "/v1/config": {"defaults": {}, "overrides": {}},
        "/tables/lmp": table(f"file://{lived_in}"),
    }
    with catalog(answers) as uri:
        settings = read_settings({"AURUM_HOME": str(tmp_path / "home"), "AURUM_ICEBERG_URI": uri})
        (found,) = maintain(settings, Limits(timedelta(0), timedelta(0)), apply=True)
    assert (found.orphans, [path.read_text() for path in precious]) == (0, ["mine"] * len(precious))
