"""The register of contracts, by kind."""

from __future__ import annotations

from aurum_etl.contracts.asm import ASM
from aurum_etl.contracts.base import CONTRACT_VERSION, LINEAGE, Column, ColumnType, Contract
from aurum_etl.contracts.genmix import GENMIX
from aurum_etl.contracts.lmp import LMP
from aurum_etl.contracts.load import LOAD
from aurum_etl.contracts.load_forecast import LOAD_FORECAST
from aurum_etl.contracts.pnode import PNODE
from aurum_etl.contracts.renewable_forecast import RENEWABLE_FORECAST

CONTRACTS: dict[str, Contract] = {
    contract.kind: contract for contract in (LMP, LOAD, LOAD_FORECAST, RENEWABLE_FORECAST, GENMIX, ASM, PNODE)
}

__all__ = [
    "ASM",
    "CONTRACTS",
    "CONTRACT_VERSION",
    "GENMIX",
    "LINEAGE",
    "LMP",
    "LOAD",
    "LOAD_FORECAST",
    "PNODE",
    "RENEWABLE_FORECAST",
    "Column",
    "ColumnType",
    "Contract",
]
