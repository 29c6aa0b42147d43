"""The chip as the profiler sees it: what ran on it, in time of its own clock, which here is the host's."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

import ringscope
from ringscope.profile import profile_span

_Result = TypeVar("_Result")


class Stream:
    """A queue of a device, on which kernels run one after the other."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._clock = ringscope.clock_domain("CLOCK_MONOTONIC", 1_000_000_000)

    def anchor(self) -> None:
        """Ties the device's clock to the host's: from time to time, since clocks drift."""
        before = self._clock.ticks()
        device = time.monotonic_ns()
        self._clock.anchor(before, device, self._clock.ticks())

    def run(self, name: str, work: Callable[[], _Result], **args: int) -> _Result:
        """Launches a kernel and waits for it."""
        with profile_span(name, cat="kernel", level="kernel", args=args):
            with ringscope.launch(f"{name}.worker_run", device=self._device, rank=self._device) as launch:
                start_ns = time.monotonic_ns()
                result = work()
                end_ns = time.monotonic_ns()
            launch.device_span(start_ns, end_ns, self._clock)
            return result
