"""Series drawn in the terminal, or to a PNG. Both need the extra `plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from aurum_etl.errors import SpecError
from aurum_etl.outside import made

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_INSTALL = "pip install 'aurum-etl[plot]'"
_MOST_SERIES = 12


def draw(table: pa.Table, path: Path | None) -> str:
    """A picture of every number against the first time: the text of it, or a note that `path` holds it.

    Shape:  one line per numeric column; where there is exactly one text column of at most twelve words, one per word.
    Raises: SpecError if nothing can be drawn, or the extra is not installed.
    """
    # A sum of whole numbers comes as a decimal, which nobody draws.
    frame = pl.DataFrame(table).with_columns(cs.decimal().cast(pl.Float64))
    instants = frame.select(cs.date() | cs.datetime()).columns
    across = next(iter([*instants, *frame.columns]), None)
    if across is not None:
        frame = frame.filter(pl.col(across).is_not_null())
    numbers = [
        name
        for name in frame.select(cs.numeric()).columns
        if name != across and frame.get_column(name).null_count() < len(frame)
    ]
    if across is None or not numbers:
        raise SpecError(f"--plot: no number to draw in the columns {', '.join(frame.columns)}, or no row")
    measured = across in instants or frame.schema[across].is_numeric()
    # What is not measured (a place, a time of day) has no distance: it stands in the order of the answer.
    frame = frame.sort(across) if measured else frame.with_columns(pl.col(across).cast(pl.String))
    lines = _lines(frame, across, numbers)
    temporal = across in instants
    if path is None:
        return _in_terminal(lines, across, temporal=temporal)
    if path.suffix != ".png":
        raise SpecError(f"--plot {path}: the suffix is not .png")
    _to_png(lines, across, path)
    return f"drawn to {path}"


def _lines(frame: pl.DataFrame, across: str, numbers: list[str]) -> dict[str, pl.DataFrame]:
    words = [
        name
        for name in frame.select(cs.string()).columns
        if name != across and 1 < frame.get_column(name).n_unique() <= _MOST_SERIES
    ]
    if len(words) != 1:
        return {number: frame.select(across, number) for number in numbers}
    word = words[0]
    return {
        f"{value} {number}" if len(numbers) > 1 else str(value): part.select(across, number)
        for (value,), part in frame.group_by(word, maintain_order=True)
        for number in numbers
        if part.get_column(number).null_count() < len(part)
    }


def _in_terminal(lines: dict[str, pl.DataFrame], across: str, *, temporal: bool) -> str:
    try:
        import plotext
    except ImportError as error:
        raise SpecError(f"--plot needs plotext: {_INSTALL}") from error
    plotext.clear_figure()
    plotext.plotsize(100, 25)
    words = list(dict.fromkeys(word for line in lines.values() for word in line.get_column(across).to_list()))
    by_word = {word: place for place, word in enumerate(words, start=1)}
    by_name = next(iter(lines.values())).schema[across] == pl.String
    for name, line in lines.items():
        column = line.get_column(across)
        if temporal:
            column = column.cast(pl.Datetime("ms")).dt.epoch("s")
        places = [by_word[word] for word in column.to_list()] if by_name else column.to_list()
        plotext.plot(places, line.to_series(1).to_list(), label=name, marker="braille")
    if by_name:
        shown = words[:: -(-len(words) // _MOST_SERIES)]
        plotext.xticks([by_word[word] for word in shown], shown)
    if temporal:
        first, last = (edge.cast(pl.Datetime("ms")) for edge in _edges(lines, across))
        ticks = pl.datetime_range(first[0], last[0], (last[0] - first[0]) / 4 or "1h", time_unit="ms", eager=True)
        plotext.xticks(ticks.dt.epoch("s").to_list(), ticks.dt.strftime("%Y-%m-%d %H:%M").to_list())
    return str(plotext.build())


def _edges(lines: dict[str, pl.DataFrame], across: str) -> tuple[pl.Series, pl.Series]:
    column = pl.concat([line.select(across) for line in lines.values()]).get_column(across)
    return pl.Series([column.min()], dtype=column.dtype), pl.Series([column.max()], dtype=column.dtype)


def _to_png(lines: dict[str, pl.DataFrame], across: str, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SpecError(f"--plot {path} needs matplotlib: {_INSTALL}") from error
    figure = Figure(figsize=(11, 5))
    axes = figure.subplots()
    for name, line in lines.items():
        axes.plot(line.get_column(across).to_list(), line.to_series(1).to_list(), label=name, linewidth=1)
    axes.set_xlabel(across)
    axes.legend(loc="best", fontsize="small")
    axes.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    try:
        FigureCanvasAgg(figure)
        with made(path) as partial:
            figure.savefig(partial, format="png")
    except OSError as error:
        raise SpecError(f"--plot {path}: cannot be written: {error.strerror}") from error
