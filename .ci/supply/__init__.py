"""What the project is made of: every version pinned, every file known by its hash, audited, licensed, and listed.

`pin` writes what the others read: pyproject.toml has the versions that `uv run` resolves to, .ci/constraints.txt the same with
the hashes of their files, requirements.txt what the engine alone needs, .ci/uv.txt the installer. No address of a registry
stands in any of them: versions and hashes say all that reproduces an environment.
"""
