"""What the serving stack's profiler is configured by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Mapping, Optional, Union

_OUTPUT_ENV = "SA_PROFILE_OUTPUT"
_LEVEL_ENV = "SA_PROFILE_LEVEL"
_RUN_ENV = "RINGSCOPE_RUN"
_DEFAULT_OUTPUT = "./profile_out"
_DEFAULT_LEVELS = "e2e,kernel"
_SUPPORTED_LEVELS = frozenset({"e2e", "kernel", "verbose"})


@dataclass(frozen=True)
class ProfileConfig:
    """Whether, where and what is recorded. It travels to spawned workers."""

    enabled: bool
    output: Path
    trace_file: Path
    fragments_dir: Path
    levels: FrozenSet[str]

    def includes(self, level: str) -> bool:
        """True when spans of this level are recorded; under verbose, those of any."""
        return level in self.levels or "verbose" in self.levels


def load_profile_config(env: Optional[Mapping[str, str]] = None) -> ProfileConfig:
    """The configuration that the environment asks for: on when one of its variables is there, even empty, and under
    `ringscope record`."""
    environment = os.environ if env is None else env
    return create_profile_config(
        enabled=any(name in environment for name in (_OUTPUT_ENV, _LEVEL_ENV, _RUN_ENV)),
        output=environment.get(_OUTPUT_ENV) or _DEFAULT_OUTPUT,
        levels=environment.get(_LEVEL_ENV) or _DEFAULT_LEVELS,
    )


def create_profile_config(
    *,
    enabled: bool,
    output: Union[str, "os.PathLike[str]"] = _DEFAULT_OUTPUT,
    levels: str = _DEFAULT_LEVELS,
) -> ProfileConfig:
    """A configuration. `output` is a directory, or a trace file if it ends in `.json`; `levels` are joined by commas.

    Raises ValueError for a level that is none.
    """
    place = Path(output).expanduser()
    if place.suffix == ".json":
        trace_file = place
        fragments_dir = place.with_name(place.name + ".fragments")
    else:
        trace_file = place / "trace.json"
        fragments_dir = place / "fragments"
    return ProfileConfig(
        enabled=enabled,
        output=place,
        trace_file=trace_file,
        fragments_dir=fragments_dir,
        levels=_parse_levels(levels),
    )


def _parse_levels(text: str) -> FrozenSet[str]:
    levels = {level.strip().lower() for level in text.split(",")} - {""}
    unsupported = sorted(levels - _SUPPORTED_LEVELS)
    if unsupported:
        raise ValueError(
            f"{_LEVEL_ENV} contains unsupported value(s): {', '.join(unsupported)}. "
            f"Supported: {', '.join(sorted(_SUPPORTED_LEVELS))}."
        )
    if not levels:
        return _parse_levels(_DEFAULT_LEVELS)
    return frozenset(_SUPPORTED_LEVELS if "verbose" in levels else levels)
