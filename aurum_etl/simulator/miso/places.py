"""MISO's pricing nodes: hubs, interfaces and areas as they are called, and invented generators and aggregates."""

from __future__ import annotations

from datetime import date

import polars as pl

HUBS = (
    "ARKANSAS.HUB", "ILLINOIS.HUB", "INDIANA.HUB", "LOUISIANA.HUB", "MICHIGAN.HUB", "MINN.HUB", "MS.HUB", "TEXAS.HUB",
)  # fmt: skip
_SOUTHERN_HUBS = ("ARKANSAS.HUB", "LOUISIANA.HUB", "MS.HUB", "TEXAS.HUB")
_INTERFACES = (
    "AECI", "AECIZ", "KCPL", "LGEE", "MHEB", "NPPD", "OKGE", "ONT", "OPPD", "PJMC", "SOCO", "SPA", "SWPP", "TVA", "WAUE",
)  # fmt: skip
_AREAS = (
    "ALTE", "ALTW", "AMIL", "AMMO", "BREC", "CIN", "CLEC", "CONS", "CWLD", "CWLP", "DECO", "DPC", "EAI", "EES", "GRE",
    "HE", "IPL", "LAFA", "LAGN", "LEPA", "MDU", "MEC", "MGE", "MIUP", "MP", "MPW", "NIPS", "NSP", "OTP", "SIGE", "SIPC",
    "SME", "SMP", "UPPC", "WEC", "WPS",
)  # fmt: skip
_SOUTHERN = ("CLEC", "EAI", "EES", "LAFA", "LAGN", "LEPA", "SME")
_STATIONS = ("ASH", "BAY", "ELM", "FIR", "FIG", "GUM", "IVY", "OAK HILL", "SAL", "YEW", "ELK", "ROOK")
_SHARES = ("Gennode", "Gennode", "Loadzone", "Gennode", "Hub", "Gennode", "Gennode", "Hub", "Gennode", "Gennode")
"""What ten further nodes are; most of those that are called hubs are aggregates."""
_ZONES = 8
_QUARTERS = (date(2024, 12, 1), date(2022, 9, 1), date(2020, 6, 1), date(2018, 3, 1))
"""Days on which lists of nodes changed."""
_ALWAYS, _NEVER = date(2000, 1, 1), date(9999, 1, 1)
_Node = tuple[str, str, str, int, date, date]


def nodes(count: int) -> pl.DataFrame:
    """So many locations in the order of their names: all hubs, some of every type, then all that have names."""
    loadzones = [_known(f"{area}.{area}", "Loadzone", area) for area in _AREAS]
    interfaces = [_known(name, "Interface", name) for name in _INTERFACES]
    hubs = [_known(name, "Hub", "EES" if name in _SOUTHERN_HUBS else "MEC") for name in HUBS]
    first = [*hubs, *interfaces[:3], *loadzones[:10], *(_invented(number) for number in range(40))]
    rest = [*interfaces[3:], *loadzones[10:]]
    more = max(count - len(first) - len(rest), 0)
    rows = [*first, *rest, *(_invented(number) for number in range(40, 40 + more))][:count]
    schema = {
        "node": pl.String,
        "type": pl.String,
        "region": pl.String,
        "zone_number": pl.Int64,
        "since": pl.Date,
        "until": pl.Date,
    }
    # A node's place is the same however many others there are, and so are its prices.
    known = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("place").cast({"place": pl.UInt64})
    return known.sort("node")


def there(places: pl.DataFrame, day: date) -> pl.DataFrame:
    """Those that exist on a day."""
    return places.filter(pl.col("since") <= day, pl.col("until") > day)


def _known(name: str, kind: str, area: str) -> _Node:
    return name, kind, _region(area), 1 + len(name) % _ZONES, _ALWAYS, _NEVER


def _invented(number: int) -> _Node:
    """Every twentieth came when a list changed, and every fifteenth went."""
    area, kind = _AREAS[number * 7 % len(_AREAS)], _SHARES[number % len(_SHARES)]
    station = f"{_STATIONS[number % len(_STATIONS)]}{number}"
    name = f"{area}.{'AGG.' if kind == 'Hub' else 'LZ.' if kind == 'Loadzone' else ''}{station}"
    since = _QUARTERS[number // 20 % len(_QUARTERS)] if number % 20 == 6 else _ALWAYS
    until = _QUARTERS[number // 15 % len(_QUARTERS)] if number % 15 == 13 else _NEVER
    return name, kind, _region(area), 1 + number % _ZONES, since, until


def _region(area: str) -> str:
    return "South" if area in _SOUTHERN else "Midwest"
