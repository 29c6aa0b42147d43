"""What the tests share: programs run in processes of their own, since a process records one run at a time, and traces
read back by a strict parser."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path


def strict(text):
    """JSON as the standard has it: no NaN, and no key twice in an object."""

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key twice: {keys}")
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


class Trace:
    """A trace that was read."""

    def __init__(self, path):
        self.events = strict(Path(path).read_text(encoding="utf-8"))["traceEvents"]

    def spans(self, name=None):
        return [e for e in self.events if e["ph"] == "X" and (name is None or e["name"] == name)]

    def span(self, name):
        [span] = self.spans(name)
        return span

    def instants(self, name):
        return [e for e in self.events if e["ph"] == "i" and e["name"] == name]

    def row(self, event):
        """Name of the row that an event stands on."""
        [name] = [
            e["args"]["name"]
            for e in self.events
            if e["name"] == "thread_name" and (e["pid"], e["tid"]) == (event["pid"], event["tid"])
        ]
        return name

    def process_names(self, pid):
        return [e["args"]["name"] for e in self.events if e["name"] == "process_name" and e["pid"] == pid]


class ProgramTest(unittest.TestCase):
    """A test that runs programs in a directory of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="ringscope-python-")
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def run_program(self, source, *, expected_status=0, warnings_are_errors=True, **environment):
        """Runs Python source; what it printed. Variables of recorders are those given alone."""
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RINGSCOPE_", "SA_PROFILE_"))
        }
        program = self.dir / "program.py"
        program.write_text(textwrap.dedent(source))
        flags = ["-W", "error"] if warnings_are_errors else []
        done = subprocess.run(
            [sys.executable, *flags, str(program)],
            cwd=self.dir,
            env={**clean, "OUT": str(self.dir / "trace.json"), "RUNS": str(self.dir / "runs"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        self.assertEqual(done.returncode, expected_status, done.stderr.decode())
        if expected_status == 0:
            self.assertEqual(done.stderr.decode(), "")
        return done.stdout.decode()

    def trace_of(self, source, **options):
        """Records what `source` does with a fresh recording, and decodes it afterwards."""
        prologue = "import os, ringscope\nringscope.start(os.environ['RUNS'], level='verbose', mode='full')\n"
        self.run_program(prologue + textwrap.dedent(source), **options)
        return self.decode()

    def decode(self):
        import ringscope

        ringscope.decode(self.dir / "runs", self.dir / "trace.json")
        return Trace(self.dir / "trace.json")
