"""The closed vocabularies of the contract: who runs a market, what it trades, and where."""

from __future__ import annotations

from enum import StrEnum


class Iso(StrEnum):
    """A market operator, by the code that rows carry."""

    CAISO = "CAISO"
    MISO = "MISO"
    ISONE = "ISO-NE"
    PJM = "PJM"
    ERCOT = "ERCOT"
    SPP = "SPP"

    @property
    def slug(self) -> str:
        """The name in files, topics and series ids."""
        return self.name.lower()

    @property
    def timezone(self) -> str:
        """IANA zone of the market's own calendar. MISO's market clock is Eastern Standard Time all year."""
        return {
            Iso.CAISO: "America/Los_Angeles",
            Iso.MISO: "Etc/GMT+5",
            Iso.ISONE: "America/New_York",
            Iso.PJM: "America/New_York",
            Iso.ERCOT: "America/Chicago",
            Iso.SPP: "America/Chicago",
        }[self]

    @property
    def base_variable(self) -> str:
        """The environment variable that points runs at another base address."""
        return f"AURUM_{self.name}_BASE"


class Market(StrEnum):
    """Day-ahead or real-time: the same two words for every ISO."""

    DAY_AHEAD = "DA"
    REAL_TIME = "RT"


class Product(StrEnum):
    """What a row is about."""

    LMP = "LMP"
    LOAD = "LOAD"
    LOAD_FORECAST = "LOAD_FORECAST"
    GENERATION = "GENERATION"
    ANCILLARY = "ANCILLARY"


class LocationType(StrEnum):
    """The kind of place; each ISO's own words map here by a table in its adapter."""

    NODE = "NODE"
    ZONE = "ZONE"
    HUB = "HUB"
    AGGREGATE = "AGGREGATE"
    INTERFACE = "INTERFACE"
    RESOURCE = "RESOURCE"
    REGION = "REGION"
    SYSTEM = "SYSTEM"


class Unit(StrEnum):
    """The unit of a row's values."""

    USD_PER_MWH = "USD/MWh"
    USD_PER_MW = "USD/MW"
    MW = "MW"


class Subject(StrEnum):
    """What a reader aggregates by."""

    PRICE = "PRICE"
    LOAD = "LOAD"
    GENERATION = "GENERATION"
    RESERVE = "RESERVE"


class CurveRole(StrEnum):
    """What a row is used for downstream."""

    PRICING = "pricing"
    LOAD = "load"
    FORECAST = "forecast"
    SUPPLY = "supply"
    RESERVE = "reserve"


class LoadType(StrEnum):
    """Which load is meant, across ISOs; the ISO's own word stays in `load_native`."""

    METERED = "METERED"
    INSTANTANEOUS = "INSTANTANEOUS"
    SYSTEM = "SYSTEM"
    NATIVE = "NATIVE"
    DAY_AHEAD_DEMAND = "DAY_AHEAD_DEMAND"
    REAL_TIME_DEMAND = "REAL_TIME_DEMAND"
