"""What commands print: tables for people, plain lines when piped, one JSON document with `--json`."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from aurum_etl.chunk import Chunk
    from aurum_etl.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Console:
    """Where results go: standard output. Logs and progress go to standard error."""

    as_json: bool

    def document(self, document: object) -> None:
        """The command's one JSON document; nothing where JSON was not asked for."""
        if self.as_json:
            click.echo(json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False))

    def line(self, text: str) -> None:
        """A line for people; nothing where JSON was asked for."""
        if not self.as_json:
            click.echo(text)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people: ruled on a terminal, tab separated when piped."""
        if self.as_json:
            return
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
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

    def busy(self, what: str) -> AbstractContextManager[object]:
        """A sign of life on standard error for what may take longer than a second and has no measure."""
        if not sys.stderr.isatty() or self.as_json:
            return nullcontext()
        from rich.console import Console as Rich

        return Rich(stderr=True).status(what)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Seen]:
        """A bar on standard error while chunks are worked on; plain log lines do where there is no terminal."""
        if not sys.stderr.isatty() or self.as_json:
            yield Seen(lambda _: None)
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total or None, rows=0)
            rows = 0

            def advance(receipt: Receipt) -> None:
                nonlocal rows
                rows += receipt.rows_committed
                bar.update(task, advance=1, rows=rows)

            yield Seen(advance)


class Seen:
    """What hears of chunks while they are worked on."""

    def __init__(self, ended: Callable[[Receipt], None]) -> None:
        self._ended = ended

    def begun(self, chunk: Chunk) -> None:
        """See `Watcher`."""

    def ended(self, receipt: Receipt, _again_in: float | None) -> None:
        """See `Watcher`."""
        self._ended(receipt)

    def state(self, text: str) -> None:
        """See `Watcher`."""


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
