"""Records that are alike, as those of a chunk are: the same fields null, most words the same, numbers of one width.

A few of them are read one by one for what they have in common, and all are then read at once in the belief that the others
have it as well. Every belief is looked at: where one does not hold there is no answer, and whoever asked reads in general.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from aurum_etl.avro.wire import GROUP_BITS, HEADER_BYTES, INT_LIMIT, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SAMPLES = 8
_WORD_BYTES = 8
"""What is read of a number at once; a time of our days takes as much."""
_MOST_LENGTH_BYTES = 3
_MOST_ATTEMPTS = 4


class _Unlike(Exception):
    """The records are not alike, or have a field of a kind that is read in general alone."""


def read_alike(messages: pl.DataFrame, fields: Sequence[Mapping[str, Any]]) -> pl.DataFrame | None:
    """All fields of the records; None if these are not alike, or one of them is damaged.

    Shape:  `messages` has `message`, with slack behind it, and its `size` without.
    """
    found = messages.get_column("message")
    samples = [*found.gather_every(max(len(found) // _SAMPLES, 1)).to_list(), found.item(-1)]
    differing: frozenset[str] = frozenset()
    for _ in range(_MOST_ATTEMPTS):
        try:
            read = _Attempt(samples, differing).read(messages, fields)
        except (_Unlike, UnicodeDecodeError, pl.exceptions.PolarsError):
            return None
        if isinstance(read, pl.DataFrame):
            return read
        differing |= read
    return None


class _Attempt:
    """How all records are read, as far as the samples tell."""

    def __init__(self, samples: list[bytes], differing: frozenset[str]) -> None:
        self._samples = samples
        self._places = [HEADER_BYTES] * len(samples)
        """Where each sample is read on."""
        self._differing = differing
        """Fields that are the same in the samples, and not in all records."""
        self._kept: list[pl.Expr] = []
        """What others are made of, in the order in which it is worked out."""
        self._mark = self._keep(pl.lit(HEADER_BYTES, pl.Int64))
        """Where the last text of a length of its own ends."""
        self._distance = 0
        """How far behind it all records are read on."""
        self._same = b""
        """The bytes directly in front of here that are the same in all records."""
        self._owners: list[str] = []
        """The fields that they belong to."""
        self._stretches: list[tuple[pl.Expr, list[str]]] = []
        """Whether such bytes are where they should be."""
        self._beliefs: list[pl.Expr] = []

    def read(self, messages: pl.DataFrame, fields: Sequence[Mapping[str, Any]]) -> pl.DataFrame | frozenset[str]:
        """The records; or the fields that are not the same in all of them, if that was believed.

        Raises: _Unlike if nothing more can be found out.
        """
        values = [self._value(each["type"], each["name"]).alias(each["name"]) for each in fields]
        self._end_stretch()
        self._beliefs.append(self._here == pl.col("size"))
        holds = [*(expression for expression, _ in self._stretches), *self._beliefs]
        # Null where a position is beyond a message: that is no belief that holds.
        told = [each.all(ignore_nulls=False).alias(f"{number}") for number, each in enumerate(holds)]
        frame = messages
        for number, each in enumerate(self._kept):
            frame = frame.with_columns(each.alias(_kept(number)))
        held = frame.select(told).row(0)
        if all(held):
            return frame.with_columns(values).select(each["name"] for each in fields)
        owners = (names for (_, names), holds_here in zip(self._stretches, held, strict=False) if not holds_here)
        if not (differing := frozenset(name for names in owners for name in names) - self._differing):
            raise _Unlike
        return differing

    @property
    def _here(self) -> pl.Expr:
        """Where all records are read on."""
        return self._mark + self._distance

    def _keep(self, expression: pl.Expr) -> pl.Expr:
        """The same, worked out once for all that are made of it."""
        self._kept.append(expression)
        return pl.col(_kept(len(self._kept) - 1))

    def _value(self, kind: Any, name: str) -> pl.Expr:
        if isinstance(kind, list):
            if len(kind) != 2 or "null" not in kind:
                raise _Unlike
            branch = _number(self._agreed(1))
            if branch not in (0, 1):
                raise _Unlike
            self._believe(1, name)
            kind = kind[branch]
        match name_of(kind):
            case "null":
                return pl.lit(None)
            case "double":
                self._end_stretch()
                value = pl.col("message").bin.slice(self._here, 8).bin.reinterpret(dtype=pl.Float64)
                self._go_on(8)
                return value
            case "string":
                return self._text(name)
            case "int":
                return self._integer(name, pl.Int32())
            case "long":
                return self._integer(name, pl.Int64())
        raise _Unlike

    def _text(self, name: str) -> pl.Expr:
        width = self._width(_MOST_LENGTH_BYTES)
        lengths = [_number(octets) for octets in self._octets(width)]
        if min(lengths) < 0:
            raise _Unlike
        if name not in self._differing and len({*lengths}) == 1 and len({*self._octets(width + lengths[0])}) == 1:
            word = self._agreed(width + lengths[0])[width:].decode()
            self._believe(width + lengths[0], name)
            return pl.lit(word)
        length = self._numbers(width)
        self._beliefs.append(length >= 0)
        start = self._here
        self._mark, self._distance = self._keep(start + length), 0
        self._places = [place + each for place, each in zip(self._places, lengths, strict=True)]
        return pl.col("message").bin.slice(start, length).cast(pl.String)

    def _integer(self, name: str, kind: pl.Int32 | pl.Int64) -> pl.Expr:
        width = self._width(_WORD_BYTES)
        if name not in self._differing and len({*self._octets(width)}) == 1:
            value = _number(self._agreed(width))
            self._believe(width, name)
            return pl.lit(value).cast(kind)
        values = self._numbers(width)
        if kind == pl.Int32():
            self._beliefs.append(values.is_between(-INT_LIMIT, INT_LIMIT - 1))
        return values.cast(kind, strict=False)

    def _numbers(self, width: int) -> pl.Expr:
        """Numbers of so many bytes."""
        self._end_stretch()
        word = self._keep(pl.col("message").bin.slice(self._here, _WORD_BYTES).bin.reinterpret(dtype=pl.UInt64))
        follows = _mask(b"\x80" * (width - 1))
        self._beliefs.append(word & _mask(b"\x80" * width) == follows)
        # The groups close up, all at once: those of bytes, of pairs, and of pairs of pairs.
        code = word & _mask(b"\x7f" * width)
        for size in (1, 2, 4):
            if width > size:
                code = self._keep(code)
                high = code & _mask((b"\x00" * size + b"\xff" * size) * (4 // size))
                code = code - high + high // 2**size
        code = self._keep(code)
        self._go_on(width)
        half = (code // 2).cast(pl.Int64)
        return self._keep(pl.when(code & 1 == 0).then(half).otherwise(-half - 1))

    def _width(self, most: int) -> int:
        """Bytes of the number that comes next, in all samples."""
        octets = self._octets(most)
        widths = {next((at + 1 for at, octet in enumerate(each) if octet < 128), 0) for each in octets}
        if len(widths) > 1 or 0 in widths:
            raise _Unlike
        return widths.pop()

    def _octets(self, width: int) -> list[bytes]:
        """The next bytes of each sample."""
        return [sample[place : place + width] for sample, place in zip(self._samples, self._places, strict=True)]

    def _agreed(self, width: int) -> bytes:
        """The next bytes, if they are the same in all samples."""
        first, *others = {*self._octets(width)}
        if others or len(first) < width:
            raise _Unlike
        return first

    def _believe(self, width: int, owner: str) -> None:
        """Take the next bytes of the samples for those of all records."""
        self._same += self._agreed(width)
        self._owners.append(owner)
        self._go_on(width)

    def _end_stretch(self) -> None:
        if self._same:
            start = self._here - len(self._same)
            there = pl.col("message").bin.slice(start, len(self._same))
            self._stretches.append((there == self._same, self._owners))
            self._same, self._owners = b"", []

    def _go_on(self, width: int) -> None:
        self._distance += width
        self._places = [place + width for place in self._places]


def _kept(number: int) -> str:
    return f"kept {number}"


def _mask(octets: bytes) -> pl.Expr:
    return pl.lit(int.from_bytes(octets, "little"), pl.UInt64)


def _number(octets: bytes) -> int:
    """The number that these bytes are."""
    code = sum((octet & 127) << (GROUP_BITS * place) for place, octet in enumerate(octets))
    return (code >> 1) ^ -(code & 1)
