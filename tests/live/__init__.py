"""One recent day of each dataset from the real ISOs, for a maintainer with a network: `just live [DATASET…]`.

Never part of the tests. Answers are kept in the archive under AURUM_HOME; nothing is stored beside it.
"""
