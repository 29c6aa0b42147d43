"""Builds the command `ringscope` into the wheel's scripts, then lets maturin do the rest (PEP 517, PEP 660).

The package is built from the repository it stands in; a source distribution of its own would lack the command.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import get_requires_for_build_editable, get_requires_for_build_wheel

__all__ = [
    "build_editable",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_HERE = Path(__file__).parent
_SCRIPTS = _HERE / "data" / "scripts"


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    _SCRIPTS.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    _SCRIPTS.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _build_command()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _build_command()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def _build_command():
    """Puts the command where maturin takes the wheel's scripts from."""
    arguments = ["rustc", "--release", "--locked", "--package", "ringscope-cli", "--bin", "ringscope"]
    if target := os.environ.get("RINGSCOPE_COMMAND_TARGET"):
        # For wheels of another machine, or of an older C library: see ci/wheels.
        arguments += ["--target", target]
    arguments += ["--message-format", "json-render-diagnostics", "--", "-C", "strip=symbols"]
    cargo = os.environ.get("CARGO", "cargo")
    built = subprocess.run([cargo, *arguments], cwd=_HERE.parent, stdout=subprocess.PIPE, check=True)
    messages = map(json.loads, built.stdout.splitlines())
    [executable] = [message["executable"] for message in messages if message.get("executable")]
    _SCRIPTS.mkdir(parents=True, exist_ok=True)
    shutil.copy2(executable, _SCRIPTS / "ringscope")
