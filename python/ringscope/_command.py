"""The command `ringscope`, which decodes in a process of its own: a host keeps neither its threads nor its memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

from ringscope._recording import status

_Path = Union[str, "os.PathLike[str]"]


class CommandError(RuntimeError):
    """The command failed; the text is its one line."""


def decode(
    run: Optional[_Path] = None,
    out: _Path = "trace.json",
    *,
    format: Optional[str] = None,
    from_: Optional[str] = None,
    to: Optional[str] = None,
    name: Sequence[str] = (),
    cat: Sequence[str] = (),
    level: Optional[str] = None,
    pid: Sequence[int] = (),
    tid: Sequence[int] = (),
    min_duration: Optional[str] = None,
    order: Optional[str] = None,
    time_base: Optional[str] = None,
    align: Optional[str] = None,
    slack: bool = False,
    split_by: Optional[str] = None,
    jobs: Optional[int] = None,
) -> Path:
    """Makes a trace of a run, also of one that is being recorded; the trace's path.

    run: a run, a directory of runs, or a process id; default: what this process records, else the newest run.
    The other arguments are the options of `ringscope decode`.
    """
    options = _options(
        format=format,
        from_=from_,
        to=to,
        name=name,
        cat=cat,
        level=level,
        pid=pid,
        tid=tid,
        min_duration=min_duration,
        order=order,
        time_base=time_base,
        align=align,
        slack=slack,
        split_by=split_by,
        jobs=jobs,
    )
    run_command(["decode", *_run(run), "-o", os.fspath(out), *options])
    return Path(out)


def stats(
    run: Optional[_Path] = None,
    *,
    by: str = "name",
    sort: str = "total",
    gaps: Optional[str] = None,
    skip_first: int = 0,
    name: Sequence[str] = (),
    cat: Sequence[str] = (),
    from_: Optional[str] = None,
    to: Optional[str] = None,
) -> List[Dict[str, Any]]:
    """How often and how long, a row for each `by` (name, cat, process, thread, lane, arg:KEY), which stands under the
    key `name`; times in ns.

    The arguments are the options of `ringscope stats`; run as for `decode()`.
    """
    options = _options(by=by, sort=sort, gaps=gaps, skip_first=skip_first, name=name, cat=cat, from_=from_, to=to)
    rows: List[Dict[str, Any]] = json.loads(run_command(["stats", *_run(run), "--json", *options]))
    return rows


def run_command(arguments: Sequence[str]) -> bytes:
    """Runs the command; its standard output."""
    done = subprocess.run([_find(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        # Wrong usage ends with where help is; what is wrong stands before that.
        wrong = [line for line in lines if line.startswith("error: ")]
        raise CommandError((wrong or lines[-1:] or [f"ringscope: exit status {done.returncode}"])[0])
    return done.stdout


def _run(run: Optional[_Path]) -> List[str]:
    if run is not None:
        return [os.fspath(run)]
    own = status().run
    return [] if own is None else [str(own)]


def _options(**options: Any) -> List[str]:
    arguments: List[str] = []
    for key, value in options.items():
        flag = f"--{key.rstrip('_').replace('_', '-')}"
        if isinstance(value, bool):
            arguments += [flag] * value
            continue
        values = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
        for each in values:
            # With `=`, so that a value may begin with a dash, as times from the end do.
            arguments.append(f"{flag}={each}")
    return arguments


def _find() -> str:
    """Where the command was installed with this package."""
    for place in _places():
        candidate = place / "ringscope"
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    found = shutil.which("ringscope")
    if found is None:
        raise CommandError("find command: ringscope: installed with the package, and neither beside it nor on PATH")
    return found


def _places() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user"))
    package = Path(__file__).resolve().parent
    # pip install --target and --prefix
    yield package.parent / "bin"
    yield from (parent / "bin" for parent in list(package.parents)[2:5])
