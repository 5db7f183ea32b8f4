"""Whether everything that runs need is there and does its work: asked for real, all of it at once, in seconds.

```python
from aurum_etl.health import exit_code, probe

probes = probe(read_settings(), timeout_seconds=5)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl import adapters
from aurum_etl.errors import UsageError, listed
from aurum_etl.health import machine, sources, stores
from aurum_etl.health.base import Kind, Probe, State, exit_code, made
from aurum_etl.quota import breakers
from aurum_etl.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aurum_etl.secrets import Reference
    from aurum_etl.settings import Settings
    from aurum_etl.spec import Spec

__all__ = ["Kind", "Probe", "State", "exit_code", "probe"]


def probe(
    settings: Settings,
    specs: Sequence[Path] = (),
    *,
    only: Sequence[str] = (),
    offline: bool = False,
    timeout_seconds: float = 10.0,
) -> tuple[Probe, ...]:
    """What the settings name, or exactly what those specs need, in which case nothing of it may be missing.

    `only` names some of it: `caiso` for all of CAISO's hosts, `caiso.outlook` for one. With `offline` no ISO is asked,
    and how the circuit breakers of its hosts stand is told instead.

    Twice:  the second time asks again; what a look writes, it has taken back.
    Raises: SpecError if a spec or a setting cannot be read; UsageError if a name of `only` is none.
    """
    loaded = [load_spec(path, (), adapters.datasets()) for path in specs]
    settings = settings.referring(_references(loaded))
    checks = [
        *machine.checks(settings, demanded=bool(loaded)),
        *stores.checks(settings, loaded),
        *sources.checks(settings, loaded, breakers(settings) if offline else None),
    ]
    names = [each.name for each in checks]
    for name in only:
        if not any(_means(name, each) for each in names):
            raise UsageError(f'--only: "{name}" is not one of {listed(names, name)}')
    chosen = [each for each in checks if not only or any(_means(name, each.name) for name in only)]
    return made(chosen, timeout_seconds)


def _references(specs: Sequence[Spec]) -> dict[str, Reference]:
    """Where the specs say that secrets are.

    Raises: UsageError if they disagree.
    """
    found: dict[str, Reference] = {}
    for spec in specs:
        for name, reference in spec.references(spec.chosen(adapters.dataset(spec.dataset))).items():
            if (other := found.setdefault(name, reference)) != reference:
                raise UsageError(
                    f"the specs have {name} at {other} and at {reference}: look at them one after the other"
                )
    return found


def _means(name: str, found: str) -> bool:
    """Whether the name is that of the check, or of all that stand below it."""
    return found == name or found.startswith(f"{name}.")
