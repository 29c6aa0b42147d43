"""Named tracks, and arrows between spans."""

from __future__ import annotations

import contextvars
from types import TracebackType
from typing import Any, Optional, Type

from ringscope import _ringscope

_current: "contextvars.ContextVar[Optional[int]]" = contextvars.ContextVar("ringscope_track", default=None)


class track:
    """A lane of its own, named `name`: what is recorded inside stands there, in this task or thread and in all that
    take over its context (tasks it makes, `asyncio.to_thread`).

        with ringscope.track(f"req {request_id}"):
            ...
    """

    __slots__ = ("_name", "_tokens")

    def __init__(self, name: str) -> None:
        self._name = name
        self._tokens: "list[contextvars.Token[Optional[int]]]" = []

    def __enter__(self) -> "track":
        self._tokens.append(_current.set(_ringscope._track(_current, self._name)))
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        # The newest one of this context: tasks that share this object leave in any order.
        for token in reversed(self._tokens[:]):
            try:
                _current.reset(token)
            except (ValueError, RuntimeError):
                continue
            self._tokens.remove(token)
            return
        # Entered in a context that is left elsewhere, as generators are that another task closes.
        del self._tokens[-1:]


def flow_out(id: Any, name: str = "flow", **options: Any) -> None:
    """An arrow leaves here, from the span that encloses this moment, to where `flow_in` takes the same id."""
    _ringscope._flow_out(name, id, **options)


def flow_in(id: Any, name: str = "flow", **options: Any) -> None:
    """The arrow with this id arrives here."""
    _ringscope._flow_in(name, id, **options)
