"""The design that ringscope replaces, written for this bench: a line of JSON a span, appended under a lock to a
buffered file of the process, and merged by parsing every line."""

import asyncio
import json
import os
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path


class Config:
    def __init__(self, enabled):
        self.enabled = enabled
        self.levels = frozenset({"e2e", "kernel"})

    def includes(self, level):
        return level in self.levels or "verbose" in self.levels


class OldRecorder:
    def __init__(self, directory, enabled=True):
        self.config = Config(enabled)
        self.enabled = self.active = enabled
        self.process_name = "bench"
        self._lock = threading.Lock()
        self._named = set()
        self._pid = os.getpid()
        self._file = open(Path(directory) / f"trace.{self._pid}.jsonl", "a", encoding="utf-8") if enabled else None

    def close(self):
        if self._file is not None:
            self._file.close()

    def includes(self, level):
        return self.enabled and self.active and self.config.includes(level)

    def lane(self):
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is not None:
            return id(task), task.get_name()
        return threading.get_ident(), threading.current_thread().name

    @contextmanager
    def span(self, name, *, cat="e2e", level="e2e", args=None):
        if not self.includes(level):
            yield
            return
        lane, lane_name = self.lane()
        self._name(lane, lane_name)
        start = time.perf_counter_ns() // 1000
        try:
            yield
        finally:
            end = time.perf_counter_ns() // 1000
            event = {"name": name, "cat": cat, "ph": "X", "ts": start, "dur": max(0, end - start)}
            self._write({**event, "pid": self._pid, "tid": lane, "args": args or {}})

    def instant(self, name, *, cat="e2e", level="e2e", args=None):
        if not self.includes(level):
            return
        lane, lane_name = self.lane()
        self._name(lane, lane_name)
        event = {"name": name, "cat": cat, "ph": "i", "s": "t", "ts": time.perf_counter_ns() // 1000}
        self._write({**event, "pid": self._pid, "tid": lane, "args": args or {}})

    def _name(self, lane, name):
        if lane not in self._named:
            self._named.add(lane)
            self._write({"name": "thread_name", "ph": "M", "pid": self._pid, "tid": lane, "args": {"name": name}})

    def _write(self, event):
        line = json.dumps(event, separators=(",", ":"), default=str)
        with self._lock:
            self._file.write(line + "\n")


_recorder = None
_recorder_pid = None


def install(recorder):
    global _recorder, _recorder_pid
    _recorder, _recorder_pid = recorder, os.getpid()


def get(*, process_name=None):
    pid = os.getpid()
    if _recorder is not None and _recorder_pid == pid:
        if process_name is not None and _recorder.process_name != process_name:
            _recorder.process_name = process_name
        return _recorder
    raise RuntimeError("install a recorder first")


def profile_span(name, *, cat="e2e", level="e2e", args=None):
    recorder = get()
    if not recorder.includes(level):
        return nullcontext()
    return recorder.span(name, cat=cat, level=level, args=args)


def merge(directory, trace_file):
    events = []
    for fragment in sorted(Path(directory).glob("trace.*.jsonl")):
        with fragment.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    events.append(json.loads(line))
                except json.JSONDecodeError:
                    continue
    with open(trace_file, "w", encoding="utf-8") as out:
        json.dump({"traceEvents": events}, out, separators=(",", ":"))
    return len(events)
