"""Records spans, instants and counters at the price of the `with` statement, in files that outlive the process.

    import ringscope

    with ringscope.span("decode_step", step=7, cat="worker") as s:
        s.set(tokens=3)                               # known late

    @ringscope.span("prefill")
    async def prefill(batch): ...

Nothing is recorded until the program runs under `ringscope record`, the environment asks for it, or `start()` is called.
"""

from ringscope._command import CommandError, decode, stats
from ringscope._decorate import decorate as _decorate
from ringscope._device import ClockDomain, Launch, clock_domain, launch
from ringscope._log import LogHandler
from ringscope._recording import Status, is_enabled, level, start, status, stop
from ringscope._ringscope import (
    Lap,
    Span,
    _decorate_with,
    async_begin,
    async_end,
    complete,
    counter,
    instant,
    lap,
    now_ns,
    process_name,
    span,
    thread_name,
)
from ringscope._track import flow_in, flow_out, track

__all__ = [
    "ClockDomain",
    "CommandError",
    "Lap",
    "Launch",
    "LogHandler",
    "Span",
    "Status",
    "async_begin",
    "async_end",
    "clock_domain",
    "complete",
    "counter",
    "decode",
    "flow_in",
    "flow_out",
    "instant",
    "is_enabled",
    "lap",
    "launch",
    "level",
    "now_ns",
    "process_name",
    "span",
    "start",
    "stats",
    "status",
    "stop",
    "thread_name",
    "track",
]

_decorate_with(_decorate)
