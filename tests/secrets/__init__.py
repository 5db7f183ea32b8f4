"""Secrets: where they are looked up, Vault, rotation, and that none of them is ever told."""
