"""Settlement locations and buses: hubs and interfaces as they are called, and invented resources and loads."""

from __future__ import annotations

from itertools import count as counted

import polars as pl

EAST, WEST = "SPP", "SWPW"
_HUBS = ("SPPNORTH_HUB", "SPPSOUTH_HUB")
_INTERFACES = (
    "AECI", "ALTW", "AMRN", "BLKW", "CLEC", "DPC", "EDDY", "EES", "ERCOTE", "ERCOTN", "GRE", "LAM345", "MCWEST", "MDU",
    "MEC", "MISO", "NSP", "OTP", "RCEAST", "SCSE", "SGE", "SPA", "SPC",
)  # fmt: skip
_WESTERN = ("CISO", "PSCO", "AESO", "AVA", "AVRN")
AREAS = (
    "CSWS", "EDE", "GRDA", "INDN", "KACY", "KCPL", "LES", "MPS", "NPPD", "OKGE", "OPPD", "SECI", "SPRM", "SPS", "WAUE",
    "WFEC", "WR",
)  # fmt: skip
"""The areas of the east, in the order in which load is given."""
WESTERN_AREAS = ("CSU", "PRPA", "WACM", "WAUW")
_PARTICIPANT_HUBS = ("CSWS_HUB", "GRDA_HUB", "KCPLHUB24", "NPPD.HUB.PY2019")
_STATIONS = ("ASH", "BAYOU", "CEDAR", "DUNE", "ELM", "FLINT", "GYP", "HAWK", "IRON", "JUNIPER", "KIOWA", "LARK")
_KINDS = ("UN", "WIND", "LOAD", "SOLAR", "UN", "HUB")
_ONE_WESTERN_OF = 5
_ONE_SHARING_OF = 26
_BUSES_OF_ONE = 10
_WESTERN_PLACES, _FURTHER_PLACES = 1_000_000, 100_000_000


def locations(count: int) -> pl.DataFrame:
    """So many settlement locations in the order of their names, of which every fifth is western.

    Several may have the price of one pnode; `place` is the number of the pnode, the same however many there are.
    """
    west = max(count // _ONE_WESTERN_OF, 1)
    named = [("SWPW_HUB", "SWPW_HUB_H", WEST, _WESTERN_PLACES)]
    named += [(name, name, WEST, _WESTERN_PLACES + 1 + n) for n, name in enumerate(_WESTERN)]
    named = [*named, *(_invented(WESTERN_AREAS, WEST, _WESTERN_PLACES, n) for n in range(west - len(named)))][:west]
    east = [
        (name, name.removesuffix("UB") if name in _HUBS else f"{name}_H", EAST, n)
        for n, name in enumerate((*_HUBS, *_PARTICIPANT_HUBS))
    ]
    east += [(name, name, EAST, 100 + n) for n, name in enumerate(_INTERFACES)]
    more = (_invented(AREAS, EAST, 0, n) for n in counted())
    east += [next(more) for _ in range(count - west - len(east))]
    rows = [*east[: count - west], *named]
    schema = {"location": pl.String, "pnode": pl.String, "baa": pl.String, "place": pl.UInt64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("location")


def buses(listed: pl.DataFrame) -> pl.DataFrame:
    """The pnodes of the locations and nine times as many further ones, in the order of their names."""
    known = listed.select("pnode", "baa", "place").unique("pnode")
    numbers = pl.DataFrame({"bus": range(1, _BUSES_OF_ONE)}, schema={"bus": pl.UInt64})
    further = known.join(numbers, how="cross").select(
        pl.format("{}.BUS{}", "pnode", "bus").alias("pnode"),
        "baa",
        pl.col("place") * _BUSES_OF_ONE + pl.col("bus") + _FURTHER_PLACES,
    )
    return pl.concat([known, further]).sort("pnode")


def _invented(areas: tuple[str, ...], baa: str, base: int, number: int) -> tuple[str, str, str, int]:
    """Every 26th location has the pnode of the one before it."""
    area = areas[number * 7 % len(areas)]
    station = f"{_STATIONS[number % len(_STATIONS)]}{number}"
    kind = _KINDS[number % len(_KINDS)]
    name = f"{area}.{kind}.{station}" if number % 3 else f"{area}_{station}"
    pnode = f"{area}{station}{kind}_RA"
    if number % _ONE_SHARING_OF == _ONE_SHARING_OF - 1:
        _, pnode, _, place = _invented(areas, baa, base, number - 1)
        return f"{area}.JOU.{station}", pnode, baa, place
    return name, pnode, baa, base + 1_000 + number
