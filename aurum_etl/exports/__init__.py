"""The contract in the dialects of other systems, generated from its one definition."""
