"""One contender in a process of its own: `python -m benchmarks.measure WORK ARGUMENTS CORES` prints one JSON line.

Seconds are of the work alone, imports left out for all alike; the peak is of the whole process.
"""

from __future__ import annotations

import json
import sys

from benchmarks.race import take_turn

if __name__ == "__main__":
    print(json.dumps(take_turn(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))))
