"""The recorder of the serving stack, as a drop-in: the same names, on rings that outlive the process."""

from ringscope.profile.env import ProfileConfig, create_profile_config, load_profile_config
from ringscope.profile.merge import merge_fragments
from ringscope.profile.recorder import (
    ProfileRecorder,
    configure_profiler,
    get_profiler,
    is_enabled,
    merge_profile,
    profile_duration,
    profile_instant,
    profile_span,
    start_profile,
    stop_profile,
)

__all__ = [
    "ProfileConfig",
    "ProfileRecorder",
    "configure_profiler",
    "create_profile_config",
    "get_profiler",
    "is_enabled",
    "load_profile_config",
    "merge_fragments",
    "merge_profile",
    "profile_duration",
    "profile_instant",
    "profile_span",
    "start_profile",
    "stop_profile",
]
