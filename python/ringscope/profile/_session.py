"""What the processes of a session agree on through the directory of fragments: who the main process is, when the
session began, and where the rings are."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Set

MAIN_PID_ENV = "SA_PROFILE_MAIN_PID"
_SESSION_FILE = "session.json"
_RINGS = "rings"
# Field of a process file's header (see ringbuf/FORMAT.md): when the process started, clock ticks since boot.
_START_TIME_OFFSET = 64
# Word of a ring's header (see there): in its low 48 bits the sequence that the next record gets.
_HEAD_OFFSET = 192

_prepared: Set[str] = set()


def is_main() -> bool:
    """True in the process that owns the session: no worker, however it was started."""
    main = os.environ.get(MAIN_PID_ENV)
    is_child = multiprocessing.parent_process() is not None
    return not is_child and main in (None, str(os.getpid()))


def prepare(fragments_dir: Path) -> None:
    """In the main process, once: clears what an earlier run left, and begins a session. Nothing in a worker."""
    place = str(fragments_dir.absolute())
    if place in _prepared or not is_main() or _has_other_main(fragments_dir):
        return
    os.environ[MAIN_PID_ENV] = str(os.getpid())
    _prepared.add(place)
    clear(fragments_dir)
    begin(fragments_dir)


def clear(fragments_dir: Path) -> None:
    """Removes the fragments and rings of earlier runs, but those of no living process. Files of other kinds stay."""
    fragments_dir.mkdir(parents=True, exist_ok=True)
    for fragment in fragments_dir.glob("trace.*.jsonl"):
        fragment.unlink()
    rings = fragments_dir / _RINGS
    if not rings.is_dir():
        if rings.is_symlink():
            rings.unlink()
        return
    living = {file.stem for file in rings.glob("*-*.process") if _is_alive(file)}
    for file in rings.iterdir():
        parts = file.name.split(".")[0].split("-")
        if len(parts) >= 2 and "-".join(parts[:2]) not in living:
            file.unlink()
    if rings.is_symlink() and not living:
        rings.resolve().rmdir()
        rings.unlink()


def begin(fragments_dir: Path, more_rings: Sequence[Path] = ()) -> None:
    """A new session: what was recorded up to now is not of it, in the rings of the session and in `more_rings`; nor are
    the names of processes that have ended."""
    fragments_dir.mkdir(parents=True, exist_ok=True)
    for fragment in fragments_dir.glob("trace.*.jsonl"):
        pid = fragment.name.split(".")[1]
        if pid.isdecimal() and _start_time(int(pid)) is None:
            fragment.unlink(missing_ok=True)
    session = {
        "main_pid": os.getpid(),
        "main_start_time": _start_time(os.getpid()),
        "boot_id": _boot_id(),
        "start_ns": time.perf_counter_ns(),
        "heads": _heads([fragments_dir / _RINGS, *more_rings]),
    }
    with tempfile.NamedTemporaryFile("w", dir=fragments_dir, prefix=".session", delete=False) as file:
        json.dump(session, file)
    os.replace(file.name, fragments_dir / _SESSION_FILE)


def start_ns(fragments_dir: Path) -> int:
    """When the session began, CLOCK_MONOTONIC; 0 where nothing says so, or it was before the machine's last start."""
    session = _read(fragments_dir)
    start = session.get("start_ns", 0) if session.get("boot_id") == _boot_id() else 0
    return start if isinstance(start, int) else 0


def file(fragments_dir: Path) -> Path:
    """Where the session is described."""
    return fragments_dir / _SESSION_FILE


def rings_dir(fragments_dir: Path) -> Path:
    """The directory of the session's rings, made if it is not there."""
    rings = fragments_dir.absolute() / _RINGS
    fragments_dir.mkdir(parents=True, exist_ok=True)
    rings.mkdir(mode=0o700, exist_ok=True)
    return rings.resolve()


def move_rings_to_memory(fragments_dir: Path) -> Optional[Path]:
    """For file systems that are not safe to map: a directory in /dev/shm, and a link to it where the rings would be."""
    rings = fragments_dir.absolute() / _RINGS
    if rings.is_symlink():
        return rings.resolve()
    parent = Path(f"/dev/shm/ringscope-{os.getuid()}")
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        memory = Path(tempfile.mkdtemp(prefix="run-profile-", dir=parent))
        rings.rmdir()
        rings.symlink_to(memory)
    except OSError:
        # Another process was faster, or there is no /dev/shm.
        return rings.resolve() if rings.is_symlink() else None
    return memory


def _has_other_main(fragments_dir: Path) -> bool:
    """True when another process owns the session and lives: this one is its worker, whatever the environment says."""
    session = _read(fragments_dir)
    pid = session.get("main_pid")
    if not isinstance(pid, int) or pid == os.getpid() or session.get("boot_id") != _boot_id():
        return False
    start_time = _start_time(pid)
    return start_time is not None and start_time == session.get("main_start_time")


def _read(fragments_dir: Path) -> Dict[str, Any]:
    try:
        session = json.loads((fragments_dir / _SESSION_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return session if isinstance(session, dict) else {}


def _heads(places: Sequence[Path]) -> Dict[str, int]:
    """How far the rings are written: a record may tell of a time long before it was made, its place in the ring does not."""
    heads = {}
    for ring in itertools.chain.from_iterable(place.glob("*.ring") for place in places):
        try:
            with ring.open("rb") as file:
                file.seek(_HEAD_OFFSET)
                (head,) = struct.unpack("<Q", file.read(8))
        except (OSError, struct.error):
            continue
        heads[ring.name] = head & (1 << 48) - 1
    return heads


def _is_alive(process_file: Path) -> bool:
    try:
        header = process_file.read_bytes()[:512]
        (start_time,) = struct.unpack_from("<Q", header, _START_TIME_OFFSET)
        pid = int(process_file.name.split("-")[0])
    except (OSError, ValueError, struct.error):
        return False
    return bool(_start_time(pid) == start_time)


def _start_time(pid: int) -> Optional[int]:
    """When a process started, clock ticks since boot; `None` when there is none, or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name of the program, which may hold anything, stands in parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
