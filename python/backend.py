"""Builds the command `ringscope` and its interceptors into the wheel, then lets maturin do the rest (PEP 517, PEP 660).

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
# Where the command looks for them: cli/src/record/intercept.rs. Not in lib, which `pip install --target` leaves out.
_INTERCEPTORS = _HERE / "data" / "data" / "libexec" / "ringscope"


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
    """Puts the command and the interceptors where maturin takes them from."""
    _build("ringscope-cli", ["--bin", "ringscope"], _SCRIPTS / "ringscope")
    for library in ("nvtx", "opencl"):
        _build(f"ringscope-{library}", ["--lib"], _INTERCEPTORS / f"libringscope_{library}.so")


def _build(package, what, to):
    """Builds `what` of a package; its file of the name that `to` has is copied there."""
    arguments = ["rustc", "--release", "--locked", "--package", package, *what]
    if target := os.environ.get("RINGSCOPE_COMMAND_TARGET"):
        # For wheels of another machine, or of an older C library: see ci/wheels.
        arguments += ["--target", target]
    arguments += ["--message-format", "json-render-diagnostics", "--", "-C", "strip=symbols"]
    cargo = os.environ.get("CARGO", "cargo")
    built = subprocess.run([cargo, *arguments], cwd=_HERE.parent, stdout=subprocess.PIPE, check=True)
    files = (file for line in built.stdout.splitlines() for file in json.loads(line).get("filenames", ()))
    [file] = {file for file in files if Path(file).name == to.name}
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, to)
