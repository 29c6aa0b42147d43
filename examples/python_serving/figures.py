"""The figures that a load test is after, out of the trace: what `ringscope stats` says of a recorded run.

    python figures.py [RUN]        the newest run, or this one
"""

from __future__ import annotations

import json
import sys
from typing import Dict, Optional

import ringscope

_ROWS = ("request.ttft", "request.tpot", "request.token", "serving.load")


def main() -> int:
    """Prints the figures; 1 when the run has none."""
    run = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        found = figures(run)
    except ringscope.CommandError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(f"figures: {run or 'the newest run'}: expected the spans {', '.join(_ROWS)}", file=sys.stderr)
        return 1
    print("trace:      ", json.dumps(found))
    return 0


def figures(run: Optional[str]) -> "Optional[Dict[str, float]]":
    """The figures of a run, by the names that the load client gives them; `None` of a run without a load."""
    rows = {row["name"]: row for row in ringscope.stats(run, name=_ROWS)}
    if not rows.keys() >= set(_ROWS):
        return None
    ttft, tpot, token, load = (rows[name] for name in _ROWS)
    return {
        "streams": ttft["count"],
        "tokens": token["count"],
        "ttft_p50_ms": ttft["p50_ns"] / 1e6,
        "ttft_p99_ms": ttft["p99_ns"] / 1e6,
        "tpot_p50_ms": tpot["p50_ns"] / 1e6,
        "tpot_p99_ms": tpot["p99_ns"] / 1e6,
        "tokens_per_s": token["count"] * 1e9 / load["total_ns"],
    }


if __name__ == "__main__":
    sys.exit(main())
