"""Kernel launches, and what runs on devices."""

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Any, Dict, Optional, Tuple, Type

from ringscope import _ringscope
from ringscope._ringscope import Span

_correlations = itertools.count(1)
_domain_ids = itertools.count(1)
_streams: Dict[Tuple[int, int, int], Optional[int]] = {}


class ClockDomain:
    """The clock of a device: made by `clock_domain()`."""

    __slots__ = ("_published", "frequency_hz", "id", "name")

    def __init__(self, name: str, frequency_hz: int) -> None:
        self.id = next(_domain_ids)
        self.name = name
        self.frequency_hz = _word(frequency_hz) or 0
        self._published = 0

    def anchor(self, host_before_ticks: int, device_ticks: int, host_after_ticks: int) -> None:
        """The device's clock as it was read between two host ticks (see `ticks()`): aligns the two."""
        before, device, after = _word(host_before_ticks), _word(device_ticks), _word(host_after_ticks)
        if before is None or device is None or after is None:
            return
        # A pair that can't be one would move the whole time line.
        if before <= after <= self.ticks():
            self._publish()
            _ringscope._publish_anchor(self.id, before, device, after)

    @staticmethod
    def ticks() -> int:
        """Ticks of the host's clock, now."""
        return int(_ringscope._ticks())

    def _publish(self) -> None:
        # Each process, and each recording, has a file of its own.
        generation = _ringscope._generation()
        if generation != self._published and _ringscope._publish_clock_domain(self.id, self.frequency_hz, self.name):
            self._published = _ringscope._generation()


def clock_domain(name: str, frequency_hz: int) -> ClockDomain:
    """A clock of devices, `frequency_hz` ticks a second."""
    return ClockDomain(name, frequency_hz)


class Launch:
    """A kernel launch, as a context manager around the call that enqueues it: made by `launch()`."""

    __slots__ = ("_device", "_name", "_options", "_span", "_stream", "correlation")

    def __init__(self, name: str, device: int, stream: int, correlation: int, options: Dict[str, Any]) -> None:
        self.correlation = correlation
        self._name = name
        self._device = device
        self._stream = stream
        self._options = options
        self._span = _ringscope._launch_span(name, correlation, False, device=device, stream=stream, **options)

    def __enter__(self) -> "Launch":
        self._span.begin()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._span.end()

    def set(self, **arguments: Any) -> None:
        """Adds arguments that were not known at the beginning."""
        self._span.set(**arguments)

    def wait(self) -> Span:
        """A span around waiting for the kernel, paired with the launch."""
        span: Span = _ringscope._launch_span(self._name, self.correlation, True, **self._options)
        return span

    def device_span(self, start_ticks: int, end_ticks: int, clock_domain: ClockDomain, **options: Any) -> None:
        """The kernel's execution, in ticks of the device's clock; category and level are the launch's unless given."""
        start, end = _word(start_ticks), _word(end_ticks)
        lane = self._lane(clock_domain)
        if start is None or end is None or lane is None:
            return
        clock_domain._publish()
        options = {"cat": self._options["cat"], "level": self._options["level"], **options}
        _ringscope._device_span(self._name, lane, self.correlation, start, max(0, end - start), **options)

    def _lane(self, clock_domain: ClockDomain) -> Optional[int]:
        device, stream = _word(self._device, 32), _word(self._stream, 32)
        if device is None or stream is None:
            return None
        key = (device, stream, clock_domain.id)
        if key not in _streams:
            _streams[key] = _ringscope._stream(*key, f"stream {stream}")
        return _streams[key]


def launch(name: str, *, device: int = 0, stream: int = 0, correlation: Any = None, **options: Any) -> Launch:
    """Describes a kernel launch; options are those of `span()`, but for the defaults `cat="kernel"` and `level="kernel"`.

    Without a correlation id one is made up; one that is no number is replaced by a number that stands for it.
    """
    options = {"cat": "kernel", "level": "kernel", **options}
    if correlation is None:
        # Unique among the processes of a run: pids take 22 bits, and flow ids must stay below 2^53.
        correlation = (os.getpid() & 0x3FFFFF) << 31 | next(_correlations) & 0x7FFFFFFF
    return Launch(name, device, stream, _ringscope._id(correlation), options)


def _word(number: Any, bits: int = 64) -> Optional[int]:
    """A number as a record holds it; `None` for what is none: launches must not fail by what they are described with."""
    try:
        word = int(number)
    except Exception:
        return None
    return word if 0 <= word < 1 << bits else None
