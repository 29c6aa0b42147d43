"""The serving engine of the examples: real requests, under `ringscope record` and by its own switches."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from support import ProgramTest, Trace, strict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "python_serving"
MISSING = [name for name in ("aiohttp", "numpy") if importlib.util.find_spec(name) is None]

# What the stack records: category, and arguments that have to be there.
SPANS = {
    "http.completions": ("request", {"request_id", "max_tokens", "stream"}),
    "http.stream_completion": ("request", {"request_id"}),
    "AsyncLLMEngine.start": ("serving", set()),
    "ReplicaEngineCore.add_request": ("serving", {"request_id", "max_new_tokens"}),
    "scheduler.schedule": ("scheduler", set()),
    "scheduler.queue_worker_step": ("scheduler", {"scheduled"}),
    "scheduler.wait_worker_output": ("scheduler", set()),
    "scheduler.process_step_output": ("scheduler", {"new_tokens"}),
    "WorkerProcess.init_device_and_model": ("worker", set()),
    "WorkerProcess.execute_step": ("worker", {"prefill", "decode"}),
    "WorkerProcess.batch_prefill": ("worker", {"batch_size"}),
    "WorkerProcess.batch_decode": ("worker", {"batch_size", "request_ids"}),
    "WorkerProcess.prepare_decode": ("worker", set()),
    "WorkerProcess.dispatch_decode": ("worker", {"step_id", "buffer_slot"}),
    "WorkerProcess.reclaim_decode": ("worker", {"step_id"}),
    "PyptoExecutor.run_prefill": ("executor", set()),
    "Qwen314BModelRunner.decode": ("executor", set()),
    "decode_fwd": ("kernel", {"step_id"}),
    "decode_fwd.worker_submit": ("kernel", set()),
    "decode_fwd.worker_wait": ("kernel", set()),
    "decode_layer": ("kernel", {"layer"}),
    "decode_layer.worker_run": ("kernel", set()),
}
INSTANTS = {
    "request.queued": ("serving", {"request_id"}),
    "http.stream_completion.finished": ("request", {"request_id", "finish_reason"}),
}
REQUESTS = 24


@unittest.skipIf(MISSING, f"not run here, because {' and '.join(MISSING)} can't be imported")
class Serving(ProgramTest):
    def setUp(self):
        super().setUp()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RINGSCOPE_", "SA_PROFILE_"))}
        # Nothing of a test run is left in the example's folder.
        self.environment = {**clean, "PYTHONDONTWRITEBYTECODE": "1"}

    def serve(self, *options):
        return [sys.executable, str(EXAMPLE / "serve.py"), *options]

    @contextlib.contextmanager
    def server(self, *options):
        """A server; gives its process, and ends it."""
        process = subprocess.Popen(
            self.serve(*options), cwd=self.dir, env=self.environment, stderr=subprocess.PIPE, text=True
        )
        try:
            process.url = process.stderr.readline().split()[-1]
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.errors = process.communicate(timeout=60)[1]

    def post(self, server, path, body=None):
        """Status and body of an answer."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(server.url + path, data=data), timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def test_a_recorded_load(self):
        ringscope = Path(sysconfig.get_path("scripts")) / "ringscope"
        load = self.serve("--load", str(REQUESTS), "--load-json", "load.json")
        record = [str(ringscope), "record", "--keep", "--dir", str(self.dir / "runs"), "-o", "trace.json", "--"]
        done = subprocess.run(
            record + load, cwd=self.dir, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        trace = Trace(self.dir / "trace.json")
        self.check_names(trace)
        self.check_lanes(trace)
        self.check_kernels(trace)
        self.check_figures()

    def check_names(self, trace):
        for name, (cat, args) in SPANS.items():
            spans = trace.spans(name)
            self.assertTrue(spans, name)
            for span in spans:
                self.assertEqual(span["cat"], cat, name)
                self.assertLessEqual(args, span.get("args", {}).keys(), name)
        for name, (cat, args) in INSTANTS.items():
            for instant in trace.instants(name):
                self.assertEqual((instant["cat"], set(instant["args"])), (cat, args), name)
        self.assertEqual(len(trace.instants("request.queued")), REQUESTS)

    def check_lanes(self, trace):
        requests = trace.spans("http.completions")
        self.assertEqual(len(requests), REQUESTS)
        for span in requests:
            self.assertEqual(trace.row(span), f"request {span['args']['request_id']}")
        rows = {trace.row(span) for span in trace.spans("scheduler.schedule")}
        self.assertEqual(rows, {"scheduler-0", "scheduler-1"})
        workers = {span["pid"] for span in trace.spans("WorkerProcess.execute_step")}
        names = sorted(name for pid in workers for name in trace.process_names(pid))
        self.assertEqual(names, ["serving-worker-0", "serving-worker-1"])

    def check_kernels(self, trace):
        """Each kernel holds its launch and its wait; work runs on the chip while the worker waits."""
        devices = {pid for pid in {e["pid"] for e in trace.events} if any("device" in n for n in trace.process_names(pid))}
        for name, inner in {"decode_layer": ["worker_run"], "decode_fwd": ["worker_submit", "worker_wait"]}.items():
            outer = trace.spans(name)
            for part in inner:
                parts = [span for span in trace.spans(f"{name}.{part}") if span["pid"] not in devices]
                self.assertEqual(len(parts), len(outer), part)
                for span in parts:
                    self.assertTrue(any(encloses(o, span) for o in outer if o["tid"] == span["tid"]), span)
        self.check_executions(trace, devices)
        self.assertEqual({trace.row(span) for span in trace.spans("decode_layer")}, {"chip"})
        self.assertEqual({trace.row(span) for span in trace.spans("decode_fwd")}, {"MainThread"})

    def check_executions(self, trace, devices):
        """What was launched ran on the worker's device while the host was in the launch."""
        spans = [span for span in trace.spans() if span["name"].endswith(".worker_run")]
        executions = {span["args"]["correlation"]: span for span in spans if span["pid"] in devices}
        launches = {span["args"]["correlation"]: span for span in spans if span["pid"] not in devices}
        self.assertEqual(len(launches) + len(executions), len(spans))
        self.assertEqual(executions.keys(), launches.keys())
        self.assertEqual({span["args"]["device"] for span in executions.values()}, {0, 1})
        slack_us = 20
        for correlation, launch in launches.items():
            run = executions[correlation]
            self.assertEqual(run["name"], launch["name"])
            self.assertGreaterEqual(run["ts"], launch["ts"] - slack_us)
            self.assertLessEqual(run["ts"] + run["dur"], launch["ts"] + launch["dur"] + slack_us)
        arrows = [e["ph"] for e in trace.events if e.get("cat") == "ac2g"]
        self.assertEqual((arrows.count("s"), arrows.count("f")), (len(launches), len(launches)))

    def check_figures(self):
        """The trace says what the load client measured from outside."""
        found = subprocess.run(
            [sys.executable, str(EXAMPLE / "figures.py"), str(self.dir / "runs")],
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        traced = strict(found.stdout.decode().partition(":")[2])
        measured = strict((self.dir / "load.json").read_text())
        for name in ("streams", "tokens"):
            self.assertEqual(traced[name], measured[name])
        # Each stream begins after its request was sent, and its first token leaves before it arrives.
        for name in ("ttft_p50_ms", "ttft_p99_ms"):
            self.assertLessEqual(traced[name], measured[name])
        for name in ("ttft_p50_ms", "ttft_p99_ms", "tpot_p50_ms", "tpot_p99_ms", "tokens_per_s"):
            # Of what the client saw, most was the server's: the rest is the loopback and the client's own turn.
            ratio = traced[name] / measured[name]
            self.assertTrue(1 / 2 < ratio < 2, f"{name}: traced {traced[name]}, measured {measured[name]}")

    def test_a_session_is_what_lies_between_the_switches(self):
        output = self.dir / "out" / "serving.json"
        body = {"prompt": "Once", "max_tokens": 3}
        with self.server("--profile", "--profile-output", str(output), "--profile-level", "e2e") as server:
            self.assertEqual(self.post(server, "/v1/completions", body)[0], 200)
            for path in ("/start_profile", "/start_profile", "/v1/completions", "/stop_profile", "/stop_profile"):
                status, answer = self.post(server, path, body if path.startswith("/v1") else None)
                self.assertEqual(status, 200)
                self.assertEqual(answer == b"", not path.startswith("/v1"))
            self.assertEqual(self.post(server, "/v1/completions", body)[0], 200)
        self.assertEqual(server.returncode, 0, server.errors)
        trace = Trace(output)
        self.assertEqual([e["args"]["request_id"] for e in trace.spans("http.completions")], ["cmpl-2"])
        self.assertEqual(sum(e["args"]["prefill"] for e in trace.spans("WorkerProcess.execute_step")), 1)
        self.assertEqual([e for e in trace.spans() if e["cat"] == "kernel"], [])

    def test_streams_end_as_clients_expect(self):
        with self.server() as server:
            status, body = self.post(server, "/v1/completions", {"prompt": "a", "max_tokens": 2, "stream": True})
            chat = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
            whole = strict(self.post(server, "/v1/chat/completions", chat)[1].decode())
        *chunks, done, end = body.decode().split("\n\n")
        self.assertEqual((status, done, end), (200, "data: [DONE]", ""))
        choices = [strict(chunk[len("data: ") :])["choices"][0] for chunk in chunks]
        self.assertEqual([choice["finish_reason"] for choice in choices], [None, "length"])
        # Greedy: the same prompt gives the same text, in parts and as a whole.
        self.assertEqual("".join(choice["text"] for choice in choices), whole["choices"][0]["message"]["content"])

    def test_what_cannot_be_served_is_refused(self):
        bodies = [7, {}, {"prompt": ""}, {"prompt": "a", "max_tokens": 0}, {"prompt": "a" * 512}]
        bodies += [{"prompt": "a", "max_tokens": True}, {"prompt": "a", "max_tokens": 512}]
        with self.server() as server:
            for body in bodies:
                self.assertEqual(self.post(server, "/v1/completions", body)[0], 400, body)

    def test_the_other_worker_serves_on_when_one_is_killed(self):
        body = {"prompt": "a", "max_tokens": 2}
        with self.server("--profile") as server:
            self.assertEqual(self.post(server, "/start_profile")[0], 200)
            os.kill(first_worker_of(server.pid), signal.SIGKILL)
            statuses = [self.post(server, "/v1/completions", body)[0] for _ in range(3)]
            self.assertEqual(self.post(server, "/stop_profile")[0], 200)
        self.assertEqual(statuses, [503, 200, 200])
        self.assertEqual(server.returncode, 0, server.errors)
        self.assertTrue(Trace(self.dir / "profile_out" / "trace.json").spans("http.completions"))

    def test_decoding_step_by_step_is_the_same_as_at_once(self):
        self.run_program(
            f"""
            import sys
            sys.path.insert(0, {str(EXAMPLE)!r})
            sys.dont_write_bytecode = True
            import numpy as np
            from model import LAYERS, Transformer

            def logits(model, slots, tokens, positions):
                state = model.embed(tokens)
                for index in range(LAYERS):
                    state = model.layer(index, state, slots, positions)
                return model.head(state)

            tokens = np.frombuffer(b'Once upon a time, two sequences', np.uint8)
            model = Transformer(slots=3)
            at_once = logits(model, np.array([2]), tokens[None], np.arange(len(tokens))[None])
            for at, token in enumerate(tokens):
                # Beside another sequence, at other positions, which it must not see.
                both, places = np.array([[token], [token ^ 1]]), np.array([[at], [at + 7]])
                step = logits(model, np.array([0, 1]), both, places)
            assert np.allclose(step[0], at_once[0], rtol=1e-3, atol=1e-3), abs(step[0] - at_once[0]).max()
            """
        )


def encloses(outer, inner):
    return outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"] + 0.001


def first_worker_of(pid):
    """The worker that was started first: the others are helpers of multiprocessing."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return min(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())


if __name__ == "__main__":
    unittest.main()
