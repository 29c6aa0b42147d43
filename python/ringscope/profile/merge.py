"""One trace of what all processes of a session recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import List, Union

from ringscope import _command
from ringscope.profile import _session


def merge_fragments(fragments_dir: Union[str, "os.PathLike[str]"], trace_file: Union[str, "os.PathLike[str]"]) -> int:
    """Merges the rings and the JSON-lines fragments below `fragments_dir` into `trace_file`; the number of events in it.

    Damaged input is skipped, the rest kept. The trace appears under its name when it is whole. Processes may live on.
    """
    return merge([Path(fragments_dir)], Path(trace_file), _session.start_ns(Path(fragments_dir)))


def merge(places: List[Path], trace_file: Path, from_ns: int) -> int:
    """As `merge_fragments`, of several places: runs, or directories with fragments; nothing that ended before."""
    trace_file.parent.mkdir(parents=True, exist_ok=True)
    arguments = [str(place) for place in places if place.is_dir()]
    merged = _command.run_command(["merge", *arguments, "-o", str(trace_file), "--from-ns", str(from_ns), "--json"])
    events: int = json.loads(merged)["events"]
    return events
