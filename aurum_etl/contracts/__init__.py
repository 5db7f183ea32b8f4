"""The register of contracts, by kind."""

from __future__ import annotations

from aurum_etl.contracts.base import CONTRACT_VERSION, LINEAGE, Column, ColumnType, Contract
from aurum_etl.contracts.lmp import LMP
from aurum_etl.contracts.load import LOAD

CONTRACTS: dict[str, Contract] = {contract.kind: contract for contract in (LMP, LOAD)}

__all__ = ["CONTRACTS", "CONTRACT_VERSION", "LINEAGE", "LMP", "LOAD", "Column", "ColumnType", "Contract"]
