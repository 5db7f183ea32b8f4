"""Bill of materials of what runs, as CycloneDX JSON: `PYTHONPATH=.ci python -m supply.sbom [--extra dask …]` prints it.

Components, files and graph are those of uv.lock as uv exports it; the licenses are added here. What differs from machine to
machine is left out: addresses of a registry, and the time unless `SOURCE_DATE_EPOCH` says one. The serial number is made of
the contents, so the same pins give the same bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import metadata
from typing import TYPE_CHECKING, Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from supply.licenses import expression_of, license_of, policy_of
from supply.pins import ROOT, Pin

if TYPE_CHECKING:
    from pathlib import Path

    from supply.licenses import Policy


def exported(root: Path, *options: str) -> dict[str, Any]:
    """What uv says that runs: the engine without groups, and without extras that are not asked for."""
    command = ["uv", "export", "--quiet", "--frozen", "--preview-features", "sbom-export", "--format", "cyclonedx1.5"]
    command += ["--no-default-groups", *options]
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def bill(document: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """The bill of materials that uv's is made into."""
    root = document["metadata"]["component"]
    # uv numbers its references, so that one more package renames all that follow.
    renamed = {
        each["bom-ref"]: f"pkg:pypi/{each['name']}@{each['version']}" for each in (root, *document["components"])
    }
    components = [_component(each, renamed, policy) for each in document["components"]]
    about = {
        **root,
        "bom-ref": renamed[root["bom-ref"]],
        "purl": renamed[root["bom-ref"]],
        "licenses": [{"expression": expression_of(metadata(root["name"]))}],
    }
    dependencies = [
        {"ref": renamed[each["ref"]], "dependsOn": sorted(renamed[other] for other in each.get("dependsOn", ()))}
        for each in document["dependencies"]
    ]
    made: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"tools": document["metadata"]["tools"], "component": about},
        "components": sorted(components, key=lambda each: str(each["bom-ref"])),
        "dependencies": sorted(dependencies, key=lambda each: str(each["ref"])),
    }
    made["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(made, sort_keys=True)).urn
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        made["metadata"]["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat()
    return made


def _component(said: dict[str, Any], renamed: dict[str, str], policy: Policy) -> dict[str, Any]:
    files = [
        # A name stands for the file: where a registry keeps it differs, and its hash does not.
        {**each, "url": each["url"].rpartition("/")[2]}
        for each in said["externalReferences"]
    ]
    component = {**said, "bom-ref": renamed[said["bom-ref"]], "externalReferences": files}
    if expression := license_of(Pin(said["name"], said["version"]), policy):
        component["licenses"] = [{"expression": expression}]
    return component


def text_of(document: dict[str, Any]) -> str:
    """The document as it is written.

    Raises: ValueError if it is not as CycloneDX has it.
    """
    text = json.dumps(document, indent=2) + "\n"
    if (error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)) is not None:
        # The error holds the schema as well, all of it.
        raise ValueError(f"not as CycloneDX 1.5 has it: {error.data.message}")
    return text


def main(options: list[str], root: Path = ROOT) -> None:
    """Print it."""
    sys.stdout.write(text_of(bill(exported(root, *options), policy_of(root / "pyproject.toml"))))


if __name__ == "__main__":
    main(sys.argv[1:])
