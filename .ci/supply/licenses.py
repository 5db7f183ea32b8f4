"""Under which licenses what is pinned may be used: what the packages say of themselves, against what is allowed here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any

from license_expression import AND, ExpressionError, get_spdx_licensing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import PackageMetadata
    from pathlib import Path

    from supply.pins import Pin

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Classifiers that mean one license; the others, such as "BSD License", mean several."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`[tool.supply]` of pyproject.toml."""

    allowed: frozenset[str]
    """Licenses that anything may be under."""
    by_name: Mapping[str, str] = field(hash=False)
    """Packages that may be under the license that stands there, since of how they are used."""
    stated: Mapping[str, str] = field(hash=False)
    """Licenses of packages that say it in words of their own, or that other systems alone need."""


def policy_of(project: Path) -> Policy:
    """The policy as it stands."""
    said = tomllib.loads(project.read_text())["tool"]["supply"]
    return Policy(frozenset(said["licenses"]), said["by_name"], said["stated"])


@cache
def _parsed(text: str) -> Any:
    return get_spdx_licensing().parse(text, validate=True)


def expression_of(metadata: PackageMetadata) -> str | None:
    """What the package says of itself in SPDX's words; None if it says nothing, or says it in other words."""
    for key in ("License-Expression", "License"):
        # A whole license may stand there, and a name that means several.
        if key in metadata and "\n" not in (said := metadata[key]):
            try:
                return str(_parsed(said))
            except ExpressionError:
                continue
    classifiers = metadata.get_all("Classifier") or ()
    named = {each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")} - {"OSI Approved"}
    return " AND ".join(sorted(CLASSIFIERS[each] for each in named)) if named and named <= CLASSIFIERS.keys() else None


def license_of(pin: Pin, policy: Policy) -> str | None:
    """SPDX expression of the pin's license: what is stated here, else what the installed package says; None if neither."""
    if pin.name in policy.stated:
        return policy.stated[pin.name]
    try:
        return expression_of(distribution(pin.name).metadata)
    except PackageNotFoundError:
        return None


def _is_allowed(parsed: Any, allowed: frozenset[str]) -> bool:
    if parsed.isliteral:
        return str(parsed) in allowed
    each = (_is_allowed(argument, allowed) for argument in parsed.args)
    return all(each) if isinstance(parsed, AND) else any(each)


def objections(pins: Iterable[Pin], policy: Policy) -> list[str]:
    """What is not allowed, not known, or allowed by name without need."""
    said, needed = [], set()
    pins = list(pins)
    for pin in pins:
        if (expression := license_of(pin, policy)) is None:
            said.append(
                f"{pin.release}: its license is not told in SPDX's words; look, and put it under tool.supply.stated"
            )
        elif _is_allowed(_parsed(expression), policy.allowed):
            continue
        elif policy.by_name.get(pin.name) == expression:
            needed.add(pin.name)
        else:
            said.append(
                f"{pin.release}: {expression} is not one of {', '.join(sorted(policy.allowed))}, nor allowed by name"
            )
    names = {pin.name for pin in pins}
    said += [
        f"tool.supply.by_name: {name} needs no permission, or is not pinned" for name in policy.by_name.keys() - needed
    ]
    said += [f"tool.supply.stated: {name} is not pinned" for name in policy.stated.keys() - names]
    return said
