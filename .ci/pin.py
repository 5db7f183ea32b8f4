"""Resolve anew, and write the result where it is read: constraints in pyproject.toml, hashes for images.

No registry's address is written: versions and hashes say all that reproduces an environment.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
START, END = "constraint-dependencies = [\n", "]\n"
QUIET = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--universal", "--python-version", "3.11"]


def compiled(*options: str) -> str:
    """What `uv pip compile` resolves pyproject.toml to."""
    command = ["uv", "pip", "compile", "pyproject.toml", *QUIET, *options]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Pin everything that any group or extra installs, then hash what an image needs."""
    text = PROJECT.read_text()
    before, _, rest = text.partition(START)
    behind = rest.partition(END)[2]
    PROJECT.write_text(before + START + END + behind)
    pins = compiled("--all-extras", "--group", "just", "--group", "dev", "--group", "bench", "--upgrade").splitlines()
    quoted = "".join(f'  "{pin}",\n' for pin in pins if re.match(r"[A-Za-z0-9]", pin))
    PROJECT.write_text(before + START + quoted + END + behind)
    (ROOT / "requirements.txt").write_text(compiled("--generate-hashes"))


if __name__ == "__main__":
    main()
