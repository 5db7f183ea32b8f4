"""Avro by column: Arrow tables to messages and back, without a Python object per row.

An Avro record is its fields one after the other, so a table of records is its columns' encodings joined row by row.
Reading goes the other way: a position per message moves on from field to field, for all messages at once.

Source: Apache Avro 1.12 specification, "Binary Encoding"; Confluent wire format (a zero, the schema's id in four bytes, the
record).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from aurum_etl.avro.alike import read_alike
from aurum_etl.avro.wire import GROUP_BITS, HEADER_BYTES, INT_LIMIT, SLACK, name_of
from aurum_etl.contracts import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aurum_etl.contracts import Column, Contract

_NULL, _VALUE = b"\x00", b"\x02"
"""The branches of a union of null and a type."""
_LONGEST_VARINT = 10
_SHORT = 1024
_FEW = 128


def header(schema_id: int) -> bytes:
    """What stands before every record under a registry."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def encode(table: pa.Table, contract: Contract, prefix: bytes) -> pa.Array[Any]:
    """One message per row: the prefix and the Avro record, byte for byte as a reference encoder writes it.

    Shape:  `table` has the contract's Arrow schema; the messages of one call stay below 2 GB.
    """
    if not table.num_rows:
        return pa.array([], pa.binary())
    pieces: list[bytes | pa.Array[Any]] = [prefix]
    for column in contract.columns:
        chunks = table.column(column.name).chunks
        for piece in _pieces(chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks), column):
            if isinstance(piece, bytes) and isinstance(pieces[-1], bytes):
                pieces[-1] += piece  # what is the same in all rows is joined once
            else:
                pieces.append(piece)
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pa.repeat(pa.scalar(pieces[0], pa.binary()), table.num_rows)
    return _joined(*pieces)


def _joined(*parts: bytes | pa.Array[Any]) -> pa.Array[Any]:
    """The parts one behind the other, row by row; one that is no array is the same in all rows."""
    join: Any = pc.binary_join_element_wise  # its types describe texts
    scalars = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in parts]
    joined: pa.Array[Any] = join(*scalars, pa.scalar(b"", pa.binary()))
    return joined


def _pieces(values: pa.Array[Any], column: Column) -> Iterator[bytes | pa.Array[Any]]:
    """The encodings that make up one column: a constant, or an array with an element per row."""
    if not column.nullable:
        yield from _encoded(values, column.type)
    elif values.null_count == len(values):
        yield _NULL
    elif values.null_count == 0:
        yield _VALUE
        yield from _encoded(values, column.type)
    else:
        filled = list(_encoded(values, column.type))
        yield pc.if_else(values.is_null(), pa.scalar(_NULL), _joined(_VALUE, *filled))


def _encoded(values: pa.Array[Any], kind: ColumnType) -> Iterator[bytes | pa.Array[Any]]:
    if kind is ColumnType.DOUBLE:
        # An Avro double is the eight bytes that Arrow has in its buffer.
        yield _octets(values)
        return
    if values.null_count == 0 and values[0].equals(values[-1]) and pc.all(pc.equal(values, values[0])).as_py():
        # Most columns of a chunk are one word; to count words would take five times as long.
        values = values.slice(0, 1)
    if kind is not ColumnType.STRING:
        integers = {ColumnType.TIMESTAMP: pa.int64(), ColumnType.DATE: pa.int32(), ColumnType.INT16: pa.int16()}
        values = values.view(integers[kind]).cast(pa.int64())
    distinct = values.dictionary_encode()
    words, numbers = distinct.dictionary, distinct.indices
    if kind is ColumnType.STRING:
        body: Any = words.cast(pa.binary())
        codes = _joined(_lengths(pc.binary_length(body)), body)
    else:
        codes = _varints(words)
    if len(codes) == 1 and values.null_count == 0:
        yield codes[0].as_py()
    else:
        yield pc.take(codes, numbers).fill_null(b"") if values.null_count else pc.take(codes, numbers)


def _lengths(values: pa.Array[Any]) -> pa.Array[Any]:
    """Lengths as varints: nearly all are short, and looked up."""
    longest = pc.max(values).as_py() or 0
    return pc.take(_short_lengths(), values) if longest < _SHORT else _varints(values.cast(pa.int64()))


@functools.cache
def _short_lengths() -> pa.Array[Any]:
    return _varints(pa.array(range(_SHORT), pa.int64()))


def _varints(values: pa.Array[Any]) -> pa.Array[Any]:
    """Whole numbers of 64 bits in Avro's variable length: seven bits a byte, lowest first, small magnitudes short."""
    if len(values) <= _FEW:
        return pa.array([_varint(each.as_py()) for each in values], pa.binary())
    zigzag, packed = _varint_expressions()
    built = pl.Series("value", values).to_frame().select(zigzag).select(packed)
    halves = [_octets(built.get_column(name).to_arrow()) for name in ("low", "high")]
    whole = pl.Series("bytes", _joined(*halves))
    cut = built.with_columns(whole).select(pl.col("bytes").bin.slice(0, pl.col("width")))
    return cut.to_series().to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.binary())


def _varint(value: int) -> bytes:
    """One of them; of a few, each for itself is faster than all together."""
    code, octets = (value << 1) ^ (value >> 63), bytearray()
    while code >= 1 << GROUP_BITS:
        octets.append(code & 127 | 128)
        code >>= GROUP_BITS
    octets.append(code)
    return bytes(octets)


@functools.cache
def _varint_expressions() -> tuple[pl.Expr, list[pl.Expr]]:
    """From `value` to its `code`, and from that to `low` and `high`, sixteen bytes of which the first `width` count."""
    value, code = pl.col("value"), pl.col("code")
    # Zigzag: 0, -1, 1, -2 become 0, 1, 2, 3; written so that the smallest number does not overflow.
    magnitude = pl.when(value < 0).then(-(value + 1)).otherwise(value).cast(pl.UInt64)
    sevens = [(code // 2 ** (GROUP_BITS * place)) % 128 for place in range(_LONGEST_VARINT)]
    follows = [(code >= 2 ** (GROUP_BITS * (place + 1))).cast(pl.UInt64) for place in range(_LONGEST_VARINT - 1)]
    octets = [seven + follow * 128 for seven, follow in zip(sevens, [*follows, pl.lit(0, pl.UInt64)], strict=True)]
    return (magnitude * 2 + (value < 0).cast(pl.UInt64)).alias("code"), [
        (pl.sum_horizontal(follows) + 1).alias("width"),
        # A row of an Arrow buffer is the bytes themselves, lowest first.
        pl.sum_horizontal(octet * 256**place for place, octet in enumerate(octets[:8])).alias("low"),
        pl.sum_horizontal(octet * 256**place for place, octet in enumerate(octets[8:])).alias("high"),
    ]


def _octets(numbers: pa.Array[Any]) -> pa.Array[Any]:
    """The eight bytes of each number, lowest first; of a null whatever is there."""
    raw = pa.Array.from_buffers(pa.binary(8), len(numbers), [None, numbers.buffers()[1]], offset=numbers.offset)
    return raw.cast(pa.binary())


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came of messages."""

    frame: pl.DataFrame
    """The records that could be read, in the order of the messages, as the contract has them."""
    kept: pl.Series
    """Which messages those are."""
    bad: pl.DataFrame
    """`index` and `reason` of the others."""


def schema_ids(messages: pl.Series) -> pl.Series:
    """The schema's id of each message, null where there is no such header."""
    column = pl.col(messages.name)
    framed = column.bin.starts_with(b"\x00") & (column.bin.size() >= HEADER_BYTES)
    number = column.bin.slice(1, 4).bin.reinterpret(dtype=pl.UInt32, endianness="big")
    return messages.to_frame().select(pl.when(framed).then(number)).to_series()


def decode(messages: pl.Series, writer: Mapping[str, Any], contract: Contract) -> Decoded:
    """Records of one schema, by column; a message that is not one is told and harms no other.

    The writer may have fields that the contract lacks, and lack columns that may be null.

    Raises: ValueError if the writer's schema does not fit the contract; the message names the field.
    """
    if messages.is_empty():
        nothing = pl.DataFrame(schema={"index": pl.UInt32, "reason": pl.String})
        return Decoded(pl.DataFrame(schema=contract.polars_schema), pl.Series("fine", [], pl.Boolean), nothing)
    reader = _Reader(messages)
    wanted = {column.name: column for column in contract.columns}
    found: dict[str, pl.Series] = {}
    alike = reader.alike(writer["fields"])
    for field in writer["fields"]:
        column = wanted.get(field["name"])
        values = reader.read(field["type"], field["name"]) if alike is None else alike.get_column(field["name"])
        if column is not None:
            found[column.name] = _fitting(values, column, field["type"], reader)
    if alike is None:
        reader.end()
    for name, column in wanted.items():
        if name not in found:
            if not column.nullable:
                raise ValueError(f"the writer's schema has no field {name}")
            found[name] = pl.Series(name, [None], contract.polars_schema[name]).extend_constant(None, len(messages) - 1)
    frame = pl.DataFrame({name: found[name].cast(kind) for name, kind in contract.polars_schema.items()})
    return Decoded(frame if reader.fine.all() else frame.filter(reader.fine), reader.fine, reader.bad())


_FITS = {
    ColumnType.STRING: {"string"},
    ColumnType.INT16: {"int", "long"},
    ColumnType.DOUBLE: {"double", "float"},
    ColumnType.TIMESTAMP: {"long"},
    ColumnType.DATE: {"int"},
}


def _fitting(values: pl.Series, column: Column, kind: object, reader: _Reader) -> pl.Series:
    """The values as the column takes them; what does not fit is no record of the contract."""
    branches = kind if isinstance(kind, list) else [kind]
    names = {name_of(branch) for branch in branches} - {"null"}
    if not names <= _FITS[column.type]:
        raise ValueError(f"field {column.name} is {', '.join(sorted(names))} and cannot be {column.type}")
    if column.type is ColumnType.INT16:
        reader.demand(values.is_between(-(2**15), 2**15 - 1) | values.is_null(), f"{column.name} is out of range")
        values = values.clip(-(2**15), 2**15 - 1)
    if not column.nullable:
        reader.demand(values.is_not_null(), f"{column.name} is null")
    return values


def _text(values: pl.Series) -> pl.Series:
    """Bytes as text, null where they are none. All are tried at once, and damage, which is rare, is closed in on."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        if len(values) == 1:
            return pl.Series(values.name, [None], pl.String)
        half = len(values) // 2
        return _text(values[:half]).append(_text(values[half:]))


def _varint_end(message: bytes, at: int) -> int:
    """Where the number that begins there ends; somewhere, if it is none."""
    end = at
    while end < at + _LONGEST_VARINT and message[end] & 128:
        end += 1
    return end + 1


def _span(message: bytes, at: int) -> int | None:
    """Bytes of the string that begins there, its length included; None if it is none."""
    end = _varint_end(message, at)
    octets = message[at:end]
    code = sum((octet & 127) << (GROUP_BITS * place) for place, octet in enumerate(octets))
    length = code >> 1
    return None if code & 1 or end + length > len(message) else end - at + length


class _Reader:
    """Positions in messages, moving on field by field; a message found to be none stands still and counts no more."""

    def __init__(self, messages: pl.Series) -> None:
        padded = _joined(messages.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.binary()), SLACK)
        self._frame = pl.DataFrame({"message": padded}).with_columns(
            size=pl.col("message").bin.size().cast(pl.Int64) - len(SLACK), at=pl.lit(HEADER_BYTES, pl.Int64)
        )
        self._reasons = pl.Series("reason", [None], pl.String).extend_constant(None, len(messages) - 1)
        self.fine = pl.Series("fine", [True]).extend_constant(True, len(messages) - 1)
        self.demand(self._frame.get_column("size") >= HEADER_BYTES, "shorter than its header")

    def demand(self, holds: pl.Series, reason: str) -> None:
        """Give up messages for which it does not hold."""
        broken = self.fine & ~holds
        if broken.any():
            self._reasons = self._reasons.zip_with(~broken, pl.Series([reason]))
            self.fine = self.fine & ~broken
            self._frame = self._frame.with_columns(at=pl.when(broken).then(0).otherwise("at"))

    def alike(self, fields: Sequence[Mapping[str, Any]]) -> pl.DataFrame | None:
        """All fields at once, if the records are alike."""
        return read_alike(self._frame, fields)

    def read(self, kind: Any, name: str) -> pl.Series:
        """The field's values; null where it is null, or the message was given up."""
        if (constant := self._constant(kind, name)) is not None:
            return constant
        return self._general(kind, name)

    def _general(self, kind: Any, name: str) -> pl.Series:
        if isinstance(kind, list):
            return self._union(kind, name)
        known: dict[str, Callable[[], pl.Series]] = {
            "null": lambda: self._filled(None).rename(name),
            "boolean": lambda: self._boolean(name),
            "int": lambda: self._int(name),
            "long": lambda: self._varint(name),
            "float": lambda: self._fixed(4, pl.Float32, name),
            "double": lambda: self._fixed(8, pl.Float64, name),
            "bytes": lambda: self._bytes(self._varint(name), name),
            "string": lambda: self._string(name),
            "fixed": lambda: self._bytes(self._filled(int(kind["size"])), name),
            "enum": lambda: self._enum(kind["symbols"], name),
        }
        read = known.get(name_of(kind))
        if read is None:
            raise ValueError(f"field {name} is of type {name_of(kind)}, which no column can hold")
        return read()

    def _filled(self, value: int | None) -> pl.Series:
        return pl.Series([value]).extend_constant(value, len(self.fine) - 1)

    def _boolean(self, name: str) -> pl.Series:
        octet = self._fixed(1, pl.UInt8, name)
        self.demand(octet <= 1, f"{name} is neither true nor false")
        return octet.cast(pl.Boolean, strict=False)

    def _int(self, name: str) -> pl.Series:
        values = self._varint(name)
        self.demand(values.is_between(-INT_LIMIT, INT_LIMIT - 1), f"{name} is no int")
        return values.cast(pl.Int32, strict=False)

    def _string(self, name: str) -> pl.Series:
        text = _text(self._bytes(self._varint(name), name))
        self.demand(text.is_not_null(), f"{name} is not UTF-8")
        return text

    def _constant(self, kind: Any, name: str) -> pl.Series | None:
        """The values, if all messages have the same bytes here, as most columns of a chunk do: then one is read for all."""
        if not self.fine.all() or name_of(kind) not in ("string", "long", "int"):
            return None
        places = self._frame.select("message", "at")
        (first, at), (last, last_at) = places.row(0), places.row(-1)
        span = _span(first, at) if name_of(kind) == "string" else _varint_end(first, at) - at
        found = first[at : at + (span or 0)]
        if span is None or found != last[last_at : last_at + span]:
            return None
        here = pl.col("message").bin.slice(pl.col("at"), len(found)) == found
        within = pl.col("at") + len(found) <= pl.col("size")
        if not self._frame.select((here & within).all()).item():
            return None
        one = _Reader(pl.Series([b"\x00" * HEADER_BYTES + found]))
        value = one._general(kind, name)
        if not one.fine.all():
            return None
        self._advance(pl.lit(len(found), pl.Int64))
        return value.extend_constant(value.item(), len(self.fine) - 1)

    def end(self) -> None:
        """Demand that nothing is left."""
        self.demand(self._frame.get_column("at") == self._frame.get_column("size"), "there is more behind the record")

    def bad(self) -> pl.DataFrame:
        """Index and reason of the messages that were given up."""
        numbered = self._reasons.to_frame().with_row_index("index")
        return numbered.filter(~self.fine)

    def _union(self, branches: Sequence[Any], name: str) -> pl.Series:
        if len(branches) != 2 or "null" not in branches:
            raise ValueError(f"field {name} is a union, and not of one type and null")
        null = branches.index("null")
        branch = self._varint(name)
        self.demand(branch.is_between(0, 1), f"{name} is of no branch of its union")
        absent = branch == null
        if (absent | ~self.fine).all():
            return pl.Series(name, [None]).extend_constant(None, len(self.fine) - 1)
        if not absent.any():
            return self.read(branches[1 - null], name)
        # Messages whose value is null wait while the others read theirs.
        before, fine, reasons = self._frame.get_column("at"), self.fine, self._reasons
        self.fine = fine & ~absent
        values = self.read(branches[1 - null], name)
        self._frame = self._frame.with_columns(at=self._frame.get_column("at").zip_with(~absent, before))
        self.fine = self.fine | (fine & absent)
        self._reasons = self._reasons.zip_with(~absent, reasons)
        return values.to_frame(name).select(pl.when(~absent).then(pl.col(name))).to_series()

    def _enum(self, symbols: Sequence[str], name: str) -> pl.Series:
        number = self._varint(name)
        self.demand(number.is_between(0, len(symbols) - 1), f"{name} is no symbol of its enumeration")
        return pl.Series(name, symbols).gather(number.clip(0, len(symbols) - 1))

    def _fixed(self, width: int, kind: type[pl.DataType], name: str) -> pl.Series:
        left = self._frame.get_column("size") - self._frame.get_column("at")
        self.demand(left >= width, f"{name} is cut off")
        raw = pl.col("message").bin.slice(pl.col("at"), width).bin.reinterpret(dtype=kind, endianness="little")
        values = self._frame.select(raw.alias(name)).to_series()
        self._advance(pl.lit(width, pl.Int64))
        return values

    def _bytes(self, length: pl.Series, name: str) -> pl.Series:
        left = self._frame.get_column("size") - self._frame.get_column("at")
        self.demand((length >= 0) & (length <= left), f"{name} is cut off")
        length = length.zip_with(self.fine, pl.Series([0], dtype=pl.Int64))
        self._frame = self._frame.with_columns(length.alias("length"))
        values = self._frame.select(pl.col("message").bin.slice("at", "length").alias(name)).to_series()
        self._advance(pl.col("length"))
        return values

    def _varint(self, name: str) -> pl.Series:
        """The next number of each message; most take a byte or two, so that only as many rounds are made as are needed."""
        raw = pl.col("message").bin.slice("at", 8).bin.reinterpret(dtype=pl.UInt64, endianness="little")
        self._frame = self._frame.with_columns(raw.alias("word"))
        word = self._frame.get_column("word")
        code, width = word & 127, pl.Series([1], dtype=pl.Int64).extend_constant(1, len(word) - 1)
        more = (word & 128) > 0
        place = 1
        while place < _LONGEST_VARINT and (more & self.fine).any():
            if place == 8:
                tail = (
                    pl.col("message")
                    .bin.slice(pl.col("at") + 8, 8)
                    .bin.reinterpret(dtype=pl.UInt64, endianness="little")
                )
                word = self._frame.select(tail).to_series()
            octet = (word // 2 ** (8 * (place % 8))) & 255
            # In the tenth byte there is room for one bit.
            overflows = more & (octet > 1) if place == _LONGEST_VARINT - 1 else None
            if overflows is not None:
                self.demand(~overflows, f"{name} is longer than a number may be")
            code = code + ((octet & 127) * 2 ** (GROUP_BITS * place) if place < 9 else (octet & 1) * 2**63).zip_with(
                more, pl.Series([0], dtype=pl.UInt64)
            )
            width = width + more.cast(pl.Int64)
            more = more & ((octet & 128) > 0)
            place += 1
        self.demand(~more, f"{name} is longer than a number may be")
        left = self._frame.get_column("size") - self._frame.get_column("at")
        self.demand(width <= left, f"{name} is cut off")
        self._frame = self._frame.with_columns(width.alias("width"))
        self._advance(pl.col("width"))
        half = (code // 2).reinterpret(signed=True)
        return half.zip_with((code & 1) == 0, -half - 1).alias(name)

    def _advance(self, by: pl.Expr) -> None:
        self._frame = self._frame.with_columns(self.fine.alias("fine")).with_columns(
            at=pl.when("fine").then(pl.col("at") + by).otherwise("at")
        )
