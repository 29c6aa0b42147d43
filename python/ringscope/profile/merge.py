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
    return merge(Path(fragments_dir), [], Path(trace_file))


def merge(fragments_dir: Path, runs: List[Path], trace_file: Path) -> int:
    """As `merge_fragments`, with more runs."""
    trace_file.parent.mkdir(parents=True, exist_ok=True)
    # Absolute, as the name of a file may begin with a dash.
    arguments = [str(place.absolute()) for place in (fragments_dir, *runs) if place.is_dir()]
    start_ns = _session.start_ns(fragments_dir)
    if start_ns:
        arguments += ["--from-ns", str(start_ns), "--session", str(_session.file(fragments_dir).absolute())]
    merged = _command.run_command(["merge", *arguments, "-o", str(trace_file.absolute()), "--json"])
    events: int = json.loads(merged)["events"]
    return events
