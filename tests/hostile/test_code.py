"""The program itself: nothing in it makes code of data, or a file at a name that others know."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aurum_etl

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(aurum_etl.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "cloudpickle.load",
    "cloudpickle.loads",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
    "tempfile.mktemp",
    "shutil.unpack_archive",
    "tarfile.open",
    "pl.read_database_uri",
}
"""Whatever is called by one of these names."""
FORBIDDEN_METHODS = {"extractall", "install_extension", "load_extension"}
IMPORTING = {
    "__init__.py",
    "adapters/__init__.py",
    "executors/__init__.py",
    "executors/dask/worker.py",
    "health/base.py",
    "runner.py",
    "simulator/__init__.py",
    "simulator/server.py",
    "sinks/__init__.py",
}
"""The modules that import by name, from tables that stand in the program."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in the module by the name that it is made under."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def named(node: ast.Call) -> dict[str | None, str]:
    """The call's named arguments, as they are written."""
    return {each.arg: ast.unparse(each.value) for each in node.keywords}


def breaches(path: Path) -> Iterator[str]:
    """What the module calls that nobody may."""
    for name, node in calls(path):
        arguments = named(node)
        if name in FORBIDDEN or name.rpartition(".")[2] in FORBIDDEN_METHODS:
            yield f"line {node.lineno}: {name}"
        if name == "yaml.load" and "Loader" not in ast.unparse(node):
            yield f"line {node.lineno}: yaml.load without a loader"
        if arguments.get("shell", "False") != "False":
            yield f"line {node.lineno}: {name} by a shell"
        opens = name == "duckdb.connect" or "duckdb.connect" in map(ast.unparse, node.args)
        if opens and "config" not in arguments:
            yield f"line {node.lineno}: a DuckDB that may load extensions"
        if arguments.get("verify") == "False":
            yield f"line {node.lineno}: {name} without a look at the certificate"


def test_every_module_keeps_data_and_code_apart() -> None:
    found = {str(path.relative_to(PACKAGE)): list(breaches(path)) for path in MODULES}
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')",
        "exec(text)",
        "pickle.loads(body)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "subprocess.run(command, shell=True)",
        "tempfile.mktemp()",
        "duckdb.connect(path)",
        "archive.extractall(folder)",
        "httpx.Client(verify=False)",
    ],
)
def test_the_look_at_the_program_sees_it(line: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(f"{line}\n")
    assert list(breaches(tmp_path / "m.py"))


def test_every_yaml_is_read_by_a_safe_loader() -> None:
    from aurum_etl.spec import _Loader

    assert not set(_Loader.yaml_constructors) & {"tag:yaml.org,2002:python/name"}
    assert not [
        tag for tag in (*_Loader.yaml_constructors, *_Loader.yaml_multi_constructors) if tag and "python" in tag
    ]
    loaders = [ast.unparse(node.args[1]) for path in MODULES for name, node in calls(path) if name == "yaml.load"]
    assert set(loaders) == {"_Loader"}


def test_modules_are_imported_by_names_of_ours_alone() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "import_module"
    }
    assert found == IMPORTING
