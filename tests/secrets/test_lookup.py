"""A secret is where the spec says, else in the environment; and what is wrong with a place is told, never the secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl import adapters
from aurum_etl.errors import SecretError, SpecError
from aurum_etl.runner import Flags, prepare
from aurum_etl.secrets import SECRETS, Reference, Secrets
from aurum_etl.secrets.base import with_login
from aurum_etl.settings import read_settings
from aurum_etl.spec import load_spec
from tests.frames import spec
from tests.test_cli import Processes, Shell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

README = Path(__file__).parents[2] / "README.md"
CANARY = "kept-to-ourselves"


def secrets(environment: Mapping[str, str], **references: str) -> Secrets:
    return Secrets(environment, {name: Reference.parse(text) for name, text in references.items()})


def test_what_the_spec_says_goes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of the file\n")
    environment = {"PJM_API_KEY": "usual", "OTHER": "of another variable"}
    assert secrets(environment)["PJM_API_KEY"] == "usual"
    assert secrets(environment, PJM_API_KEY="env:OTHER")["PJM_API_KEY"] == "of another variable"
    assert secrets(environment, PJM_API_KEY=f"file:{tmp_path}/key")["PJM_API_KEY"] == "of the file"
    assert secrets(environment, PJM_API_KEY=f"file:{tmp_path}/key").find("PJM_API_KEY").place == f"file:{tmp_path}/key"


def test_a_new_value_in_a_file_is_there_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first")
    found = secrets({}, PJM_API_KEY=f"file:{path}")
    assert found["PJM_API_KEY"] == "first"
    path.write_text("second")
    assert found["PJM_API_KEY"] == "second"


def test_a_folder_holds_a_field_in_each_file(tmp_path: Path) -> None:
    for name in ("username", "password"):
        (tmp_path / name).write_text(f"the {name}")
    found = secrets({}, ISONE_API_USERNAME=f"file:{tmp_path}", ISONE_API_PASSWORD=f"file:{tmp_path}")
    assert dict(found) == {"ISONE_API_USERNAME": "the username", "ISONE_API_PASSWORD": "the password"}


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("env:NOT_THERE", "env:NOT_THERE is not set"),
        ("file:/nowhere/at/all", "file:/nowhere/at/all is not there"),
        ("file:{folder}/latin", "is not UTF-8 text"),
        ("file:{folder}/empty", "is empty"),
        ("file:{folder}/large", "is too large for a secret"),
        ("file:{folder}", "api_key is not there"),
        ("vault:iso/pjm#api_key", "vault:iso/pjm#api_key: VAULT_ADDR is not set"),
    ],
)
def test_a_place_that_does_not_hold_it_is_named(reference: str, told: str, tmp_path: Path) -> None:
    """And the environment is not asked instead: who says where a secret is wants that one."""
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * 100_000)
    found = secrets({"PJM_API_KEY": CANARY}, PJM_API_KEY=reference.format(folder=tmp_path))
    with pytest.raises(SecretError) as caught:
        found.get("PJM_API_KEY")
    assert str(caught.value).startswith("PJM_API_KEY: ")
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)


def test_nothing_shows_a_value(tmp_path: Path) -> None:
    settings = read_settings(
        dict.fromkeys(SECRETS, CANARY) | {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": CANARY}
    )
    assert len(settings.secrets) == len(SECRETS)
    for each in (settings, settings.secrets, settings.vault, settings.secrets.find("PJM_API_KEY")):
        assert CANARY not in repr(each)


def test_the_readme_names_the_place_of_each_in_vault() -> None:
    told = re.findall(r"^\| `([a-z/]+)` \| (`[a-z_]+`(?:, `[a-z_]+`)*) \|$", README.read_text(), re.MULTILINE)
    places = {(path, field) for path, fields in told for field in re.findall(r"[a-z_]+", fields)}
    assert places == {(each.path, each.field) for each in SECRETS.values()}


# In a spec


def test_a_spec_says_where_secrets_are(tmp_path: Path) -> None:
    text = (
        "dataset: isone_lmp\n"
        "source: {feed: api, secret: vault:iso/isone}\n"
        "sinks:\n"
        "  - {kind: timescale, secret: file:/run/secrets/timescale}\n"
        "  - {kind: kafka, secret: {KAFKA_SASL_PASSWORD: env:BROKER_PASSWORD}}\n"
    )
    loaded = load_spec(spec(tmp_path, text), (), adapters.datasets())
    found = loaded.references(loaded.chosen(adapters.dataset(loaded.dataset)))
    assert {name: str(each) for name, each in found.items()} == {
        "ISONE_API_USERNAME": "vault:iso/isone",
        "ISONE_API_PASSWORD": "vault:iso/isone",
        "TIMESCALE_CONNECTION": "file:/run/secrets/timescale",
        "KAFKA_SASL_PASSWORD": "env:BROKER_PASSWORD",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"dataset: pjm_lmp\nsource: {{secret: {CANARY}}}", "$.source.secret: is not of the form vault:PATH#FIELD"),
        (f"dataset: pjm_lmp\nsource: {{secret: [{CANARY}]}}", "$.source.secret: is not of the form vault:PATH#FIELD"),
        (
            f"dataset: pjm_lmp\nsource: {{secret: {{PJM_API_KEY: {CANARY}}}}}",
            "$.source.secret: PJM_API_KEY is not of the form",
        ),
        (
            f"dataset: pjm_lmp\nsource: {{secret: {{{CANARY}: env:X}}}}",
            "$.source.secret: has a name that is not one of ERCOT_",
        ),
        (
            "dataset: pjm_lmp\nsource: {secret: 'env:not a name'}",
            "$.source.secret: env: is followed by the name of a variable",
        ),
        (
            "dataset: pjm_lmp\nsource: {secret: 'file:here'}",
            "$.source.secret: file: is followed by a path from the root",
        ),
        ("dataset: pjm_lmp\nsource: {secret: 'file:/x#y'}", "$.source.secret: file: has no #field"),
        (
            "dataset: caiso_lmp\nsource: {secret: 'env:X'}",
            "$.source.secret: nothing is needed here; caiso_lmp oasis asks for no",
        ),
        (
            "dataset: isone_lmp\nsource: {feed: api, secret: 'env:X'}",
            "is one secret, and there are several; say which, as",
        ),
        (
            "dataset: caiso_lmp\nsinks: [{kind: iceberg, secret: {PJM_API_KEY: env:X}}]",
            "$.sinks[0].secret.PJM_API_KEY: is not one of AURUM_ICEBERG_URI",
        ),
        (
            "dataset: caiso_lmp\nsinks: [{kind: timescale, secret: env:X}]\ndrain: {sinks: [{kind: timescale, secret: env:Y}]}",
            "$.drain.sinks[0].secret: TIMESCALE_CONNECTION is elsewhere said to be at env:X",
        ),
        (f"dataset: caiso_lmp\nsinks: [{{kind: timescale, password: {CANARY}}}]", "$.sinks[0].password: unknown field"),
    ],
)
def test_what_is_no_reference_is_told_and_never_repeated(text: str, told: str, tmp_path: Path) -> None:
    """Somebody will write the secret itself there."""
    with pytest.raises(SpecError) as caught:
        load_spec(spec(tmp_path, text), (), adapters.datasets())
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)


def test_an_override_does_not_repeat_it_either(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(spec(tmp_path, "dataset: pjm_lmp\n"), [f"source.secret={{{CANARY}"], adapters.datasets())
    assert str(caught.value) == "--set source.secret: what stands there is not readable as YAML"


def test_a_run_takes_the_key_from_where_its_spec_says(tmp_path: Path, simulator: Simulator, settings: Settings) -> None:
    environment = dict(settings.environment)
    (tmp_path / "key").write_text(environment.pop("PJM_API_KEY"))
    path = spec(tmp_path, f"dataset: pjm_lmp\nsource: {{secret: 'file:{tmp_path}/key'}}\n")
    shell = Shell(settings.home, simulator)
    del shell.environment["PJM_API_KEY"]
    document = shell.json("run", path, "--from", "2026-07-14", "--to", "2026-07-15")
    assert (document["outcome"], document["rows"] > 0) == ("done", True)
    (tmp_path / "key").unlink()
    with pytest.raises(SecretError, match=r"^PJM_API_KEY: file:.*key is not there$"):
        prepare(path, Flags(), read_settings(environment))


# A user and a password for a database


@given(
    username=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
)
def test_user_and_password_of_any_letters_reach_the_database_as_they_are(username: str, password: str) -> None:
    """As libpq itself reads the address."""
    from psycopg.conninfo import conninfo_to_dict

    for dsn in (
        "postgresql://someone:else@127.0.0.1:1/x?connect_timeout=1",
        "host=127.0.0.1 user=someone password=else dbname=x",
    ):
        found = conninfo_to_dict(with_login("TIMESCALE_CONNECTION", dsn, username, password))
        assert (found["user"], found["password"], found["host"], found["dbname"]) == (
            username,
            password,
            "127.0.0.1",
            "x",
        )


def test_a_login_is_put_into_an_address_of_either_form(postgres: str) -> None:
    uri = postgres.replace("postgres@", "nobody@", 1)
    place = urlsplit(uri)
    words = f"host={place.hostname} port={place.port} dbname=postgres"
    for dsn in (uri, words):
        with dbapi.connect(with_login("TIMESCALE_CONNECTION", dsn, "postgres", "it's \\ @ any")) as connection:
            with connection.cursor() as cursor:
                cursor.execute("select current_user::text")
                assert cursor.fetchall() == [("postgres",)]


def test_what_is_no_address_is_told_without_it() -> None:
    for dsn in (CANARY, f"postgresql://[{CANARY}"):
        with pytest.raises(SecretError, match=r"^TIMESCALE_CONNECTION: is n") as caught:
            with_login("TIMESCALE_CONNECTION", dsn, "u", "p")
        assert CANARY not in str(caught.value)


# Commands


@pytest.fixture
def shell(settings: Settings, simulator: Simulator) -> Shell:
    found = Shell(settings.home, simulator)
    for name in SECRETS:
        found.environment.pop(name, None)
    return found


def test_check_says_which_are_there_and_where_from(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text(f"postgresql://u:{CANARY}@h/x")
    text = f"dataset: pjm_lmp\nsource: {{secret: env:MY_KEY}}\nsinks: [{{kind: timescale, secret: 'file:{tmp_path}/dsn'}}]\n"
    path = spec(tmp_path, text)
    shell.environment["MY_KEY"] = CANARY
    out = shell("secrets", "check", path, "--json")
    assert CANARY not in out + shell.err
    assert shell.json("secrets", "check", path)["secrets"] == [
        {"spec": str(path), "name": "PJM_API_KEY", "kind": "api key", "needed": True, "state": "present",
         "place": "env:MY_KEY"},
        {"spec": str(path), "name": "TIMESCALE_CONNECTION", "kind": "dsn", "needed": True, "state": "present",
         "place": f"file:{tmp_path}/dsn"},
    ]  # fmt: skip
    del shell.environment["MY_KEY"]
    (failed, present) = shell.json("secrets", "check", path, code=3)["secrets"]
    assert (failed["state"], failed["place"]) == ("failed", "PJM_API_KEY: env:MY_KEY is not set")
    assert present["state"] == "present"


def test_check_knows_what_is_needed(shell: Shell, tmp_path: Path) -> None:
    shell.environment["KAFKA_SECURITY_PROTOCOL"] = "SASL_SSL"
    path = spec(tmp_path, "dataset: caiso_lmp\nsinks: [{kind: kafka}]\n")
    needed = {each["name"] for each in shell.json("secrets", "check", path, code=3)["secrets"] if each["needed"]}
    assert needed == {"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}
    path = spec(tmp_path, "dataset: caiso_lmp\nsinks: [{kind: memory}]\n")
    assert "no secrets are needed" in shell("secrets", "check", path)
    every = shell.json("secrets", "check")["secrets"]
    assert {each["name"] for each in every} == set(SECRETS)
    assert not any(each["needed"] for each in every)


def test_env_runs_a_command_with_the_secrets(settings: Settings, simulator: Simulator, tmp_path: Path) -> None:
    shell = Processes(settings.home, simulator)
    (tmp_path / "key").write_text(CANARY)
    del shell.environment["PJM_API_KEY"]
    path = spec(tmp_path, f"dataset: pjm_lmp\nsource: {{secret: 'file:{tmp_path}/key'}}\n")
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    command = ("sh", "-c", 'echo "$PJM_API_KEY"; umask; exit 7')
    assert shell("secrets", "env", "--spec", path, "--", *command, code=7).split() == [CANARY, "0022"]
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before, "nothing is written to disk"
    assert (
        'aurum-etl: "no-such-command" cannot be run'
        in shell.ended("secrets", "env", "--spec", path, "no-such-command")[2]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("true",), 3, "VAULT_ADDR is not set"),
        (("--only", "PJM_KEY", "true"), 2, '--only: "PJM_KEY" is not one of PJM_API_KEY, '),
        (("--spec", "{spec}", "--only", "PJM_API_KEY", "true"), 3, "PJM_API_KEY (env:PJM_API_KEY is not set)"),
        (("--spec", "{spec}", "true"), 3, "there is no secret to be had"),
    ],
)
def test_env_says_what_it_lacks(arguments: tuple[str, ...], code: int, told: str, shell: Shell, tmp_path: Path) -> None:
    path = str(spec(tmp_path, "dataset: caiso_lmp\n"))
    shell("secrets", "env", *(each.format(spec=path) for each in arguments), code=code)
    assert told in shell.err
