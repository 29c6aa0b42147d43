"""Processes and threads, however they come and go; every warning is an error."""

import os
import subprocess
import sys
import textwrap
import unittest

from ringscope._command import _find
from support import ProgramTest


class Processes(ProgramTest):
    def test_forked_children_record_without_a_warning(self):
        trace = self.trace_of(
            """
            import multiprocessing
            def work(n):
                with ringscope.span('work', n=n): return n
            with ringscope.span('parent'):
                if os.fork() == 0:
                    with ringscope.span('child'): pass
                    os._exit(0)
                os.wait()
            with multiprocessing.get_context('fork').Pool(2) as pool:
                assert pool.map(work, range(20)) == list(range(20))
                pool.close()
                pool.join()
            """
        )
        self.assertEqual(sorted(e["args"]["n"] for e in trace.spans("work")), list(range(20)))
        pids = {name: trace.span(name)["pid"] for name in ("parent", "child")}
        self.assertEqual(len(set(pids.values())), 2)

    def test_a_process_pool_of_spawned_workers_under_the_environment(self):
        self.run_program(
            """
            import concurrent.futures, multiprocessing, ringscope
            def work(n):
                with ringscope.span('work', n=n): return n
            if __name__ == '__main__':
                context = multiprocessing.get_context('spawn')
                with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                    assert list(pool.map(work, range(8))) == list(range(8))
            """,
            RINGSCOPE_DIR=str(self.dir / "runs"),
        )
        trace = self.decode()
        self.assertEqual(sorted(e["args"]["n"] for e in trace.spans("work")), list(range(8)))

    def test_threads_that_outlive_the_interpreter(self):
        trace = self.trace_of(
            """
            import threading, time
            ready = threading.Event()
            def forever():
                while True:
                    with ringscope.span('daemon', n=1): time.sleep(0)
                    ready.set()
            for _ in range(4):
                threading.Thread(target=forever, daemon=True).start()
            ready.wait()
            """
        )
        self.assertGreater(len(trace.spans("daemon")), 0)

    def test_rings_of_threads_that_ended_are_used_again(self):
        self.trace_of(
            """
            import threading
            def work():
                with ringscope.span('w'): pass
            for _ in range(200):
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
            """
        )
        self.assertLess(len(list((self.dir / "runs").glob("*/*.ring"))), 10)

    def test_a_killed_process_shows_what_was_open(self):
        self.run_program(
            """
            import os, ringscope, signal
            ringscope.start(os.environ['RUNS'])
            for n in range(100):
                with ringscope.span('done', n=n): pass
            with ringscope.span('open', request='r-1') as s:
                s.set(step=7)
                os.kill(os.getpid(), signal.SIGKILL)
            """,
            expected_status=-9,
        )
        trace = self.decode()
        self.assertEqual([e["args"]["n"] for e in trace.spans("done")], list(range(100)))
        args = trace.span("open")["args"]
        self.assertEqual((args["request"], args["step"], args["ringscope.open"]), ("r-1", 7, True))

    def test_a_span_that_a_fork_divides_is_the_parents(self):
        trace = self.trace_of(
            """
            s = ringscope.Span('divided').begin()
            if os.fork() == 0:
                s.end()
                os._exit(0)
            os.wait()
            s.end()
            """
        )
        self.assertEqual(len(trace.spans("divided")), 1)

    def test_a_span_may_end_on_another_thread(self):
        trace = self.trace_of(
            """
            import threading
            s = ringscope.span('moved', n=1).begin()
            thread = threading.Thread(target=s.end)
            thread.start()
            thread.join()
            """
        )
        self.assertEqual(trace.span("moved")["args"], {"n": 1})

    def test_no_thread_is_started(self):
        self.trace_of(
            """
            with ringscope.span('x'): pass
            ringscope.decode(out=os.environ['OUT'])
            assert len(os.listdir('/proc/self/task')) == 1
            """
        )

    def test_a_second_interpreter_is_told_no(self):
        if sys.version_info < (3, 12):
            self.skipTest("interpreters of their own lock came with 3.12")
        source = """
            import ringscope
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            interpreter = interpreters.create()
            try:
                result = interpreters.run_string(interpreter, 'import ringscope')
            except Exception as error:
                result = error
            assert result is not None and 'does not support' in str(result) + repr(vars(result)), result
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def test_the_command_brings_its_interceptors(self):
        environment = {key: value for key, value in os.environ.items() if key not in ("NVTX_INJECTION64_PATH", "OPENCL_LAYERS")}
        shown = 'ls "$NVTX_INJECTION64_PATH" "$OPENCL_LAYERS"'
        done = subprocess.run(
            [_find(), "record", "--dir", str(self.dir), "--nvtx", "--opencl", "--no-decode", "--", "sh", "-c", shown],
            env=environment,
            capture_output=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        names = [os.path.basename(line) for line in done.stdout.decode().splitlines()]
        self.assertEqual(names, ["libringscope_nvtx.so", "libringscope_opencl.so"])


if __name__ == "__main__":
    unittest.main()
