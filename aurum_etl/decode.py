"""Published bytes to typed columns: csv, zip and xml.

Nothing here knows an ISO. Every way in which bytes can be other than they should ends in a typed error that names the
place (`where`: the request or the file), the column and the value.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl
import pyarrow as pa
from isal import isal_zlib

from aurum_etl.dataset import Published
from aurum_etl.errors import SourceChanged, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

WHERE = b"aurum.where"
"""Schema metadata of a record batch: the request or file that it came from."""

_ZIP_MAGIC = b"PK"
_LOCAL_HEADER_BYTES = 30
_INFLATE_ERRORS: Any = (isal_zlib.IsalError, zlib.error)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a published file; a file that is no zip is its own only member."""

    name: str
    content: bytes


def members(path: Path, where: str, max_bytes: int) -> Iterator[Member]:
    """The files inside a zip, one after the other, each inflated while the one before it is being used.

    Raises: SourceUnavailable if the bytes are no whole zip (the next try may bring one); SourceChanged if they would
            inflate to more than `max_bytes`.
    """
    with path.open("rb") as file:
        if file.read(2) != _ZIP_MAGIC:
            raise SourceUnavailable(f"{where}: expected a zip, got {_excerpt(path)}")
        try:
            with zipfile.ZipFile(file) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise SourceUnavailable(f"{where}: the zip is damaged or cut short: {error}") from error
        total = sum(info.file_size for info in infos)
        if total > max_bytes:
            raise SourceChanged(f"{where}: the zip declares {total:,} bytes of content, more than {max_bytes:,}")
        # Inflating releases the interpreter lock, so one thread ahead keeps a second core busy while the first
        # parses; one member ahead and no more keeps memory flat.
        with ThreadPoolExecutor(1, "inflate") as ahead:
            waiting = deque(infos)
            running = ahead.submit(_inflate, file, waiting.popleft(), where) if waiting else None
            while running is not None:
                member = running.result()
                running = ahead.submit(_inflate, file, waiting.popleft(), where) if waiting else None
                yield member


def file_members(path: Path, where: str, max_bytes: int) -> Iterator[Member]:
    """The members of a zip, or the file itself if it is none."""
    with path.open("rb") as file:
        magic = file.read(2)
    if magic == _ZIP_MAGIC:
        yield from members(path, where, max_bytes)
    elif path.stat().st_size > max_bytes:
        raise SourceChanged(f"{where}: {path.stat().st_size:,} bytes are more than {max_bytes:,}")
    else:
        yield Member(path.name, path.read_bytes())


def _inflate(file: BinaryIO, info: zipfile.ZipInfo, where: str) -> Member:
    """Content of one member, its checksum verified.

    The member is inflated in one call by ISA-L, about twice as fast as the standard library's reader.
    """
    damaged = f"{where}: member {info.filename} is damaged"
    if info.flag_bits & 0x1:
        raise SourceChanged(f"{where}: member {info.filename} is encrypted")
    if info.header_offset < 0:
        raise SourceUnavailable(f"{damaged}: bytes are missing in front of it")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise SourceUnavailable(f"{damaged}: no header at byte {info.header_offset}")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    file.seek(name_bytes + extra_bytes, io.SEEK_CUR)
    packed = file.read(info.compress_size)
    if info.compress_type == zipfile.ZIP_STORED:
        content = packed
    elif info.compress_type == zipfile.ZIP_DEFLATED:
        try:
            # A bound on the output: what a lying header hides may not fill the memory.
            inflater = isal_zlib.decompressobj(wbits=-15)
            content = inflater.decompress(packed, info.file_size + 1)
        except _INFLATE_ERRORS as error:
            raise SourceUnavailable(f"{damaged}: {error}") from error
    else:
        raise SourceChanged(f"{where}: member {info.filename} is compressed by method {info.compress_type}")
    if len(content) != info.file_size or isal_zlib.crc32(content) != info.CRC:
        raise SourceUnavailable(f"{damaged}: its checksum or size is not what the zip says")
    return Member(info.filename, content)


def csv(content: bytes, columns: Mapping[str, Published], where: str) -> pa.RecordBatch:
    """The wanted columns of a csv, typed, under the names they were published with.

    Shape:  one row per line after the header; words as dictionaries, numbers as doubles, instants as UTC microseconds.
    Raises: SourceChanged if a column is missing, a number or an instant is none, a word is empty, or a line is cut.
    """
    content = content.removeprefix(_BYTE_ORDER_MARK)
    # Slices of a few bytes only: a copy of a member would cost as much as a tenth of its parsing.
    header_line = content[: content.find(b"\n") + 1] or content
    header = [name.strip().strip('"') for name in header_line.decode("utf-8", "replace").split(",")]
    missing = [name for name in columns if name not in header]
    if missing:
        raise SourceChanged(
            f"{where}: column {', '.join(missing)} is missing; expected {', '.join(columns)}; "
            f"found {_shortened(', '.join(header))}"
        )
    _check_last_line(content, len(header), where)
    # By position, so that blanks around a name, or a name that stands twice, do no harm.
    positions = {f"column_{header.index(name) + 1}": name for name in columns}

    def scan(types: Callable[[Published], pl.DataType]) -> pl.DataFrame:
        schema = {
            at: types(columns[positions[at]]) if at in positions else pl.String()
            for at in (f"column_{number}" for number in range(1, len(header) + 1))
        }
        frame = pl.read_csv(
            content, has_header=False, skip_lines=1, schema=schema, columns=list(positions), truncate_ragged_lines=False
        )
        return frame.rename(positions)

    try:
        frame = scan(lambda kind: pl.Float64() if kind is Published.NUMBER else pl.Categorical())
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise _what_is_no_number(scan, columns, where, error) from error
    return to_batch(typed(frame.select(list(columns)), columns, where), where)


def typed(frame: pl.DataFrame, columns: Mapping[str, Published], where: str) -> pl.DataFrame:
    """The frame with its instants parsed, and each column as whole as it must be.

    Shape:  `frame` has a categorical column per word and instant, and a double per number.
    Raises: SourceChanged if a word or instant is empty, or an instant or number is none.
    """
    for name, kind in columns.items():
        column = frame.get_column(name)
        if kind is Published.NUMBER:
            if not column.is_finite().all():
                bad = column.filter(~column.is_finite()).head(1).to_list()[0]
                raise SourceChanged(f'{where}: column {name} holds "{bad}", which is no number')
            continue
        if column.null_count():
            row = column.is_null().arg_max()
            raise SourceChanged(f"{where}: column {name} is empty in row {(row or 0) + 1}")
        if kind is Published.INSTANT:
            frame = frame.with_columns(_instants(column, where))
    return frame


def looked_up(column: pl.Series, words: pl.Series, values: pl.Series) -> pl.Series:
    """What belongs to each row's word: `values` stand beside `words`, which are the distinct ones of the column.

    A table with one place per category code: each row is one look-up, where a join would build a hash table.
    """
    known = pl.DataFrame({"code": words.to_physical(), "value": values})
    codes = column.to_physical()
    every = known.select(code=pl.int_range(0, pl.col("code").max().fill_null(0) + 1).cast(codes.dtype))
    table = every.join(known, on="code", how="left", maintain_order="left").get_column("value")
    return table.gather(codes).alias(column.name)


def to_batch(frame: pl.DataFrame, where: str) -> pa.RecordBatch:
    """The frame as one Arrow record batch, which carries `where` it came from, so that later errors can say it."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    table = table.replace_schema_metadata({WHERE: where})
    if table.num_rows == 0:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    return table.to_batches()[0]


def xml(content: bytes, where: str) -> Element:
    """Root element of a document.

    Raises: SourceChanged if it is no well-formed xml, or declares a document type: none of the ISOs does, and entities
            can make a small document unfold without end.
    """
    from xml.etree import ElementTree as ET

    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise SourceChanged(f"{where}: the xml declares a document type, which is refused")
    try:
        return ET.fromstring(content)  # noqa: S314 - no document type, so no entity can be declared
    except (ET.ParseError, ValueError, LookupError) as error:
        raise SourceChanged(f"{where}: the xml is not well-formed: {error}") from error


def _instants(column: pl.Series, where: str) -> pl.Series:
    """The column as UTC microseconds; each distinct text is parsed once, since a day has millions of rows and two
    dozen instants.
    """
    distinct = column.unique()
    text = distinct.cast(pl.String)
    # Offsets other than zero would be instants too, but none is documented: a new one is for a person to see.
    instant = text.str.replace(r"(Z|[+-]00:00)$", "").str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False
    )
    if instant.null_count():
        bad = text.filter(instant.is_null())[0]
        raise SourceChanged(f'{where}: column {column.name} holds "{bad}", which is no UTC instant')
    return looked_up(column, distinct, instant.dt.replace_time_zone("UTC"))


def _check_last_line(content: bytes, cells: int, where: str) -> None:
    """A body that was cut ends in the middle of a line; inside a zip the checksum tells, in a bare csv this does."""
    end = len(content)
    while end and content[end - 1] in b"\r\n":
        end -= 1
    last = content[content.rfind(b"\n", 0, end) + 1 : end]
    if b'"' not in last and last.count(b",") + 1 != cells:
        raise SourceChanged(f"{where}: the last line has {last.count(b',') + 1} cells, the header {cells}: cut short?")


def _what_is_no_number(
    scan: Callable[[Callable[[Published], pl.DataType]], pl.DataFrame],
    columns: Mapping[str, Published],
    where: str,
    error: Exception,
) -> SourceChanged:
    """The error that names the cell: the file is read again as text, since the first reading only says that it failed."""
    try:
        text = scan(lambda _: pl.String())
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return SourceChanged(f"{where}: not a readable csv: {_shortened(str(error))}")
    for name, kind in columns.items():
        if kind is Published.NUMBER:
            cells = text.get_column(name)
            bad = cells.filter(cells.is_not_null() & cells.cast(pl.Float64, strict=False).is_null())
            if len(bad):
                return SourceChanged(f'{where}: column {name} holds "{_shortened(bad[0])}", which is no number')
    return SourceChanged(f"{where}: not a readable csv: {_shortened(str(error))}")


def _excerpt(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(160).decode("utf-8", "replace").strip()
    return f'"{_shortened(" ".join(start.split()))}"' if start else "nothing"


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most] + "…"
