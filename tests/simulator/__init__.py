"""The simulated ISOs, held against the ISOs' documents."""

from __future__ import annotations

from aurum_etl.simulator import FAULTS

LASTING = ("trickle", "hang", "refuse_connection")
AT_ONCE = tuple(each for each in FAULTS if each not in ("error:CODE", *LASTING))
"""Faults that are over with the answer, and need no more than their name."""
OF_ANSWERS = (*LASTING, "429", "retry_after", "retry_date", "503", "slow", "wrong_type", "reset", "html")
"""Faults of how an answer comes; the others are of what is in it."""
