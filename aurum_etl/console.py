"""What commands print: tables for people, plain lines when piped, one JSON document with `--json`."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurum_etl.redaction import hidden_in, redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that do something, but for the end of a line and the tab; also those that turn the direction of writing."""


@dataclass(frozen=True, slots=True)
class Console:
    """Where results go: standard output. Logs and progress go to standard error."""

    as_json: bool

    def document(self, document: object) -> None:
        """The command's one JSON document; nothing where JSON was not asked for."""
        if self.as_json:
            text = _as_json(document)
            # Few documents hold a secret, and some a million rows: only where there is one, it is looked for in each value.
            click.echo(text if redacted(text) == text else _as_json(hidden_in(json.loads(text))))

    def line(self, text: str) -> None:
        """A line for people; nothing where JSON was asked for."""
        if not self.as_json:
            click.echo(printable(redacted(text)))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people: ruled on a terminal, tab separated when piped."""
        if self.as_json:
            return
        cells = [["" if cell is None else printable(redacted(str(cell))) for cell in row] for row in rows]
        if not sys.stdout.isatty():
            for row in [list(header), *cells]:
                click.echo("\t".join(row))
            return
        from rich.console import Console as Rich
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for name in header:
            table.add_column(name, overflow="fold")
        for row in cells:
            table.add_row(*(escape(cell) for cell in row))
        Rich().print(table)

    def drawing(self, lines: Sequence[str], drawn: Callable[[int], Sequence[Text]]) -> None:
        """A picture for people: `drawn` for the terminal's width, plain `lines` when piped."""
        if self.as_json:
            return
        if not sys.stdout.isatty():
            for line in lines:
                click.echo(line)
            return
        from rich.console import Console as Rich

        terminal = Rich(highlight=False)
        for text in drawn(terminal.width):
            terminal.print(text)

    def busy(self, what: str) -> AbstractContextManager[object]:
        """A sign of life on standard error for what may take longer than a second and has no measure."""
        if not sys.stderr.isatty() or self.as_json:
            return nullcontext()
        from rich.console import Console as Rich

        return Rich(stderr=True).status(what)


def _as_json(document: object) -> str:
    return json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False)


def printable(text: str) -> str:
    """The text without what would change the terminal that it is printed on: names and words of others may be in it."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _plain(value: object) -> object:
    """What JSON has no type for."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
