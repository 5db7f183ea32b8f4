"""`aurum-etl secrets`: which secrets there are and where, and a command that has them."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurum_etl import outside
from aurum_etl.cli.base import EXIT_CODES, console_of, with_json
from aurum_etl.errors import EXIT_OK, EXIT_SPEC, SecretError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.spec import Spec


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of looking for one secret."""

    spec: str | None
    name: str
    kind: str
    needed: bool
    state: str
    """`present`, `missing`, or `failed` where a place that should hold it does not, or could not be asked."""
    place: str
    """Where it is, or where it was looked for."""


@click.group(epilog=EXIT_CODES)
def secrets() -> None:
    """Secrets by name: where the spec says, else in the environment, else where Vault has them by convention."""


@secrets.command(epilog=EXIT_CODES)
@click.argument("specs", metavar="[SPEC]...", nargs=-1, type=click.Path(path_type=Path))
@with_json
def check(*, specs: tuple[Path, ...], as_json: bool) -> None:
    """Tell which secrets are there, and where they would come from; never what they are.

    Those that SPECs need or can use; without SPECs all that there are. Ends with 3 if one that is needed is missing, or one
    could not be looked up.
    """
    from aurum_etl.secrets import SECRETS
    from aurum_etl.settings import read_settings

    console, settings = console_of(as_json), read_settings()
    found: list[_Looked] = []
    with console.busy("looking"):
        for path in specs:
            spec, chosen = _of(path)
            there = settings.referring(spec.references(chosen))
            found += _looked(str(path), spec.secrets(chosen, settings.environment), there)
        if not specs:
            found = _looked(None, dict.fromkeys(SECRETS, False), settings)
    document = {"vault": settings.vault and settings.vault.place, "secrets": [asdict(each) for each in found]}
    console.document(document)
    console.table(
        "secrets",
        ("spec", "secret", "kind", "needed", "state", "place"),
        [(each.spec, each.name, each.kind, "yes" if each.needed else "", each.state, each.place) for each in found],
    )
    if not found:
        console.line(f"{', '.join(map(str, specs))}: no secrets are needed")
    lacking = any(each.state == "failed" or (each.needed and each.state == "missing") for each in found)
    sys.exit(EXIT_SPEC if lacking else EXIT_OK)


def _of(path: Path) -> tuple[Spec, Dataset]:
    """The spec in the file, and the dataset as it chooses it."""
    from aurum_etl.adapters import dataset, datasets
    from aurum_etl.spec import load_spec

    spec = load_spec(path, (), datasets())
    return spec, spec.chosen(dataset(spec.dataset))


def _looked(spec: str | None, names: Mapping[str, bool], settings: Settings) -> list[_Looked]:
    """What came of looking for each name, with whether it is needed."""
    from aurum_etl.secrets import SECRETS

    found = []
    for name, needed in names.items():
        try:
            one = settings.secrets.find(name)
            state, place = "present" if one.value else "missing", one.place
        except SecretError as error:
            state, place = "failed", str(error)
        found.append(_Looked(spec, name, SECRETS[name].kind.value, needed, state, place))
    return found


@secrets.command(epilog=EXIT_CODES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--spec", "spec_path", type=click.Path(path_type=Path), help="Also look where this spec says.")
@click.option("--only", multiple=True, metavar="NAME", help="This secret alone, such as PJM_API_KEY; repeatable.")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def env(*, spec_path: Path | None, only: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Run a command with all secrets that can be had in its environment, under their variables; nothing is written to disk.

    Each comes from where a run would have it: where the spec says, else the environment, which stays as it is, else Vault.
    The command takes the place of this process: its exit code is the one that comes back.
    """
    from aurum_etl.errors import listed
    from aurum_etl.secrets import SECRETS
    from aurum_etl.settings import read_settings

    for name in only:
        if name not in SECRETS:
            raise UsageError(f'--only: "{name}" is not one of {listed(SECRETS, name)}')
    settings = read_settings()
    if spec_path is not None:
        spec, chosen = _of(spec_path)
        settings = settings.referring(spec.references(chosen))
    elif settings.vault is None:
        raise SecretError(
            "VAULT_ADDR is not set, so that there is nothing to add; it names the Vault, such as https://vault:8200"
        )
    found = {name: settings.secrets.find(name) for name in only or SECRETS}
    if lacking := [str(each) for each in found.values() if only and each.value is None]:
        raise SecretError("; ".join(lacking))
    if not any(each.value for each in found.values()):
        raise SecretError(f"there is no secret to be had: {found[next(iter(found))].place}")
    patched = {name: each.value for name, each in found.items() if each.value}
    sys.stdout.flush()
    sys.stderr.flush()
    outside.let_go()
    try:
        os.execvpe(command[0], command, {**settings.environment, **patched})  # noqa: S606 - what the user asks for
    except OSError as error:
        raise UsageError(f'"{command[0]}" cannot be run: {error.strerror}') from error
