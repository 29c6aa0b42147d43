"""Switching recording on and off, and what the process records now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ringscope import _ringscope

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30, "GiB": 1 << 30}
_DEFAULT_LEVEL = "e2e,kernel"

# Why `start()` refused what it was given; it raises nothing.
_refusal: Optional[str] = None


class Status(NamedTuple):
    """What the process records now."""

    run: Optional[Path]
    """The run's directory; `None` while the process has no files (they are made at its first record)."""
    level: str
    """Levels that are recorded: `off`, or e2e, kernel, verbose."""
    refusal: Optional[str]
    """Why the process does not record, where something failed."""


def start(
    dir: Union[str, "os.PathLike[str]", None] = None,
    *,
    level: Optional[str] = None,
    mode: str = "flight",
    ring_size: Union[int, str] = 0,
    max_size: Union[int, str] = 0,
    process_name: Optional[str] = None,
    rank: Optional[int] = None,
) -> bool:
    """Starts recording, or goes on after `stop()`; true when the process records now.

    dir: directory in which a directory for the run is made; default `/dev/shm/ringscope-UID`.
    level: which spans are recorded: e2e, kernel, verbose, joined by commas; default `e2e,kernel`.
    mode: `flight` keeps the newest records of each thread, `full` all of them.
    ring_size: bytes of records that a thread's ring holds, such as `"4MiB"`; default 1 MiB.
    max_size: bytes that `full` may write; default 4 GiB.

    What `ringscope record` and the environment say goes first. A process that records already only changes its level.
    Nothing is raised: an argument that can't be taken is told by `status().refusal`, and nothing is recorded.
    """
    global _refusal
    try:
        if mode not in ("flight", "full"):
            raise ValueError(f"mode: expected flight or full, found {mode!r}")
        if status().run is not None:
            started = _ringscope._set_level(level or _DEFAULT_LEVEL)
        else:
            started = _ringscope._start(
                b"" if dir is None else os.fsencode(dir),
                b"",
                level,
                mode == "full",
                _bytes("ring_size", ring_size),
                _bytes("max_size", max_size),
                b"" if process_name is None else process_name.encode(errors="replace"),
                -1 if rank is None else rank,
            )
            _ringscope._set_target(0)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        _refusal = f"start: {error}"
        return False
    _refusal = None
    return bool(started)


def stop() -> bool:
    """Stops recording; what was recorded stays. False when the process did not record."""
    if status().run is None or status().level == "off":
        return False
    return bool(_ringscope._set_level("off"))


def level(levels: Optional[str] = None) -> str:
    """The levels that are recorded; with an argument, sets them first (`off`, or e2e, kernel, verbose)."""
    if levels is not None:
        _ringscope._set_level(levels)
    return status().level


def is_enabled(level: str = "e2e") -> bool:
    """True when spans of this level are recorded now."""
    return bool(_ringscope._is_enabled(level))


def status() -> Status:
    """What the process records now; sets nothing up."""
    run, levels, refusal = _ringscope._status()
    return Status(None if run is None else Path(os.fsdecode(run)), levels, _refusal or refusal)


def _bytes(name: str, size: Union[int, str]) -> int:
    wrong = ValueError(f"{name}: expected bytes, or a number with KiB, MiB or GiB, found {size!r}")
    if isinstance(size, int):
        bytes_ = size
    else:
        digits = size.rstrip("BKMGi").strip()
        unit = size[len(digits) :].strip()
        if not digits.isdecimal() or unit not in _UNITS:
            raise wrong
        bytes_ = int(digits) * _UNITS[unit]
    if not 0 <= bytes_ < 1 << 63:
        raise wrong
    return bytes_
