"""Nothing is downloaded and run: what runs is what was installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyiceberg
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.types import NestedField, StringType

import aurum_etl
from aurum_etl import database
from aurum_etl.errors import SinkError
from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from aurum_etl.sinks.iceberg.sealed import NAMES_CODE
from tests.adapters.loopback import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.catalog import Catalog

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator
    from tests.adapters.loopback import Heard, Said

ROOT = Path(__file__).parents[2]
PACKAGE = Path(aurum_etl.__file__).parent
SPEC = ROOT / "specs" / "caiso_lmp.yaml"
WATCHED = Path(__file__).parent / "watched"
PATHS = sysconfig.get_paths()
PYTHON = (PATHS["stdlib"], PATHS["platstdlib"], PATHS["purelib"], PATHS["platlib"])
AURUM = PATHS["scripts"] + "/aurum-etl"
INSTALLED = (*PYTHON, str(PACKAGE), str(WATCHED), AURUM)
LIBRARIES = (*PYTHON, sys.base_prefix, sys.prefix, "/usr/lib", "/lib", "/usr/local/lib")
MAKERS = {
    "": "`python -c`: how worker processes are started",
    "adbc_driver_manager": "its version",
    "adbc_driver_postgresql": "its version",
    "attr": "methods of classes",
    "collections": "named tuples",
    "dataclasses": "methods of classes",
    "hypothesis": "signatures; pandera asks for it where it is installed, as it is here",
    "sqlalchemy": "wrappers of functions",
    "typing": "annotations",
    "typing_inspection": "annotations",
}
"""Who makes up code as it runs, from its own texts, and what for."""
STARTED = {
    ("python", "-m", "aurum_etl", "simulate"): "--sim: the simulator, which ends with what started it",
    ("uname", "-p"): "how the standard library learns the processor",
}
"""The only programs that are started, and what for."""
PROCESSES = (*STARTED, ("python", AURUM), ("python", "-c", "from multiprocessing"))
"""The only ones that are Python's."""


class Watched:
    """`aurum-etl` as it is installed, in processes that note what they do."""

    def __init__(self, folder: Path, simulator: Simulator, **environment: str) -> None:
        self.folder = folder / "watched"
        self.folder.mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            **simulator.env,
            "AURUM_HOME": str(folder / "home"),
            "AURUM_TEST_WATCHED": str(self.folder),
            "PYTHONPATH": str(WATCHED),
            **environment,
        }
        self._place = folder

    def __call__(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [AURUM, *map(str, arguments)],
            env=self._environment,
            # A folder of nothing: what lies about where somebody stands is not run either.
            cwd=self._place,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for each in self.folder.iterdir():
            for line in each.read_text().splitlines():
                yield tuple(json.loads(line))

    def objections(self) -> list[tuple[str, ...]]:
        """What is not installed here, not named here, or not on this machine."""
        return sorted({each for each in self if not _is_in_order(*each)})


def _is_in_order(what: str, *of: str) -> bool:
    match what, of:
        case "run", (name, "") if not name.startswith("<"):
            return name.startswith(INSTALLED)
        case "run", (name, maker):
            return name.startswith("<frozen ") or _package_of(maker) in MAKERS
        case "library", (path,):
            # Without a folder it is the system's own, or the program itself.
            return path.startswith(LIBRARIES) or "/" not in path
        case (("start" | "process"), command):
            return any(_begins(command, each) for each in (STARTED if what == "start" else PROCESSES))
        case (("connect" | "look up"), (place,)):
            return place in ("127.0.0.1", "::1", "localhost") or place.startswith("unix:")
    return False


def _begins(command: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether the command is the known one, with whatever follows."""
    name = Path(command[0]).name
    said = ("python" if name.startswith("python") else name, *(word for word in command[1:] if word != "-B"))
    return len(said) >= len(known) and all(word.startswith(begin) for word, begin in zip(said, known, strict=False))


def _package_of(file: str) -> str:
    """The first name of the module that the file is; the file itself where it is none that is installed."""
    # Installed packages lie in a folder of the standard library's, where there is no virtual environment.
    folder = next((each for each in reversed(PYTHON) if file.startswith(f"{each}/")), None)
    return file if folder is None else file[len(folder) + 1 :].split("/", maxsplit=1)[0].removesuffix(".py")


def test_the_commands_run_what_is_installed(tmp_path: Path, simulator: Simulator) -> None:
    aurum = Watched(tmp_path, simulator)
    days = ("--from", "2026-07-14", "--to", "2026-07-15")
    aurum("run", SPEC, *days)
    aurum("inspect", "select count(*), max(price_total) from lmp")
    aurum("status")
    aurum("gaps", SPEC, *days)
    aurum("health", SPEC, "--offline")
    aurum("maintain", "--apply")
    aurum("archive", "verify")
    assert aurum.objections() == []
    assert ("connect", "127.0.0.1") in set(aurum)


def test_a_newcomers_run_starts_nothing_but_the_simulator(tmp_path: Path, simulator: Simulator) -> None:
    aurum = Watched(tmp_path, simulator, AURUM_CAISO_BASE="")
    aurum("run", SPEC, "--sim")
    assert aurum.objections() == []
    assert [each[2:5] for each in aurum if each[0] == "start" and each[1] != "uname"] == [
        ("-m", "aurum_etl", "simulate")
    ]


def test_stores_on_servers_load_no_more(
    tmp_path: Path, simulator: Simulator, database: str, kafka: dict[str, str]
) -> None:
    aurum = Watched(tmp_path, simulator, TIMESCALE_CONNECTION=database, **kafka)
    aurum("run", SPEC, "--sink", "timescale", "--sink", "kafka", "--from", "2026-07-14", "--to", "2026-07-15")
    aurum("drain", SPEC, "--set", "drain={sinks: [{kind: iceberg}]}")
    assert aurum.objections() == []


def test_a_catalog_on_a_server_loads_no_more(
    tmp_path: Path, simulator: Simulator, rest_catalog: dict[str, str]
) -> None:
    aurum = Watched(tmp_path, simulator, **rest_catalog)
    aurum("run", SPEC, "--from", "2026-07-14", "--to", "2026-07-15")
    assert aurum.objections() == []


def test_workers_run_what_is_installed(tmp_path: Path, simulator: Simulator) -> None:
    """All of them are watched as well."""
    aurum = Watched(tmp_path, simulator)
    days = ("--from", "2026-07-14", "--to", "2026-07-16")
    aurum("backfill", SPEC, *days, "--executor", "dask", "--workers", "1")
    assert aurum.objections() == []
    assert len(list(aurum.folder.iterdir())) > 1


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("import planted", ("run", "planted.py", "")),
        ("exec('a = 1')", ("run", "<string>", "mischief.py")),
        ("import ctypes; ctypes.CDLL('./libplanted.so')", ("library", "./libplanted.so")),
        ("import subprocess; subprocess.run(['true'])", ("start", "true")),
        ("import os; os.system('true')", ("start", "os.system", "b'true'")),
        ("import socket; socket.socket().connect(('203.0.113.1', 9))", ("connect", "203.0.113.1")),
        ("import socket; socket.getaddrinfo('registry.invalid', 443)", ("look up", "registry.invalid")),
    ],
)
def test_the_watcher_sees(code: str, seen: tuple[str, ...], tmp_path: Path) -> None:
    """Each of these would be objected to above."""
    (tmp_path / "planted.py").write_text("")
    (tmp_path / "libplanted.so").write_bytes(b"no library")
    (tmp_path / "mischief.py").write_text(
        f"import socket; socket.setdefaulttimeout(0.01)\ntry:\n    {code}\nexcept OSError: pass"
    )
    watched = tmp_path / "watched"
    watched.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(WATCHED), "AURUM_TEST_WATCHED": str(watched)}
    subprocess.run([sys.executable, "mischief.py"], cwd=tmp_path, env=environment, check=True, timeout=60)
    (notes,) = watched.iterdir()
    found = [tuple(json.loads(line)) for line in notes.read_text().splitlines()]
    matching = [
        each
        for each in found
        if each[0] == seen[0] and all(a.endswith(b) for a, b in zip(each[1:], seen[1:], strict=False))
    ]
    assert matching, found
    assert not any(_is_in_order(*each) for each in matching)


def test_duckdb_neither_fetches_nor_loads_extensions_anywhere() -> None:
    """By itself it does both, where a function or a kind of file is unknown to it."""
    asked = (
        "select name, value from duckdb_settings() where name similar to "
        "'auto(install|load)_known_extensions|allow_(community|unsigned)_extensions' order by name"
    )
    off = {name: "false" for name, _ in duckdb.connect().execute(asked).fetchall()}
    assert len(off) == 4
    assert dict(database.connect().execute(asked).fetchall()) == off
    assert dict(duckdb.connect().execute(asked).fetchall()) != off
    opening = [path.name for path in PACKAGE.rglob("*.py") if "duckdb.connect(" in path.read_text()]
    assert opening == ["database.py"]


PLANTED = """
from pathlib import Path
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table.locations import SimpleLocationProvider
Path({mark!r}).touch()
class FileIO(PyArrowFileIO): pass
class LocationProvider(SimpleLocationProvider): pass
"""
SCHEMA = Schema(NestedField(1, "name", StringType()))
LOCATION_PROVIDER = "write.py-location-provider.impl"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The mark that a module leaves which could be imported."""
    mark = tmp_path / "mark"
    (tmp_path / "planted.py").write_text(PLANTED.format(mark=str(mark)))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield mark
    sys.modules.pop("planted", None)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    """An empty one, on SQLite."""
    settings.private_folder("warehouse")
    made = open_catalog(settings)
    made.create_namespace("iso")
    yield made
    close_catalog(made)


@pytest.mark.parametrize(
    ("name", "code", "is_run"),
    [
        ("py-io-impl", "planted.FileIO", True),
        (LOCATION_PROVIDER, "planted.LocationProvider", True),
        ("s3.retry-strategy-impl", "planted.Retries", False),  # where the storage is S3
    ],
)
def test_a_table_that_names_code_is_not_loaded(
    name: str, code: str, *, is_run: bool, settings: Settings, catalog: Catalog, planted: Path
) -> None:
    assert name in NAMES_CODE
    table = catalog.create_table("iso.lmp", SCHEMA)
    # By somebody else, whose catalog does not mind, and runs it.
    careless = SqlCatalog(
        "aurum", uri=f"sqlite:///{settings.home}/catalog.db", warehouse=str(settings.home / "warehouse")
    )
    with careless.load_table("iso.lmp").transaction() as change:
        change.set_properties({name: code})
    close_catalog(careless)
    assert planted.exists() == is_run
    planted.unlink(missing_ok=True)
    sys.modules.pop("planted", None)
    with pytest.raises(SinkError, match=f'name code to be loaded, which is not done: {name} = "{code}"'):
        catalog.load_table("iso.lmp")
    with pytest.raises(SinkError, match="name code to be loaded"):
        table.refresh()
    assert not planted.exists()


def test_the_library_imports_nowhere_else() -> None:
    """Where a later pyiceberg does, NAMES_CODE may lack a name."""
    folder = Path(pyiceberg.__file__ or "").parent
    importing = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if "import_module(" in path.read_text()
    }
    assert importing == {
        "catalog/__init__.py",  # py-catalog-impl, of load_catalog, which is not used here
        "catalog/rest/auth.py",  # auth
        "io/__init__.py",
        "io/pyarrow.py",
        "table/locations.py",
        "transforms.py",  # a module of its own choosing
    }


def at(base: str, settings: Settings) -> Settings:
    return read_settings({"AURUM_HOME": str(settings.home), "AURUM_ICEBERG_URI": base})


@pytest.mark.parametrize("name", NAMES_CODE)
@pytest.mark.parametrize("kind", ["defaults", "overrides"])
def test_a_server_cannot_send_code_to_be_loaded(kind: str, name: str, settings: Settings, planted: Path) -> None:
    def say(heard: Heard) -> Said:
        return 200, {"defaults": {}, "overrides": {}, kind: {name: "planted.FileIO"}}

    with server(say, lambda heard: heard.path) as (base, _):
        with pytest.raises(SinkError, match="the configuration that the catalog sends name code"):
            open_catalog(at(base, settings))
    assert not planted.exists()


def test_a_server_cannot_put_it_into_the_answer_to_a_commit(settings: Settings, planted: Path) -> None:
    made = new_table_metadata(SCHEMA, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "file:///nowhere")
    metadata = json.loads(made.model_dump_json())

    def say(heard: Heard) -> Said:
        if heard.path == "/v1/config":
            return 200, {"defaults": {}, "overrides": {}}
        properties = {"kept": "yes"} | ({LOCATION_PROVIDER: "planted.LocationProvider"} if heard.body else {})
        document = {**metadata, "properties": properties}
        return 200, {"metadata-location": "file:///nowhere/m.json", "metadata": document, "config": {}}

    with server(say, lambda heard: heard.path) as (base, _):
        catalog = open_catalog(at(base, settings))
        table = catalog.load_table("iso.lmp")
        with table.transaction() as change:
            change.set_properties({"kept": "yes"})
        assert dict(table.properties) == {"kept": "yes"}
        table.location_provider()
        close_catalog(catalog)
    assert not planted.exists()


def test_code_that_is_used_anyway_may_be_named(catalog: Catalog) -> None:
    """Other programs write it into tables that they share; and Java's names mean nothing here."""
    properties = {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO", "io-impl": "org.apache.iceberg.aws.s3.S3FileIO"}
    catalog.create_table("iso.lmp", SCHEMA, properties=properties)
    assert catalog.load_table("iso.lmp").properties == properties
