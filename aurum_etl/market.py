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

    def base_variable(self, host: str = "") -> str:
        """The environment variable that points runs at another address of one of the ISO's hosts; `""` is the main one."""
        return f"AURUM_{self.name}_{host}_BASE" if host else f"AURUM_{self.name}_BASE"


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
    CONFORMING = "CONFORMING"
    """What follows the weather; with what does not, all there is (SPP)."""
    NON_CONFORMING = "NON_CONFORMING"
    INSTANTANEOUS = "INSTANTANEOUS"
    SYSTEM = "SYSTEM"
    NATIVE = "NATIVE"
    DAY_AHEAD_DEMAND = "DAY_AHEAD_DEMAND"
    REAL_TIME_DEMAND = "REAL_TIME_DEMAND"
    STORAGE = "STORAGE"
    """What storage draws: pumping, and charging (ISO-NE's asset-related demand)."""
    SYSTEM_BTM = "SYSTEM_BTM"
    """As if nothing were generated behind the meter: what is, is added back."""
    NATIVE_BTM = "NATIVE_BTM"


class FuelType(StrEnum):
    """What electricity is made from, across ISOs; the ISO's own word stays in `fuel_native`."""

    BIOGAS = "BIOGAS"
    BIOMASS = "BIOMASS"
    COAL = "COAL"
    GEOTHERMAL = "GEOTHERMAL"
    HYDRO = "HYDRO"
    IMPORTS = "IMPORTS"
    """Not generation: CAISO and MISO list them among the fuels."""
    MULTIPLE = "MULTIPLE"
    """Units that burn several fuels, where the ISO does not tell them apart."""
    NATURAL_GAS = "NATURAL_GAS"
    NUCLEAR = "NUCLEAR"
    OIL = "OIL"
    OTHER = "OTHER"
    OTHER_RENEWABLES = "OTHER_RENEWABLES"
    SOLAR = "SOLAR"
    STORAGE = "STORAGE"
    """Negative while charging, unless the ISO publishes discharge alone."""
    WASTE = "WASTE"
    WASTE_HEAT = "WASTE_HEAT"
    WIND = "WIND"


class Service(StrEnum):
    """Which ancillary service is meant, across ISOs; the ISO's own word stays in `service_native`."""

    CONTINGENCY = "CONTINGENCY"
    """ERCOT's contingency reserve (ECRS)."""
    ENERGY_FORECAST = "ENERGY_FORECAST"
    """ISO-NE's forecast energy requirement, and the imbalance reserve that covers it."""
    MILEAGE = "MILEAGE"
    MILEAGE_DOWN = "MILEAGE_DOWN"
    MILEAGE_UP = "MILEAGE_UP"
    NON_SPINNING = "NON_SPINNING"
    """Ten minutes, not synchronized: non-spin, supplemental, non-synchronized."""
    PRIMARY = "PRIMARY"
    """PJM's ten minutes of either kind."""
    RAMP_DOWN = "RAMP_DOWN"
    RAMP_UP = "RAMP_UP"
    REGULATION = "REGULATION"
    REGULATION_DOWN = "REGULATION_DOWN"
    REGULATION_UP = "REGULATION_UP"
    RESPONSIVE = "RESPONSIVE"
    """ERCOT's frequency response (RRS)."""
    SHORT_TERM = "SHORT_TERM"
    """MISO's short-term reserve."""
    SPINNING = "SPINNING"
    """Ten minutes, synchronized."""
    THIRTY_MINUTE = "THIRTY_MINUTE"
    UNCERTAINTY_UP = "UNCERTAINTY_UP"
