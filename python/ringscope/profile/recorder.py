"""The recorder of a process, and the functions that the serving stack calls."""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ringscope import _ringscope
from ringscope._ringscope import profile_duration, profile_instant, profile_span
from ringscope.profile import _session
from ringscope.profile.env import ProfileConfig, load_profile_config
from ringscope.profile.merge import merge, merge_fragments

__all__ = [
    "ProfileRecorder",
    "configure_profiler",
    "get_profiler",
    "is_enabled",
    "merge_fragments",
    "merge_profile",
    "profile_duration",
    "profile_instant",
    "profile_span",
    "start_profile",
    "stop_profile",
]

_RUN_ENV = "RINGSCOPE_RUN"
_LEVEL_BITS = {"e2e": 1, "kernel": 2, "verbose": 4}
# Under `ringscope record` there is one configuration, that of the environment.
_ENVIRONMENT_TARGET = 0

# The recorder of this process. A name of its own, since tests of the serving stack set it to None to begin anew.
_profiler: "Optional[ProfileRecorder]" = None
_profiler_pid: Optional[int] = None

_targets: Dict[Tuple[str, str], int] = {}


class ProfileRecorder(_ringscope.Recorder):
    """Records what a process does, into rings below `config.fragments_dir`, or of `ringscope record` where that runs it.

    Nothing here raises into the host, and nothing is lost when the process is killed but the record in flight.
    """

    def __init__(
        self,
        config: ProfileConfig,
        *,
        process_name: Optional[str] = None,
        initially_active: bool = True,
    ) -> None:
        self.config = config
        self.enabled = config.enabled or _is_supervised()
        self.pid = os.getpid()
        self.process_name = process_name or _default_process_name()
        # Names are written when the process is first active, so that one that never was leaves no file.
        self._names_to_write = [self.process_name]
        levels = sum(bit for level, bit in _LEVEL_BITS.items() if level in config.levels)
        self._configure(levels, "verbose" in config.levels, _target_of(config))
        if self.enabled:
            if _is_supervised():
                _ringscope.process_name(self.process_name)
            if initially_active or _is_supervised():
                self._activate()
            atexit.register(self.close)

    @property
    def active(self) -> bool:
        """True when spans are recorded now."""
        return self._is_active()

    def start(self) -> bool:
        """Records from now on; true when it did not before."""
        if not self.enabled or self.active:
            return False
        self._activate()
        return True

    def stop(self) -> bool:
        """Records no more; true when it did before."""
        was_active = self.active
        self._set_active(False)
        return was_active

    def close(self) -> bool:
        """As `stop`."""
        return self.stop()

    def includes(self, level: str) -> bool:
        """True when spans of this level are recorded now."""
        return self.active and self.config.includes(level)

    def metadata(self, name: str, value: str, *, tid: Optional[int] = None) -> None:
        """Adds an event that names something, also while the recorder is not active."""
        if not self.enabled:
            return
        event = {"name": name, "ph": "M", "pid": self.pid, "tid": 0 if tid is None else tid, "args": {"name": value}}
        _attempt(self._append, event)

    def _append(self, event: Dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":"), default=str).encode() + b"\n"
        self.config.fragments_dir.mkdir(parents=True, exist_ok=True)
        fragment = self.config.fragments_dir / f"trace.{self.pid}.jsonl"
        # One write, so that lines of threads and of a child never mix.
        file = os.open(fragment, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def _activate(self) -> None:
        self._set_active(True)
        self._write_names()

    def _rename(self, process_name: str) -> None:
        self.process_name = process_name
        self._names_to_write.append(process_name)
        if self.active:
            self._write_names()
        if self.enabled and _is_supervised():
            _ringscope.process_name(process_name)

    def _write_names(self) -> None:
        for name in self._names_to_write:
            self.metadata("process_name", name, tid=0)
        self._names_to_write.clear()

    def _switch_over(self) -> None:
        """Makes the process record by this configuration: called before the first record, and when another recorder
        was in between."""
        target = _target_of(self.config)
        if target != _ENVIRONMENT_TARGET:
            rings = _session.rings_dir(self.config.fragments_dir)
            if not self._record_to(rings):
                memory = _session.move_rings_to_memory(self.config.fragments_dir)
                if memory is None or not self._record_to(memory):
                    raise OSError("no place for rings")
        _ringscope._set_target(target)

    def _record_to(self, rings: Path) -> bool:
        levels = ",".join(sorted(self.config.levels))
        return _ringscope._start(
            b"", os.fsencode(rings), levels, True, 0, 0, self.process_name.encode(errors="replace"), -1
        )


def get_profiler(*, process_name: Optional[str] = None, initially_active: bool = True) -> ProfileRecorder:
    """The recorder of this process; made from the environment, or from what its parent was configured with."""
    profiler = _profiler
    if profiler is not None and _profiler_pid == os.getpid():
        if process_name is not None and profiler.process_name != process_name:
            profiler._rename(process_name)
        return profiler
    if profiler is not None:
        # A forked child goes on as its parent did.
        return _install(profiler.config, process_name or profiler.process_name, profiler.active)
    return _install(load_profile_config(), process_name, initially_active)


def configure_profiler(
    config: ProfileConfig,
    *,
    process_name: Optional[str] = None,
    initially_active: bool = True,
) -> ProfileRecorder:
    """Makes `config` that of this process and of the children it forks."""
    if _profiler is not None and _profiler_pid == os.getpid():
        _profiler.close()
    return _install(config, process_name, initially_active)


def is_enabled(level: str = "e2e") -> bool:
    """True when spans of this level are recorded now."""
    return get_profiler().includes(level)


def start_profile() -> bool:
    """Starts recording in this process; in the main process a new session begins. True when it did not record before."""
    profiler = get_profiler(initially_active=False)
    if profiler.enabled and not profiler.active and _session.is_main():
        _attempt(_session.begin, profiler.config.fragments_dir, _supervised_runs())
    return profiler.start()


def stop_profile() -> bool:
    """Stops recording in this process; true when it recorded before."""
    return get_profiler(initially_active=False).stop()


def merge_profile() -> int:
    """Stops recording, and writes the trace of the session; the number of events in it, 0 when profiling is off."""
    profiler = get_profiler(initially_active=False)
    profiler.stop()
    if not profiler.enabled:
        return 0
    config = profiler.config
    return merge(config.fragments_dir, _supervised_runs(), config.trace_file)


def _install(config: ProfileConfig, process_name: Optional[str], initially_active: bool) -> ProfileRecorder:
    global _profiler, _profiler_pid
    if config.enabled or _is_supervised():
        _prepare_run(config)
    _profiler = ProfileRecorder(config, process_name=process_name, initially_active=initially_active)
    _profiler_pid = os.getpid()
    return _profiler


def _prepare_run(config: ProfileConfig) -> None:
    """Clears what an earlier run left, in the main process."""
    _attempt(_session.prepare, config.fragments_dir)


def _target_of(config: ProfileConfig) -> int:
    if _is_supervised():
        return _ENVIRONMENT_TARGET
    key = (str(config.fragments_dir.absolute()), ",".join(sorted(config.levels)))
    return _targets.setdefault(key, len(_targets) + 1)


def _is_supervised() -> bool:
    """True under `ringscope record`."""
    return _RUN_ENV in os.environ


def _supervised_runs() -> List[Path]:
    """The run of `ringscope record`, where that runs the process."""
    return [Path(os.environ[_RUN_ENV])] if _is_supervised() else []


def _attempt(action: Any, *arguments: Any) -> None:
    """Does something that the host must not fail by."""
    try:
        action(*arguments)
    except Exception:
        pass


def _default_process_name() -> str:
    if sys.argv and sys.argv[0]:
        return Path(sys.argv[0]).stem
    return Path(os.environ.get("_", "python")).name or "python"


def _after_fork() -> None:
    if _profiler is not None:
        _profiler._set_parents()


os.register_at_fork(after_in_child=_after_fork)
_ringscope._serve(globals(), get_profiler)
