"""ISO-NE's locations: the hub, the load zones, external nodes, reserve zones and invented network nodes."""

from __future__ import annotations

import polars as pl

ZONES = {
    4001: ".Z.MAINE",
    4002: ".Z.NEWHAMPSHIRE",
    4003: ".Z.VERMONT",
    4004: ".Z.CONNECTICUT",
    4005: ".Z.RHODEISLAND",
    4006: ".Z.SEMASS",
    4007: ".Z.WCMASS",
    4008: ".Z.NEMASSBOST",
}
ZONE_SHARES = (9, 10, 5, 26, 7, 13, 14, 16)
"""Per cent of the system's load, in the order of the zones."""
SYSTEM = (32, "NEPOOL AREA")
RESERVE_ZONES = {7000: "ROS", 7001: "SWCT", 7002: "CT", 7003: "NEMABSTN"}
_HUB = (4000, ".H.INTERNAL_HUB")
_EXTERNAL = {
    4010: ".I.SALBRYNB345 1",
    4011: ".I.ROSETON 345 1",
    4012: ".I.HQ_P1_P2345 5",
    4013: ".I.HQHIGATE120 2",
    4014: ".I.SHOREHAM138 99",
    4017: ".I.NRTHPORT138 5",
    4018: ".I.HQMRL_RD345 1",
}
_HUB_NODES, _AGGREGATED_RESPONSES = 32, 20


def priced(count: int) -> pl.DataFrame:
    """The locations that have prices: id, name and type."""
    named = [(_HUB[0], _HUB[1], "HUB")]
    named += [(each, name, "LOAD ZONE") for each, name in ZONES.items()]
    named += [(each, name, "EXT. NODE") for each, name in _EXTERNAL.items()]
    share = min(1.0, count / 1_210)
    named += [(10_000 + n, f"HC.HUBNODE {n:02d} 345", "HUB NODE") for n in range(max(2, round(_HUB_NODES * share)))]
    named += [
        (37_000 + n, f"DR.AGGREGATE_{n:02d}", "DRRAZ") for n in range(max(2, round(_AGGREGATED_RESPONSES * share)))
    ]
    # Names have runs of blanks, which mean something to ISO-NE.
    rest = max(3, count - len(named))
    named += [(40_000 + n, f"UN.NODE{n:04d}    34.5UNIT", "NETWORK NODE") for n in range(rest)]
    return pl.DataFrame(named, schema={"LocId": pl.Int64, "name": pl.String, "LocType": pl.String}, orient="row")


def registry(locations: pl.DataFrame, *, everything: bool) -> list[tuple[int, str, str, str, str | None]]:
    """`/locations` and `/locations/all`: id, type, name, area type, and the kind of a network node."""
    found: list[tuple[int, str, str, str, str | None]] = [
        (each, kind, name, "EXTERNAL" if kind == "EXT. NODE" else "INTERNAL", None)
        for each, name, kind in locations.iter_rows()
        if kind in ("HUB", "LOAD ZONE", "EXT. NODE")
    ]
    found += [
        (each, "SYSTEM" if each == 7000 else "RESERVE ZONE", name, "INTERNAL", None)
        for each, name in RESERVE_ZONES.items()
    ]
    if not everything:
        return found
    found.append((SYSTEM[0], "INT. AREA", SYSTEM[1], "INTERNAL", None))
    found.append((36, "EXT. AREA", "HQ AREA", "EXTERNAL", None))
    found += [(7500 + n, "DISPATCH ZONE", f"DISPATCH {n:02d}", "INTERNAL", None) for n in range(19)]
    found += [(7600 + n, "RELIABILITY REGION", name, "INTERNAL", None) for n, name in enumerate(ZONES.values())]
    found += [(8500 + n, "CAPACITY ZONE", f"CAPACITY {n}", "INTERNAL", None) for n in range(7)]
    found += [
        (each, kind, name, "INTERNAL", "GENERATOR" if kind == "NETWORK NODE" else None)
        for each, name, kind in locations.iter_rows()
        if kind in ("HUB NODE", "DRRAZ", "NETWORK NODE")
    ]
    return found
