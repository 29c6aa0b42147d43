"""The native part of ringscope. Times are nanoseconds of CLOCK_MONOTONIC unless said otherwise."""

from types import TracebackType
from typing import Any, Callable, ContextManager, Dict, Mapping, Optional, Tuple, Type, TypeVar, Union, final
from contextvars import ContextVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
# A number, a text, or anything else that shows itself as a text, such as a UUID.
_Id = Any

@final
class Span:
    """A span: a context manager, a decorator, or begun and ended by hand.

    It may be used again and again, also while it is open, by several threads and tasks. It stands on the lane of the
    track that was entered, else of the running asyncio task, else of the thread.
    """

    def __new__(
        cls,
        name: str,
        *,
        cat: str = "default",
        level: str = "e2e",
        args: Optional[Mapping[Any, Any]] = None,
        **arguments: Any,
    ) -> "Span": ...
    def __enter__(self) -> "Span":
        """Begins the span."""
    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Ends the span, also when an exception left its body."""
    def __call__(self, function: _Function) -> _Function:
        """As a decorator: one span a call; of a generator, one over the whole iteration."""
    def begin(self) -> "Span":
        """Begins the span; returns it."""
    def end(self) -> None:
        """Ends the span."""
    def set(self, **arguments: Any) -> None:
        """Adds arguments that were not known at the beginning."""
    def _copy(self) -> "Span": ...

@final
class Lap:
    """Adjacent spans that share their clock reads; made by `lap()`."""

    def next(self, name: str) -> None:
        """Ends the phase and begins the next one at the same moment."""
    def set(self, **arguments: Any) -> None:
        """Adds arguments to the phase."""
    def end(self) -> None:
        """Ends the last phase."""
    def __enter__(self) -> "Lap": ...
    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...

class Recorder:
    """The base of `ringscope.profile.ProfileRecorder`."""

    def span(
        self, name: str, *, cat: str = "e2e", level: str = "e2e", args: Optional[Dict[str, Any]] = None
    ) -> ContextManager[Any]:
        """A span; `args` is read when it ends."""
    def instant(
        self, name: str, *, cat: str = "e2e", level: str = "e2e", args: Optional[Dict[str, Any]] = None
    ) -> None:
        """Records a moment."""
    def duration(
        self,
        name: str,
        *,
        dur_us: float,
        cat: str = "e2e",
        level: str = "e2e",
        args: Optional[Dict[str, Any]] = None,
        ts_us: Optional[float] = None,
    ) -> None:
        """Records a span that is over: its duration, and its start on the clock of `time.perf_counter`, in microseconds;
        without a start it ends now."""
    def _configure(self, levels: int, is_verbose: bool, target: int, /) -> None: ...
    def _set_active(self, flag: bool, /) -> None: ...
    def _is_active(self) -> bool: ...
    def _set_parents(self) -> None: ...

def span(
    name: str,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> Span:
    """A new span.

    cat: category. level: e2e, kernel or verbose; checked when the span begins. args: arguments whose keys are no
    Python names. Values that JSON can carry stay what they are; others are recorded as `str` shows them.
    """

def lap(
    name: str,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> Lap:
    """Begins adjacent spans that share their clock reads."""

def instant(
    name: str,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> None:
    """Records a moment."""

def counter(name: str, value: float, *, cat: str = "default", level: str = "e2e") -> None:
    """Records the value of a counter."""

def complete(
    name: str,
    start_ns: int,
    duration_ns: int,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> None:
    """Records a span that is over: start (see `now_ns`) and duration in nanoseconds."""

def async_begin(
    name: str,
    id: _Id,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> None:
    """Begins a span that may end on any lane of the process: `async_end` with the same name, category and id ends it."""

def async_end(
    name: str,
    id: _Id,
    *,
    cat: str = "default",
    level: str = "e2e",
    args: Optional[Mapping[Any, Any]] = None,
    **arguments: Any,
) -> None:
    """Ends what `async_begin` began."""

def process_name(name: str, /) -> None:
    """Names the process in traces; the default is the stem of the program's name."""

def thread_name(name: str, /) -> None:
    """Names the calling thread in traces; the default is the name that `threading` has for it."""

def now_ns() -> int:
    """CLOCK_MONOTONIC in nanoseconds."""

def profile_span(
    name: str, *, cat: str = "e2e", level: str = "e2e", args: Optional[Dict[str, Any]] = None
) -> ContextManager[Any]:
    """A span of the process's recorder; `args` is read when it ends."""

def profile_instant(
    name: str, *, cat: str = "e2e", level: str = "e2e", args: Optional[Dict[str, Any]] = None
) -> None:
    """Records a moment."""

def profile_duration(
    name: str,
    *,
    dur_us: float,
    cat: str = "e2e",
    level: str = "e2e",
    args: Optional[Dict[str, Any]] = None,
    ts_us: Optional[float] = None,
) -> None:
    """Records a span that is over; see `Recorder.duration`."""

def _decorate_with(function: Callable[[Any, Callable[..., Any]], Callable[..., Any]], /) -> None: ...
def _device_span(
    name: str, stream: int, correlation: int, start_ticks: int, duration_ticks: int, /, **options: Any
) -> None: ...
def _flow_in(name: str, id: _Id, /, **options: Any) -> None: ...
def _flow_out(name: str, id: _Id, /, **options: Any) -> None: ...
def _generation() -> int: ...
def _id(id: _Id, /) -> int: ...
def _is_enabled(level: str, /) -> bool: ...
def _launch_span(name: str, correlation: _Id, is_wait: bool, /, **options: Any) -> Span: ...
def _publish_anchor(domain: int, host_before_ticks: int, device_ticks: int, host_after_ticks: int, /) -> bool: ...
def _publish_clock_domain(id: int, frequency_hz: int, name: str, /) -> bool: ...
def _serve(namespace: Dict[str, Any], get_profiler: Callable[[], Recorder], /) -> None: ...
def _set_level(level: str, /) -> bool: ...
def _set_target(number: int, /) -> None: ...
def _start(
    dir: bytes,
    run_dir: bytes,
    level: Optional[str],
    full: bool,
    ring_size: int,
    max_size: int,
    process_name: bytes,
    rank: int,
    /,
) -> bool: ...
def _status() -> Tuple[Optional[bytes], str, Optional[str]]: ...
def _stream(device: int, stream: int, clock_domain: int, name: str, /) -> Optional[int]: ...
def _ticks() -> int: ...
def _track(variable: "ContextVar[Optional[int]]", name: str, /) -> Optional[int]: ...
