"""What the engine and its workers send each other, pickled, over the pipe of each worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple


@dataclass(frozen=True)
class Step:
    """One turn of a worker: sequences to begin, to continue by a token each, and to forget."""

    id: int
    prefill: List[Tuple[str, List[int]]]
    decode: List[str]
    released: List[str]


@dataclass(frozen=True)
class StepOutput:
    """A new token for each sequence of the step."""

    step_id: int
    tokens: Dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """Something else that a worker is asked to do: `start_profile`, `stop_profile` or `exit`."""

    action: str


@dataclass(frozen=True)
class Done:
    """Answer to `Control`, and to being started; `error` says why it failed."""

    error: Optional[str] = None
