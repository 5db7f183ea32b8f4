"""Published bytes to typed columns: csv, json, zip and xml.

Nothing here knows an ISO. Every way in which bytes can be other than they should ends in a typed error that names the
place (`where`: the request or the file), the column and the value.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from json import JSONDecoder, loads
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl
import pyarrow as pa
from isal import isal_zlib

from aurum_etl.dataset import Published
from aurum_etl.errors import SourceChanged, SourceUnavailable, TooLarge
from aurum_etl.redaction import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from aurum_etl.dataset import Report

WHERE = b"aurum.where"
"""Schema metadata of a record batch: the request or file that it came from."""
DRIFT = b"aurum.drift"
"""Schema metadata of a record batch: columns that were found under another name than the documented one, by lines."""

_ZIP_MAGIC = b"PK"
_NO_ROW = re.compile(rb"(?m)^[ \t,]*(?:\r?\n|\Z)")
_GZIP_MAGIC = b"\x1f\x8b"
_LOCAL_HEADER_BYTES = 30
_WORTH_A_THREAD_BYTES = 1024 * 1024
_INFLATE_ERRORS: Any = (isal_zlib.IsalError, zlib.error)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OPENING = re.compile(rb"\s*\[\s*(?=\{)")
_CLOSING = re.compile(rb"\}\s*\]")
_CLOSINGS = 8
"""Behind the list that is read there may be others, but not many."""
_FIRST_OBJECT_BYTES = _LAST_BYTES = 65_536
_PIECE_BYTES = 1024 * 1024
"""Of a long list of objects so much is read at once: what the parser makes of it stays in the cache of a processor."""
_LOOKED_AT = 4096
"""How many bytes of what is no answer are looked at for its first words."""
_LIMIT = "AURUM_RESPONSE_MAX_MB"
_HARMLESS_BYTES = 64 * 1024 * 1024
_MOST_TIMES = 300
"""No member of more than `_HARMLESS_BYTES` inflates to so many times its size: published tables become 10 to 60 times as
large, and what is nothing but a repetition 1,000 times."""
_LIST_BYTES = 16 * 1024 * 1024
"""The list of a zip's members may be so long, and takes ten times as much memory: a year in files of five minutes has 10 MB."""
_MOST_COLUMNS = 20_000
"""Columns of a csv, or of objects: every place of the largest market in a column of its own, and more."""
_MOST_LEVELS = 32
"""Objects and lists inside each other, or as many more whose ends do not come; none of the ISOs has more than seven."""
_BRACKETS = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a published file; a file that is no zip is its own only member."""

    name: str
    content: bytes


def members(path: Path, where: str, max_bytes: int) -> Iterator[Member]:
    """The files inside a zip, one after the other, each inflated while the one before it is being used.

    Raises: SourceUnavailable if the bytes are no whole zip (the next try may bring one); TooLarge if they would
            inflate to more than `max_bytes`; SourceChanged if they are made to be more than they look like.
    """
    with path.open("rb") as file:
        if file.read(2) != _ZIP_MAGIC:
            raise SourceUnavailable(f"{where}: expected a zip, got {_excerpt(path)}")
        infos = _listed(file, where, max_bytes)
        if max(info.file_size for info in infos) < _WORTH_A_THREAD_BYTES:
            for info in infos:
                yield _inflate(file, info, where)
            return
        # Inflating releases the interpreter lock, so one thread ahead keeps a second core busy while the first
        # parses; one member ahead and no more keeps memory flat.
        with ThreadPoolExecutor(1, "inflate") as ahead:
            waiting = deque(infos)
            running: Future[Member] | None = ahead.submit(_inflate, file, waiting.popleft(), where)
            while running is not None:
                member = running.result()
                running = ahead.submit(_inflate, file, waiting.popleft(), where) if waiting else None
                yield member


def inner_members(member: Member, where: str, max_bytes: int) -> Iterator[Member]:
    """The files inside a member that is a zip itself; the member as it is where it is none.

    Raises: as `members`.
    """
    if not member.content.startswith(_ZIP_MAGIC):
        yield member
        return
    inside = f"{where}: {_named(member.name)}"
    file = io.BytesIO(member.content)
    for info in _listed(file, inside, max_bytes):
        yield _inflate(file, info, inside)


def _listed(file: BinaryIO, where: str, max_bytes: int) -> list[zipfile.ZipInfo]:
    """What a zip says that is in it."""
    try:
        with zipfile.ZipFile(_Listed(file, where)) as archive:
            infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise SourceUnavailable(f"{where}: the zip is damaged or cut short: {error}") from error
    if not infos:
        raise SourceUnavailable(f"{where}: the zip has no member")
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise TooLarge(f"{where}: the zip declares {total:,} bytes of content, more than {max_bytes:,} ({_LIMIT})")
    _demand_honest(infos, file.seek(0, io.SEEK_END), where)
    return infos


class _Listed(io.BufferedIOBase):
    """A zip of which no long list can be read at once."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self._where = where

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LIST_BYTES:
            raise SourceChanged(
                f"{self._where}: the zip's list of members has {size:,} bytes, more than {_LIST_BYTES:,}"
            )
        return self._file.read(-1 if size is None else size)


def _demand_honest(infos: Sequence[zipfile.ZipInfo], size: int, where: str) -> None:
    """Refuse members that share bytes, or inflate to what no table does: both are made to fill a disk or a memory.

    Raises: SourceChanged, since asking for less would bring no better; SourceUnavailable if one ends behind the zip.
    """
    end, before = 0, ""
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise SourceChanged(f"{where}: members {_named(before)} and {_named(info.filename)} of the zip overlap")
        end, before = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size, info.filename
        if end > size:
            raise SourceUnavailable(f"{where}: member {_named(before)} is damaged: it is longer than the whole zip")
        if info.file_size > _HARMLESS_BYTES:
            _demand_likely(info.compress_size, info.file_size, f"{where}: member {_named(before)}")


def _demand_likely(packed: int, inflated: int, what: str) -> None:
    if inflated > max(_HARMLESS_BYTES, _MOST_TIMES * packed):
        raise SourceChanged(
            f"{what} inflates from {packed:,} bytes to {inflated:,}, more than {_MOST_TIMES} times as many"
        )


def _named(name: str) -> str:
    """A member's name for a message: it comes from outside."""
    return start_of(name if name.isprintable() else repr(name), 120)


def file_members(path: Path, where: str, max_bytes: int) -> Iterator[Member]:
    """The members of a zip, what is in a gzip, or the file itself if it is neither.

    Raises: as `members`.
    """
    with path.open("rb") as file:
        magic = file.read(2)
    if magic == _ZIP_MAGIC:
        yield from members(path, where, max_bytes)
    elif magic == _GZIP_MAGIC:
        _demand_size(path, where, max_bytes)
        yield Member(path.name.removesuffix(".gz"), _gunzipped(path.read_bytes(), where, max_bytes))
    else:
        _demand_size(path, where, max_bytes)
        yield Member(path.name, path.read_bytes())


def _demand_size(path: Path, where: str, max_bytes: int) -> None:
    if (size := path.stat().st_size) > max_bytes:
        raise TooLarge(f"{where}: {size:,} bytes are more than {max_bytes:,} ({_LIMIT})")


def whole(path: Path, where: str, max_bytes: int) -> bytes:
    """A small answer that is no zip, without a byte order mark.

    Raises: TooLarge if it is no small one; SourceUnavailable if it is empty.
    """
    _demand_size(path, where, max_bytes)
    content = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    if not content.strip():
        raise SourceUnavailable(f"{where}: an empty body instead of data")
    return content


def _gunzipped(content: bytes, where: str, max_bytes: int) -> bytes:
    inflater = isal_zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    size, left = 0, content
    try:
        # In steps, since it does not say beforehand how much it is.
        while left and not inflater.eof:
            pieces.append(inflater.decompress(left, _HARMLESS_BYTES))
            left, size = inflater.unconsumed_tail, size + len(pieces[-1])
            if size > max_bytes:
                raise TooLarge(f"{where}: the gzip inflates to more than {max_bytes:,} bytes ({_LIMIT})")
            _demand_likely(len(content) - len(left), size, f"{where}: the gzip")
    except _INFLATE_ERRORS as error:
        raise SourceUnavailable(f"{where}: the gzip is damaged: {error}") from error
    if not inflater.eof:
        raise SourceUnavailable(f"{where}: the gzip is cut short")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _inflate(file: BinaryIO, info: zipfile.ZipInfo, where: str) -> Member:
    """Content of one member, its checksum verified.

    The member is inflated in one call by ISA-L, about twice as fast as the standard library's reader.
    """

    def damaged(how: str) -> SourceUnavailable:
        return SourceUnavailable(f"{where}: member {_named(info.filename)} is damaged: {how}")

    if info.flag_bits & 0x1:
        raise SourceChanged(f"{where}: member {_named(info.filename)} is encrypted")
    if info.header_offset < 0:
        raise damaged("bytes are missing in front of it")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise damaged(f"no header at byte {info.header_offset}")
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
            raise damaged(str(error)) from error
    else:
        raise SourceChanged(f"{where}: member {_named(info.filename)} is compressed by method {info.compress_type}")
    if len(content) != info.file_size or isal_zlib.crc32(content) != info.CRC:
        raise damaged("its checksum or size is not what the zip says")
    return Member(info.filename, content)


def csv(content: bytes, report: Report, where: str, header: Sequence[str] | None = None) -> pa.RecordBatch:
    """The columns of a csv that the report has, typed, under the names they were published with, or those of `header`, which
    then are read in the place of its first line.

    Shape:  one row per line after the header; words as dictionaries, numbers as doubles, instants as UTC microseconds.
    Raises: SourceChanged if a column is missing, a number or an instant is none, a word is empty, or a line is cut.
    """
    content = content.removeprefix(BYTE_ORDER_MARK)
    try:
        return _csv(content, report, where, header)
    except SourceChanged:
        # Lines of nothing, or of commas alone, are no rows, and read as rows they lack a word. To look for them first
        # would take a third of the time that reading takes, and hardly a file has any.
        without = _NO_ROW.sub(b"", content)
        if len(without) == len(content):
            raise
    return _csv(without, report, where, header)


def _csv(content: bytes, report: Report, where: str, header: Sequence[str] | None) -> pa.RecordBatch:
    # Slices of a few bytes only: a copy of a member would cost as much as a tenth of its parsing.
    header_line = content[: content.find(b"\n") + 1] or content
    _demand_columns(header_line.count(b",") + 1, where)
    header = header or names_of(header_line)
    found = _columns(header, report, where)
    _check_last_line(content, len(header), where)
    # By position, so that blanks around a name, or a name that stands twice, do no harm.
    positions = {f"column_{header.index(published) + 1}": name for name, published in found.names.items()}

    def scan(types: Callable[[Published], pl.DataType]) -> pl.DataFrame:
        schema = {
            at: types(found.types[positions[at]]) if at in positions else pl.String()
            for at in (f"column_{number}" for number in range(1, len(header) + 1))
        }
        frame = pl.read_csv(
            content, has_header=False, skip_lines=1, schema=schema, columns=list(positions), truncate_ragged_lines=False
        )
        return frame.rename(positions)

    try:
        frame = scan(lambda kind: pl.Float64() if kind is Published.NUMBER else pl.Categorical())
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        frame = _read_as_text(scan, found.types, where, error)
    return found.batch(frame, where)


def _demand_columns(number: int, where: str) -> None:
    if number > _MOST_COLUMNS:
        raise SourceChanged(f"{where}: {number:,} columns, more than {_MOST_COLUMNS:,}")


def records(frame: pl.DataFrame, report: Report, where: str) -> pa.RecordBatch:
    """The same for rows that came in another form, such as json: columns of text, words, numbers or truth values.

    Raises: as `csv`.
    """
    found = _columns(frame.columns, report, where)
    columns = []
    for name, published in found.names.items():
        column = frame.get_column(published).alias(name)
        if found.types[name] is Published.NUMBER:
            columns.append(_number(column, where))
        else:
            words = column if column.dtype in (pl.String, pl.Categorical) else column.cast(pl.String)
            columns.append(words.cast(pl.Categorical))
    return found.batch(pl.DataFrame(columns), where)


def json(content: bytes, where: str) -> Any:
    """The document of a small answer, or of one that is nested in a way that no table is.

    Raises: SourceUnavailable if it is cut short or html; SourceChanged if it is no json otherwise.
    """
    try:
        return loads(content)
    except (ValueError, RecursionError) as error:
        raise _no_json(content, where, str(error)) from error


def json_records(content: bytes, path: tuple[str, ...], where: str, report: Report | None = None) -> pl.DataFrame:
    """The objects at that path of a json document as a frame; nested objects are columns `Outer.inner`.

    A list, a single object in place of a list of one, a single object under the last name where the names before it are
    missing, and a bare list in place of the whole document are all the same rows. An empty object is no row.

    Shape:  one row per object, columns as json has them; no column at all where there is no object. Where the `report` is
            told, columns that it does not read may be missing.
    Raises: as `json`; SourceChanged if something else stands there.
    """
    if content.strip() in (b"", b"{}", b"[]"):
        return pl.DataFrame()
    try:
        if report is not None and (rows := _declared(content, path, report, where)) is not None:
            return rows
        return _found_out(content, path, where)
    except pl.exceptions.DuplicateError as error:
        raise SourceUnavailable(f"{where}: the json is damaged: {start_of(str(error))}") from error


def _found_out(content: bytes, path: tuple[str, ...], where: str) -> pl.DataFrame:
    """The objects by the types that they turn out to have."""
    _demand_plain(content, where)
    try:
        document = pl.read_json(io.BytesIO(content), infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError):
        # Polars cannot read what has no field anywhere, which is how "nothing" is often said.
        return _small_records(json(content, where), path, where)
    if content.lstrip()[:1] == b"[":
        return _flat(document)
    if not set(path) & set(document.columns):
        raise SourceChanged(f"{where}: expected {'.'.join(path)}; found {start_of(', '.join(document.columns))}")
    for name in path:
        if name not in document.columns:
            continue
        inside = document.get_column(name)
        if isinstance(inside.dtype, pl.List):
            inside = inside.explode().drop_nulls()
        if not isinstance(inside.dtype, pl.Struct):
            return _small_records(json(content, where), path, where)
        document = inside.struct.unnest()
    # Objects without a field are no rows.
    return _flat(document) if document.width else pl.DataFrame()


def _demand_plain(content: bytes, where: str) -> None:
    """Refuse a document whose types would take more memory than its values: each level of nesting is copied into all those
    around it, and each name is a column of all objects.

    Raises: SourceChanged.
    """
    if b"\0" in content:
        raise SourceChanged(f"{where}: the json has NUL bytes in it, and is no UTF-8")
    if content.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] not in (b"{", b"["):
        return
    bare = re.sub(rb"\\.", b"", content, flags=re.DOTALL) if b"\\" in content else content
    brackets = bare.translate(_BRACKETS, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = re.sub(rb'"[^"]*"', b"", brackets)
    for _ in range(_MOST_LEVELS):
        brackets = brackets.replace(b"{}", b"")
    if len(brackets) > _MOST_LEVELS:
        raise SourceChanged(f"{where}: the json is nested more than {_MOST_LEVELS} levels deep, or does not end")
    names = pl.Series([bare.decode("utf-8", "replace")]).str.extract_all(r'"[^"]*"\s*:').explode().n_unique()
    _demand_columns(names, where)


def _declared(content: bytes, path: tuple[str, ...], report: Report, where: str) -> pl.DataFrame | None:
    """The objects of a list by the types that the report has for them; None where they are not as it says.

    To find types out takes as long as reading does, and what nobody reads need not be kept. The names are those of the
    first object, so that a missing column is not taken for an empty one.
    """
    span = _list_of_objects(content, path)
    if span is None:
        return None
    try:
        start = content[span.start : span.start + _FIRST_OBJECT_BYTES].decode("utf-8", "replace")
        first, _ = JSONDecoder().raw_decode(start)
        nested = {outer: value for outer, value in first.items() if isinstance(value, dict)}
        columns = {name: pl.col(name) for name in first if name not in nested}
        for outer, value in nested.items():
            columns |= {f"{outer}.{name}": pl.col(outer).struct.field(name) for name in value}
        found = _columns(list(columns), report, where)
    except (ValueError, RecursionError, SourceChanged):
        return None
    numbers = {published for name, published in found.names.items() if found.types[name] is Published.NUMBER}
    kinds = {name: pl.Float64() if name in numbers else pl.String() for name in columns if name in found.names.values()}
    fields: dict[str, pl.DataType] = {name: kinds[name] for name in first if name in kinds}
    for outer, value in nested.items():
        inner = {name: kinds[f"{outer}.{name}"] for name in value if f"{outer}.{name}" in kinds}
        fields |= {outer: pl.Struct(inner)} if inner else {}
    told = [columns[name].cast(kind if name in numbers else pl.Categorical).alias(name) for name, kind in kinds.items()]

    def read(piece: range) -> pl.DataFrame:
        objects = b"".join((b"[", memoryview(content)[piece.start : piece.stop], b"]"))
        return pl.read_json(io.BytesIO(objects), schema=fields).select(told)

    try:
        # Reading releases the interpreter lock.
        with ThreadPoolExecutor(pl.thread_pool_size(), "json") as readers:
            return pl.concat(readers.map(read, _pieces(content, span)))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError):
        return None


def _list_of_objects(content: bytes, path: tuple[str, ...]) -> range | None:
    """Where the objects of the list at that path stand, or of the list that is the whole document; None where that cannot be
    told.

    The rest is json if it is with a number in the place of the list, and the list stands at the path if that number does.
    """
    opening = _OPENING.match(content)
    names = path if opening is None else ()
    if opening is None:
        named = re.compile(rb'"%s"\s*:%s' % (re.escape(path[-1].encode()), _OPENING.pattern))
        opening = named.search(content, 0, _FIRST_OBJECT_BYTES)
    if opening is None:
        return None
    before = content[: content.rindex(b"[", 0, opening.end())]
    edge = max(opening.end(), len(content) - _LAST_BYTES)
    for closing in list(_CLOSING.finditer(content, edge))[: -_CLOSINGS - 1 : -1]:
        after = content[closing.end() :]
        try:
            found = [_at(names, loads(before + number + after)) for number in (b"1", b"2")]
        except (ValueError, RecursionError):
            continue
        if found == [1, 2]:
            return range(opening.end(), closing.start() + 1)
    return None


def _at(path: tuple[str, ...], document: Any) -> Any:
    """What stands at the path; None where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _pieces(content: bytes, span: range) -> Iterator[range]:
    """The span in pieces, each between two objects.

    Brackets and commas stand in texts and inside objects as well. But what ends there is no whole list of objects: where
    each of the pieces is one, all of them are the objects of the one list.
    """
    size = len(span) // (1 + len(span) // _PIECE_BYTES)
    start = span.start
    while start < span.stop:
        end = content.find(b"},{", start + size, span.stop) + 1 or span.stop
        yield range(start, end)
        start = end + 1


def _small_records(document: Any, path: tuple[str, ...], where: str) -> pl.DataFrame:
    """The same by way of Python objects, for documents that hold next to nothing."""
    for name in path:
        if isinstance(document, dict) and name in document:
            document = document[name]
    if document in ("", {}, [], None):
        return pl.DataFrame()
    records = [document] if isinstance(document, dict) else document
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise SourceChanged(f"{where}: {'.'.join(path)} holds no objects: {start_of(repr(document))}")
    try:
        return _flat(pl.DataFrame(records, infer_schema_length=None))
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise SourceChanged(f"{where}: the objects are not alike: {start_of(str(error))}") from error


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Struct):
            inner = frame.get_column(name).struct.unnest()
            frame = frame.drop(name).hstack(inner.rename({each: f"{name}.{each}" for each in inner.columns}))
    return frame


def _no_json(content: bytes, where: str, reason: str) -> SourceUnavailable | SourceChanged:
    start = content.lstrip()[:64].lower()
    if start.startswith(b"<"):
        return SourceUnavailable(f"{where}: an html page instead of data: {_words_of_html(content)}")
    if start[:1] in (b"{", b"["):
        return SourceUnavailable(f"{where}: the json is damaged or cut short: {start_of(reason)}")
    return SourceChanged(
        f"{where}: expected json, got {start_of(content[:_LOOKED_AT].decode('utf-8', 'replace'), 160)!r}"
    )


def demand_no_html(content: bytes, where: str) -> None:
    """Refuse an html page where data was asked for: most often it says that the service is down.

    Raises: SourceUnavailable with the words of the page.
    """
    if content.lstrip()[:1] == b"<" and b"<html" in content[:1024].lower():
        raise SourceUnavailable(f"{where}: an html page instead of data: {_words_of_html(content)}")


def _words_of_html(content: bytes) -> str:
    words = re.sub(rb"<[^>]*>", b" ", content[:_LOOKED_AT]).decode("utf-8", "replace").split()
    return start_of(" ".join(words), 200)


@dataclass(frozen=True, slots=True)
class _Found:
    """Where the report's columns are."""

    names: Mapping[str, str]
    """Documented name to published name."""
    types: Mapping[str, Published]
    absent: Mapping[str, Published]
    """Optional columns that are not there."""
    drift: tuple[str, ...]

    def batch(self, frame: pl.DataFrame, where: str) -> pa.RecordBatch:
        """The frame typed, with nulls for what is absent."""
        frame = typed(frame.select(list(self.names)), self.types, where)
        empty = {name: _EMPTY[kind] for name, kind in self.absent.items()}
        frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in empty.items())
        return to_batch(frame, where, self.drift)


_EMPTY: dict[Published, pl.DataType] = {
    Published.WORD: pl.Categorical(),
    Published.TEXT: pl.Categorical(),
    Published.NUMBER: pl.Float64(),
    Published.INSTANT: pl.Datetime("us", "UTC"),
    Published.UTC: pl.Datetime("us", "UTC"),
    Published.WALL_CLOCK: pl.Datetime("us"),
}


def empty(report: Report) -> pl.DataFrame:
    """No rows, in the report's published shape."""
    return pl.DataFrame(schema={name: _EMPTY[kind] for name, kind in report.published.items()})


def _columns(header: Sequence[str], report: Report, where: str) -> _Found:
    """Where each of the report's columns stands under which name.

    Case, blanks and underscores do not matter, since the same ISO writes them one way today and another tomorrow; a name
    of the alias table is taken, and told as drift.
    """
    plain = {plain_name(name): name for name in reversed(header)}
    aliases: dict[str, list[str]] = {}
    for alias, name in report.aliases.items():
        aliases.setdefault(name, []).append(alias)
    names, drift, missing, absent = {}, [], [], {}
    for name, kind in report.published.items():
        published = name if name in header else plain.get(plain_name(name))
        if published is None:
            published = next(
                (plain[plain_name(each)] for each in aliases.get(name, ()) if plain_name(each) in plain), None
            )
            if published is not None:
                drift.append(f"{name} is called {published}")
        if published is not None:
            names[name] = published
        elif name in report.optional:
            absent[name] = kind
        else:
            missing.append(name)
    if missing:
        raise SourceChanged(
            f"{where}: column {', '.join(missing)} is missing; expected {', '.join(report.published)}; "
            f"found {start_of(', '.join(header))}"
        )
    types = {name: report.published[name] for name in names}
    if report.spread is not None and report.spread.others:
        known = {plain_name(each) for each in (*names.values(), *report.ignored)}
        for name in header:
            if name and plain_name(name) not in known:
                names[name], types[name] = name, Published.NUMBER
    return _Found(names, types, absent, tuple(drift))


def names_of(line: bytes) -> list[str]:
    """The names in the header line of a csv, without blanks and quotes around them."""
    return [name.strip().strip('"').strip() for name in line.decode("utf-8", "replace").split(",")]


def plain_name(name: str) -> str:
    """A name without what the same ISO writes one way today and another tomorrow: case, blanks and underscores."""
    return name.replace(" ", "").replace("_", "").casefold()


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
        if kind is Published.TEXT:
            continue
        # Quotes with nothing between them are no word either.
        if column.null_count() or (column == "").any():
            row = (column.is_null() | (column == "")).arg_max()
            raise SourceChanged(f"{where}: column {name} is empty in row {(row or 0) + 1}")
        if kind is not Published.WORD:
            frame = frame.with_columns(_instants(column, kind, where))
    return frame


def distinct_of(column: pl.Series) -> pl.Series:
    """The distinct words of a categorical column, in no order.

    A table with one place per category code holds a row of each word, and so nothing is hashed. Often a file has the same
    word in all of its rows.
    """
    if column.is_empty() or column.null_count():
        return column.unique()
    codes = column.to_physical()
    least, most = codes.to_frame().select(least=pl.first().min(), most=pl.first().max()).row(0)
    if least == most:
        return column.head(1)
    rows = pl.repeat(None, most + 1, dtype=pl.UInt32, eager=True)
    return column.gather(rows.scatter(codes, pl.int_range(len(codes), dtype=pl.UInt32, eager=True)).drop_nulls())


def looked_up(column: pl.Series, words: pl.Series, values: pl.Series) -> pl.Series:
    """What belongs to each row's word: `values` stand beside `words`, which are the distinct ones of the column.

    A table with one place per category code: each row is one look-up, where a join would build a hash table.
    """
    if words.is_empty():
        return pl.repeat(None, len(column), dtype=values.dtype, eager=True).alias(column.name)
    codes = words.to_physical()
    codes_there_can_be = codes.to_frame().select(pl.first().max()).item() + 1
    places = pl.repeat(None, codes_there_can_be, dtype=pl.UInt32, eager=True)
    places = places.scatter(codes, pl.int_range(len(words), dtype=pl.UInt32, eager=True))
    return values.gather(places).gather(column.to_physical()).alias(column.name)


def to_batch(frame: pl.DataFrame, where: str, drift: tuple[str, ...] = ()) -> pa.RecordBatch:
    """The frame as one Arrow record batch, which carries `where` it came from, so that later errors can say it."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    table = table.replace_schema_metadata({WHERE: where, DRIFT: "\n".join(drift)})
    if table.num_rows == 0:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    return table.to_batches()[0]


def drift_of(batch: pa.RecordBatch) -> tuple[str, ...]:
    """The columns of a batch that were found under another name than the documented one, as `to_batch` was told."""
    return tuple(filter(None, (batch.schema.metadata or {}).get(DRIFT, b"").decode().split("\n")))


def xml(content: bytes, where: str) -> Element:
    """Root element of a document.

    Raises: SourceChanged if it is no well-formed xml, or declares a document type: none of the ISOs does, and entities
            can make a small document unfold without end.
    """
    from xml.etree import ElementTree as ET

    class Builder(ET.TreeBuilder):
        # The parser tells, and not a search for the word: in UTF-16 its bytes are others.
        def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
            raise SourceChanged(f"{where}: the xml declares a document type, {_named(name)}, which is refused")

    try:
        return ET.fromstring(content, ET.XMLParser(target=Builder()))  # noqa: S314 - no document type, so no entity
    except (ET.ParseError, ValueError, LookupError) as error:
        raise SourceChanged(f"{where}: the xml is not well-formed: {error}") from error


_WALL_CLOCK_FORMS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
"""How ISOs write a date and a time of day; digits may lack their leading zeros. A bare date is its midnight."""


def _instants(column: pl.Series, kind: Published, where: str) -> pl.Series:
    """The column as microseconds; each distinct text is parsed once, since a day has millions of rows and two dozen
    instants.
    """
    distinct = distinct_of(column)
    text = distinct.cast(pl.String).str.strip_chars()
    if kind is Published.INSTANT:
        # "-0000" is written by some for UTC, and a colon is left out by others.
        parts = text.str.replace("Z$", "+00:00").str.replace(r"([+-]\d\d):?(\d\d)$", "${1}${2}").str.replace(" ", "T")
        instant = parts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False, time_zone="UTC")
    else:
        instant = _wall_clock(text)
        if kind is Published.UTC:
            bare = text.str.replace(r"(Z|[+-]00:?00)$", "")
            instant = (instant if instant.null_count() == 0 else _wall_clock(bare)).dt.replace_time_zone("UTC")
    if instant.null_count():
        bad = text.filter(instant.is_null())[0]
        what = "wall-clock time" if kind is Published.WALL_CLOCK else "UTC instant"
        raise SourceChanged(f'{where}: column {column.name} holds "{bad}", which is no {what}')
    return looked_up(column, distinct, instant)


def _wall_clock(text: pl.Series) -> pl.Series:
    """Dates and times of day, in whichever of the known forms each is written."""
    found = pl.repeat(None, len(text), dtype=pl.Datetime("us"), eager=True)
    # A year of two digits would be one of the first century (SPP's load before 2015: `1/1/11 7:00`).
    text = text.str.replace(r"^(\d{1,2}/\d{1,2}/)(\d\d)(?:\b)", "${1}20${2}")
    for form in _WALL_CLOCK_FORMS:
        if found.null_count() == 0:
            break
        found = pl.select(pl.coalesce(found, text.str.to_datetime(form, time_unit="us", strict=False))).to_series()
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d"):
        if found.null_count() == 0:
            break
        dates = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
        found = pl.select(pl.coalesce(found, dates)).to_series()
    return found


def _number(column: pl.Series, where: str) -> pl.Series:
    """The column as doubles; text that is one, with blanks around it, is taken."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64)
    text = column.str.strip_chars()
    text = pl.select(pl.when(text != "").then(text)).to_series().alias(column.name)
    number = text.cast(pl.Float64, strict=False)
    bad = text.filter(text.is_not_null() & number.is_null())
    if len(bad):
        raise SourceChanged(f'{where}: column {column.name} holds "{start_of(bad[0])}", which is no number')
    return number


def _check_last_line(content: bytes, cells: int, where: str) -> None:
    """A body that was cut ends in the middle of a line; inside a zip the checksum tells, in a bare csv this does."""
    end = len(content)
    while end and content[end - 1] in b"\r\n":
        end -= 1
    last = content[content.rfind(b"\n", 0, end) + 1 : end]
    if b'"' not in last and last.count(b",") + 1 != cells:
        raise SourceChanged(f"{where}: the last line has {last.count(b',') + 1} cells, the header {cells}: cut short?")


def _read_as_text(
    scan: Callable[[Callable[[Published], pl.DataType]], pl.DataFrame],
    columns: Mapping[str, Published],
    where: str,
    error: Exception,
) -> pl.DataFrame:
    """The file read again as text, since the first reading only says that it failed: numbers with blanks around them
    are taken, and anything else is named by its cell.
    """
    try:
        text = scan(lambda _: pl.String())
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        raise SourceChanged(f"{where}: not a readable csv: {start_of(str(error))}") from error
    found = []
    for name, kind in columns.items():
        column = text.get_column(name)
        found.append(_number(column, where) if kind is Published.NUMBER else column.cast(pl.Categorical))
    return pl.DataFrame(found)


def _excerpt(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT).decode("utf-8", "replace").strip()
    return f'"{start_of(" ".join(start.split()), 160)}"' if start else "nothing"
