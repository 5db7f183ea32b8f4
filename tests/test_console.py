"""What commands print holds no secret, whatever they are given to print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl.console import Console
from aurum_etl.redaction import know

if TYPE_CHECKING:
    import pytest

SECRET = 'a "canary" of\\the console'


def test_a_document_is_told_without_its_secrets_and_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    know(SECRET, "20260714")
    Console(as_json=True).document(
        {"n": 20260714, "path": Path(f"/a/{SECRET}"), "deep": [{"password": "x", "why": f"not {SECRET}"}], SECRET: None}
    )
    assert json.loads(capsys.readouterr().out) == {
        "n": 20260714,
        "path": "/a/…",
        "deep": [{"password": "…", "why": "not …"}],
        "…": None,
    }


def test_lines_and_tables_are_told_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    know(SECRET)
    console = Console(as_json=False)
    console.line(f"not {SECRET}")
    console.table("title", ("a", "b"), [(SECRET, 1), (f"postgresql://u:{SECRET}@h/db", None)])
    assert capsys.readouterr().out == "not …\na\tb\n…\t1\npostgresql://…@h/db\t\n"
