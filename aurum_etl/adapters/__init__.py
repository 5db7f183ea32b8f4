"""The register: which dataset is whose. An adapter is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from aurum_etl.errors import SpecError, listed
from aurum_etl.market import Iso

if TYPE_CHECKING:
    from aurum_etl.adapters.base import Adapter
    from aurum_etl.dataset import Dataset

_ADAPTERS = {
    Iso.CAISO: "aurum_etl.adapters.caiso:CAISO",
    Iso.MISO: "aurum_etl.adapters.miso:MISO",
    Iso.ISONE: "aurum_etl.adapters.isone:ISONE",
    Iso.PJM: "aurum_etl.adapters.pjm:PJM",
    Iso.ERCOT: "aurum_etl.adapters.ercot:ERCOT",
    Iso.SPP: "aurum_etl.adapters.spp:SPP",
}


def adapter(iso: Iso) -> Adapter:
    """The adapter of one ISO."""
    module, _, name = _ADAPTERS[iso].partition(":")
    return cast("Adapter", getattr(import_module(module), name))


def adapters() -> list[Adapter]:
    """All adapters there are."""
    return [adapter(iso) for iso in _ADAPTERS]


def datasets() -> dict[str, Dataset]:
    """All datasets there are, by key."""
    return {dataset.key: dataset for each in adapters() for dataset in each.datasets}


def dataset(key: str) -> Dataset:
    """The dataset of that key.

    Raises: SpecError if there is none; the message lists those that are.
    """
    known = datasets()
    if key not in known:
        raise SpecError(f'dataset "{key}" is not one of {listed(known, key)}')
    return known[key]
