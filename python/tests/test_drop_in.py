"""The serving stack's contract: every name, default and rule of `ringscope.profile`."""

import dataclasses
import inspect
import os
import pickle
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from ringscope import profile
from ringscope.profile import (
    ProfileRecorder,
    create_profile_config,
    env,
    load_profile_config,
    merge,
    merge_fragments,
    recorder,
)
from support import ProgramTest, Trace


class Configuration(unittest.TestCase):
    def test_on_when_a_variable_is_there_even_empty(self):
        self.assertFalse(load_profile_config({}).enabled)
        for name in ("SA_PROFILE_OUTPUT", "SA_PROFILE_LEVEL"):
            config = load_profile_config({name: ""})
            self.assertTrue(config.enabled)
            self.assertEqual(config.trace_file, Path("./profile_out/trace.json"))
            self.assertEqual(config.fragments_dir, Path("./profile_out/fragments"))
            self.assertEqual(config.levels, frozenset({"e2e", "kernel"}))

    def test_places(self):
        config = create_profile_config(enabled=True, output="~/x/t.json")
        self.assertEqual(config.trace_file, Path.home() / "x/t.json")
        self.assertEqual(config.fragments_dir, Path.home() / "x/t.json.fragments")

    def test_levels(self):
        levels = lambda text: create_profile_config(enabled=True, levels=text).levels
        self.assertEqual(levels(" E2E "), {"e2e"})
        self.assertEqual(levels(" , "), {"e2e", "kernel"})
        self.assertEqual(levels("verbose"), {"e2e", "kernel", "verbose"})
        with self.assertRaises(ValueError) as caught:
            levels("zeta,e2e,alpha")
        self.assertEqual(
            str(caught.exception),
            "SA_PROFILE_LEVEL contains unsupported value(s): alpha, zeta. Supported: e2e, kernel, verbose.",
        )

    def test_a_configuration_is_frozen_hashable_and_travels(self):
        config = create_profile_config(enabled=True, levels="verbose")
        self.assertEqual(pickle.loads(pickle.dumps(config)), config)
        self.assertIn(config, {config})
        with self.assertRaises(dataclasses.FrozenInstanceError):
            config.enabled = False
        self.assertTrue(config.includes("anything"))
        self.assertFalse(create_profile_config(enabled=True).includes("verbose"))

    def test_names_and_signatures(self):
        for module, names in {
            profile: "ProfileConfig ProfileRecorder configure_profiler create_profile_config get_profiler is_enabled "
            "load_profile_config merge_fragments merge_profile profile_duration profile_instant profile_span "
            "start_profile stop_profile",
            env: "ProfileConfig create_profile_config load_profile_config",
            merge: "merge_fragments",
            recorder: "ProfileRecorder configure_profiler get_profiler is_enabled merge_profile profile_span "
            "profile_instant profile_duration start_profile stop_profile",
        }.items():
            for name in names.split():
                self.assertTrue(hasattr(module, name), name)
        common = "(name, *, cat='e2e', level='e2e', args=None)"
        self.assertEqual(str(inspect.signature(profile.profile_span)), common)
        self.assertEqual(str(inspect.signature(profile.profile_instant)), common)
        self.assertEqual(str(inspect.signature(ProfileRecorder.span)), common.replace("(", "(self, /, "))


class Recorder(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="ringscope-python-")
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.config = create_profile_config(enabled=True, output=self.dir)
        os.environ.pop("SA_PROFILE_MAIN_PID", None)
        recorder._profiler = None
        recorder._profiler_pid = None

    def merge(self):
        count = merge_fragments(self.config.fragments_dir, self.config.trace_file)
        trace = Trace(self.config.trace_file)
        self.assertEqual(count, len(trace.events))
        return trace

    def test_events(self):
        recorder = ProfileRecorder(self.config, process_name="unit")
        late = {}
        with recorder.span("span", cat="c", args=late):
            late["value"] = 1
            recorder.instant("instant", cat="c", args={"state": "inside"})
            recorder.duration("duration", dur_us=1234.9)
            recorder.duration("placed", dur_us=-5, ts_us=1000)
        recorder.metadata("custom", "x")
        self.assertTrue(recorder.close())
        trace = self.merge()
        span = trace.span("span")
        self.assertEqual((span["cat"], span["args"], span["pid"]), ("c", {"value": 1}, os.getpid()))
        self.assertEqual(trace.instants("instant")[0]["s"], "t")
        self.assertEqual((trace.span("duration")["dur"], trace.span("duration")["args"]), (1234, {}))
        self.assertEqual((trace.span("placed")["dur"], trace.span("placed")["ts"]), (0, 1000))
        self.assertEqual(trace.row(span).split(" (")[0], "MainThread")
        self.assertEqual(trace.process_names(os.getpid()), ["unit"])
        [custom] = [e for e in trace.events if e["name"] == "custom"]
        self.assertEqual(custom, {"name": "custom", "ph": "M", "pid": os.getpid(), "tid": 0, "args": {"name": "x"}})
        self.assertEqual({e["name"] for e in trace.events if e["ph"] == "M"}, {"process_name", "thread_name", "custom"})

    def test_times_are_those_of_perf_counter(self):
        import time

        recorder = ProfileRecorder(self.config)
        before = time.perf_counter_ns()
        recorder.instant("now")
        after = time.perf_counter_ns()
        now = self.merge().instants("now")[0]["ts"]
        self.assertTrue(before / 1e3 - 1 <= now <= after / 1e3 + 1)

    def test_nothing_raises_into_the_host(self):
        class Hostile:
            def __str__(self):
                raise KeyboardInterrupt

            __repr__ = __str__

        recorder = ProfileRecorder(self.config)
        for args in ({"a": Hostile()}, {Hostile(): 1}, {"n": float("nan"), "ok": 1}, [1, 2], "text", 7, {}):
            with recorder.span("odd", args=args):
                pass
        with recorder.span(12, cat=None, level="no such level"):
            pass
        with recorder.span(None, cat=7):
            pass
        trace = self.merge()
        self.assertEqual(len(trace.spans("odd")), 7)
        self.assertEqual(trace.spans("odd")[2]["args"], {"n": "NaN", "ok": 1})
        self.assertEqual(len(trace.spans("None")), 1)

    def test_levels_and_activity_are_checked_at_entry(self):
        recorder = ProfileRecorder(self.config, initially_active=False)
        self.assertTrue(recorder.enabled)
        self.assertFalse(recorder.active)
        self.assertFalse(recorder.includes("e2e"))
        off = recorder.span("entered-off")
        with off:
            self.assertTrue(recorder.start())
        self.assertFalse(recorder.start())
        with recorder.span("entered-on"):
            self.assertTrue(recorder.stop())
        self.assertFalse(recorder.stop())
        recorder.start()
        recorder.instant("verbose", level="verbose")
        self.assertFalse(recorder.includes("verbose"))
        names = {e["name"] for e in self.merge().events}
        self.assertFalse(names & {"entered-off", "verbose"})

    def test_names_of_a_process_are_all_kept(self):
        profile.configure_profiler(self.config, process_name="initial")
        profile.get_profiler(process_name="renamed")
        profile.get_profiler(process_name="renamed")
        self.assertEqual(self.merge().process_names(os.getpid()), ["initial", "renamed"])

    def test_module_functions(self):
        self.assertFalse(profile.is_enabled())
        self.assertEqual(profile.merge_profile(), 0)
        with profile.profile_span("off", args={"a": 1}):
            profile.profile_instant("off")
        profile.configure_profiler(self.config)
        self.assertIs(profile.get_profiler(), profile.get_profiler())
        self.assertTrue(profile.is_enabled("kernel"))
        with profile.profile_span("on", cat="request", level="kernel", args={"a": 1}):
            profile.profile_duration("past", dur_us=5)
        count = profile.merge_profile()
        trace = Trace(self.config.trace_file)
        self.assertEqual(count, len(trace.events))
        self.assertFalse(profile.is_enabled())
        self.assertEqual(trace.span("on")["cat"], "request")
        self.assertEqual({e["name"] for e in trace.spans()}, {"on", "past"})

    def test_a_session_begins_with_start_in_the_main_process(self):
        profile.configure_profiler(self.config, initially_active=True)
        with profile.profile_span("first"):
            pass
        profile.stop_profile()
        self.assertTrue(profile.start_profile())
        self.assertFalse(profile.start_profile())
        with profile.profile_span("second"):
            pass
        profile.merge_profile()
        self.assertEqual([e["name"] for e in Trace(self.config.trace_file).spans()], ["second"])

    def test_workers_of_earlier_sessions_leave_no_name(self):
        profile.configure_profiler(self.config, process_name="main")
        worker = os.fork()
        if worker == 0:
            try:
                profile.get_profiler(process_name="worker")
                with profile.profile_span("of worker"):
                    pass
            finally:
                os._exit(0)
        os.waitpid(worker, 0)
        profile.merge_profile()
        self.assertIn("worker", Trace(self.config.trace_file).process_names(worker))
        self.assertTrue(profile.start_profile())
        with profile.profile_span("of main"):
            pass
        profile.merge_profile()
        trace = Trace(self.config.trace_file)
        self.assertEqual((trace.process_names(worker), [e["name"] for e in trace.spans()]), ([], ["of main"]))
        self.assertEqual(trace.process_names(os.getpid()), ["main"])

    def test_an_event_is_of_the_session_that_it_was_recorded_in_whatever_its_time(self):
        profile.configure_profiler(self.config)
        profile.profile_duration("before", dur_us=5, ts_us=1000)
        with profile.profile_span("before"):
            across = profile.profile_span("across", args={"a": 1})
            across.__enter__()
        profile.profile_duration("before", dur_us=5, ts_us=1000)
        profile.stop_profile()
        self.assertTrue(profile.start_profile())
        profile.profile_duration("placed", dur_us=5, ts_us=1000)
        profile.profile_duration("long", dur_us=60_000_000)
        across.__exit__(None, None, None)
        profile.merge_profile()
        trace = Trace(self.config.trace_file)
        self.assertEqual({e["name"] for e in trace.spans()}, {"placed", "long", "across"})
        self.assertEqual((trace.span("placed")["ts"], trace.span("placed")["dur"]), (1000, 5))
        self.assertEqual((trace.span("long")["dur"], trace.span("long")["args"]), (60_000_000, {}))
        self.assertEqual(trace.span("across")["args"], {"a": 1})

    def test_a_first_session_keeps_what_lies_before_it(self):
        profile.configure_profiler(self.config)
        profile.profile_duration("placed", dur_us=5, ts_us=1000)
        profile.profile_duration("load", dur_us=60_000_000)
        profile.merge_profile()
        trace = Trace(self.config.trace_file)
        self.assertEqual((trace.span("placed")["ts"], trace.span("load")["dur"]), (1000, 60_000_000))

    def test_every_event_has_a_category(self):
        profile.configure_profiler(self.config)
        with profile.profile_span("span", cat="", args={"a": 1}):
            profile.profile_instant("instant", cat="")
        with profile.profile_span("plain", cat=""):
            profile.profile_duration("duration", cat="", dur_us=1)
        profile.merge_profile()
        events = [e for e in Trace(self.config.trace_file).events if e["ph"] != "M"]
        self.assertEqual({e["name"]: e["cat"] for e in events}, dict.fromkeys(("span", "instant", "plain", "duration"), ""))

    def test_lines_that_hold_no_characters_are_mended(self):
        fragments = self.config.fragments_dir
        fragments.mkdir(parents=True)
        (fragments / "trace.1.jsonl").write_bytes(b'{"name":"raw","args":{"x":"\xff"}}\n{"name":"escaped","args":{"x":"\\ud800"}}\n')
        trace = self.merge()
        self.assertEqual([e["args"]["x"] for e in trace.events], ["\ufffd", "\ufffd"])
        self.assertNotIn(b"\\ud800", self.config.trace_file.read_bytes())

    def test_a_recorder_that_is_started_again_goes_on(self):
        recorder = ProfileRecorder(self.config, initially_active=False)
        self.assertFalse(self.config.fragments_dir.exists(), "nothing is written before it records")
        for name in ("first", "second"):
            self.assertTrue(recorder.start())
            with recorder.span(name):
                pass
            self.assertTrue(recorder.stop())
        trace = self.merge()
        self.assertEqual({e["name"] for e in trace.spans()}, {"first", "second"})
        self.assertEqual(len(trace.process_names(os.getpid())), 1)

    def test_names_given_while_inactive_are_kept_until_it_records(self):
        profile.configure_profiler(self.config, process_name="initial", initially_active=False)
        profile.get_profiler(process_name="renamed")
        profile.start_profile()
        profile.stop_profile()
        self.assertEqual(self.merge().process_names(os.getpid()), ["initial", "renamed"])

    def test_an_earlier_runs_fragments_go_and_other_files_stay(self):
        self.config.fragments_dir.mkdir(parents=True)
        stale = self.config.fragments_dir / "trace.123.jsonl"
        stale.write_text("{}\n")
        unrelated = self.config.fragments_dir / "notes.txt"
        unrelated.write_text("keep")
        recorder._prepare_run(self.config)
        self.assertFalse(stale.exists())
        self.assertTrue(unrelated.exists())

    def test_merge_of_old_fragments(self):
        fragments = self.config.fragments_dir
        self.assertEqual(merge_fragments(fragments, self.config.trace_file), 0)
        self.assertEqual(Trace(self.config.trace_file).events, [])
        fragments.mkdir(parents=True)
        (fragments / "trace.1.jsonl").write_text('{"name":"ok","ph":"i"}\n{"name":\n{"name":"ok2","ph":"i"}\n')
        (fragments / "trace.2.jsonl").write_bytes(b'{"name":"n","args":{"x":NaN}}\n\xff\n{"name":"cut')
        self.assertEqual([e["name"] for e in self.merge().events], ["ok", "ok2", "n"])

    def test_recorders_of_two_places_in_one_process(self):
        other = create_profile_config(enabled=True, output=self.dir / "other.json")
        first, second = ProfileRecorder(self.config), ProfileRecorder(other)
        for name in ("a", "b"):
            with first.span(name):
                second.instant(name + "-other")
        self.assertEqual({e["name"] for e in self.merge().spans()}, {"a", "b"})
        merge_fragments(other.fragments_dir, other.trace_file)
        self.assertEqual({e["name"] for e in Trace(other.trace_file).events if e["ph"] == "i"}, {"a-other", "b-other"})


class FirstCalls(ProgramTest):
    """What the module functions do before a recorder was asked for."""

    def run_first(self, source):
        self.run_program("from ringscope.profile import *\n" + source, SA_PROFILE_OUTPUT=str(self.dir / "out"))

    def test_start_starts(self):
        self.run_first("assert start_profile() is True and start_profile() is False and stop_profile() is True")

    def test_stop_and_merge_record_nothing(self):
        self.run_first("assert stop_profile() is False and merge_profile() == 0")


class Processes(ProgramTest):
    PROLOGUE = """
        import multiprocessing, os, signal, sys, time
        from ringscope.profile import *
        def work(config, name):
            configure_profiler(config, process_name=name)
            with profile_span('work', args={'who': name}): pass
        def die(config):
            configure_profiler(config)
            for n in range(100):
                with profile_span('step', args={'n': n}): pass
            os.kill(os.getpid(), signal.SIGKILL)
    """

    def merged(self, body, **environment):
        import textwrap

        source = textwrap.dedent(self.PROLOGUE) + "\nif __name__ == '__main__':\n" + textwrap.indent(
            textwrap.dedent(body), "    "
        )
        self.run_program(source, **environment)
        return Trace(self.dir / "profile_out" / "trace.json")

    def test_workers_by_every_start_method(self):
        trace = self.merged(
            """
            config = create_profile_config(enabled=True)
            for method in ('forkserver', 'spawn', 'fork'):
                context = multiprocessing.get_context(method)
                if method == 'forkserver':
                    first = context.Process(target=work, args=(config, 'w-early'))
                    first.start(); first.join()
                    configure_profiler(config, process_name='main')
                worker = context.Process(target=work, args=(config, f'w-{method}'))
                worker.start(); worker.join()
                assert worker.exitcode == 0
            with profile_span('work', args={'who': 'main'}): pass
            assert merge_profile() > 0
            """
        )
        self.assertEqual(
            sorted(e["args"]["who"] for e in trace.spans("work")), ["main", "w-fork", "w-forkserver", "w-spawn"]
        )
        for event in trace.spans("work"):
            self.assertEqual(trace.process_names(event["pid"])[-1], event["args"]["who"])

    def test_a_forked_child_keeps_what_code_configured(self):
        trace = self.merged(
            """
            configure_profiler(create_profile_config(enabled=True, levels='kernel'), process_name='parent')
            with profile_span('parent', level='kernel'): pass
            if os.fork() == 0:
                with profile_span('child', level='kernel'): pass
                profile_instant('not-included')
                assert get_profiler().pid == os.getpid()
                os._exit(0)
            os.wait()
            merge_profile()
            """
        )
        self.assertEqual(len({e["pid"] for e in trace.spans()}), 2)
        self.assertEqual({e["name"] for e in trace.spans()}, {"parent", "child"})
        self.assertEqual(trace.instants("not-included"), [])

    def test_a_killed_worker_loses_nothing_that_ended(self):
        trace = self.merged(
            """
            config = create_profile_config(enabled=True)
            configure_profiler(config)
            worker = multiprocessing.get_context('spawn').Process(target=die, args=(config,))
            worker.start(); worker.join()
            assert worker.exitcode == -signal.SIGKILL
            merge_profile()
            """
        )
        self.assertEqual([e["args"]["n"] for e in trace.spans("step")], list(range(100)))

    def test_nothing_from_before_a_session_by_processes_that_live_on(self):
        trace = self.merged(
            """
            configure_profiler(create_profile_config(enabled=True), initially_active=False)
            (begun, go), (go_in, begun_out) = multiprocessing.Pipe(), multiprocessing.Pipe()
            if os.fork() == 0:
                start_profile()
                with profile_span('old'): pass
                begun.send(1)
                go_in.recv()
                with profile_span('new'): pass
                begun.send(1)
                go_in.recv()
                os._exit(0)
            go.recv()
            start_profile()
            begun_out.send(1)
            go.recv()
            merge_profile()
            begun_out.send(1)
            os.wait()
            """
        )
        self.assertEqual([e["name"] for e in trace.spans()], ["new"])

    def test_a_worker_with_another_environment_deletes_nothing(self):
        trace = self.merged(
            """
            import subprocess
            config = create_profile_config(enabled=True)
            configure_profiler(config)
            worker = multiprocessing.get_context('spawn').Process(target=work, args=(config, 'dead'))
            worker.start(); worker.join()
            code = "from ringscope.profile import *\\nwith profile_span('scrubbed'): pass"
            environment = {k: v for k, v in os.environ.items() if not k.startswith('SA_')}
            subprocess.run([sys.executable, '-c', code], env={**environment, 'SA_PROFILE_OUTPUT': ''}, check=True)
            merge_profile()
            """
        )
        self.assertEqual({e["name"] for e in trace.spans()}, {"work", "scrubbed"})

    def test_the_next_run_clears_the_last_one(self):
        body = """
            configure_profiler(create_profile_config(enabled=True))
            profile_instant(os.environ['NAME'])
            merge_profile()
        """
        self.merged(body, NAME="one")
        trace = self.merged(body, NAME="two")
        self.assertEqual([e["name"] for e in trace.events if e["ph"] == "i"], ["two"])

    def test_under_record_recording_is_on_and_both_traces_are_written(self):
        from ringscope._command import _find

        program = self.dir / "server.py"
        program.write_text(
            "from ringscope.profile import *\n"
            "configure_profiler(create_profile_config(enabled=False), process_name='api', initially_active=False)\n"
            "with profile_span('x', args={'n': 1}): pass\n"
            "assert merge_profile() > 0\n"
        )
        out = self.dir / "record.json"
        command = [_find(), "record", "-o", str(out), "--dir", str(self.dir / "runs"), "--", sys.executable, str(program)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SA_", "RINGSCOPE_"))}
        subprocess.run(command, cwd=self.dir, env=clean, check=True, stderr=subprocess.DEVNULL, timeout=60)
        for path in (out, self.dir / "profile_out" / "trace.json"):
            trace = Trace(path)
            self.assertEqual(trace.span("x")["args"], {"n": 1})
            self.assertEqual(trace.process_names(trace.span("x")["pid"]), ["api"])


if __name__ == "__main__":
    unittest.main()
