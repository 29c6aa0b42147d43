"""A worker process: takes steps from the engine, answers with tokens."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Dict, List, Tuple

import numpy as np

from executor import Executor, Pending
from messages import Control, Done, Step, StepOutput
from ringscope.profile import ProfileConfig, configure_profiler, profile_span, start_profile, stop_profile

SLOTS = 8
"""Sequences that a worker works on at a time."""

_DECODE_BUFFERS = 2


def serve(index: int, engine: Connection, config: ProfileConfig) -> None:
    """The life of worker `index`: until the engine says so, or is gone."""
    configure_profiler(config, process_name=f"serving-worker-{index}", initially_active=False)
    worker = WorkerProcess(index)
    engine.send(Done())
    try:
        while (answer := worker.answer(engine.recv())) is not None:
            engine.send(answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        worker.close()


class WorkerProcess:
    """Sequences in slots of the model's cache."""

    def __init__(self, device: int) -> None:
        with profile_span("WorkerProcess.init_device_and_model", cat="worker"):
            self._executor = Executor(device, SLOTS)
        self._free = list(range(SLOTS))
        self._slots: Dict[str, int] = {}
        self._last_tokens = np.zeros(SLOTS, int)
        self._positions = np.zeros(SLOTS, int)
        self._buffers = [np.zeros(0, int)] * _DECODE_BUFFERS

    def answer(self, message: object) -> "StepOutput | Done | None":
        """Does what the engine asks; nothing where that was to exit."""
        if isinstance(message, Step):
            return self.execute_step(message)
        if isinstance(message, Control) and message.action == "exit":
            return None
        if isinstance(message, Control) and message.action in ("start_profile", "stop_profile"):
            start_profile() if message.action == "start_profile" else stop_profile()
            return Done()
        return Done(error=f"no such message: {message!r}")

    def execute_step(self, step: Step) -> StepOutput:
        """Runs one step."""
        args = {"prefill": len(step.prefill), "decode": len(step.decode)}
        with profile_span("WorkerProcess.execute_step", cat="worker", args=args):
            for request_id in step.released:
                self._free.append(self._slots.pop(request_id))
            tokens = self.batch_prefill(step.prefill) if step.prefill else {}
            if step.decode:
                tokens.update(self.batch_decode(step.id, step.decode))
            return StepOutput(step.id, tokens)

    def batch_prefill(self, prompts: List[Tuple[str, List[int]]]) -> Dict[str, int]:
        """Begins sequences."""
        with profile_span("WorkerProcess.batch_prefill", cat="worker", args={"batch_size": len(prompts)}):
            return {request_id: self._prefill(request_id, prompt) for request_id, prompt in prompts}

    def _prefill(self, request_id: str, prompt: List[int]) -> int:
        slot = self._slots[request_id] = self._free.pop()
        token = self._executor.run_prefill(slot, prompt)
        self._last_tokens[slot] = token
        self._positions[slot] = len(prompt)
        return token

    def batch_decode(self, step_id: int, request_ids: List[str]) -> Dict[str, int]:
        """Continues sequences by one token each."""
        args = {"batch_size": len(request_ids), "request_ids": request_ids}
        with profile_span("WorkerProcess.batch_decode", cat="worker", args=args):
            buffer = step_id % _DECODE_BUFFERS
            self.prepare_decode(buffer, request_ids)
            with profile_span("decode_fwd", cat="kernel", level="kernel", args={"step_id": step_id}):
                pending = self.dispatch_decode(step_id, buffer)
                tokens = self.reclaim_decode(step_id, buffer, pending)
            return dict(zip(request_ids, map(int, tokens)))

    def prepare_decode(self, buffer: int, request_ids: List[str]) -> None:
        """Fills a buffer with the slots of the sequences."""
        with profile_span("WorkerProcess.prepare_decode", cat="worker"):
            self._buffers[buffer] = np.array([self._slots[request_id] for request_id in request_ids])

    def dispatch_decode(self, step_id: int, buffer: int) -> Pending:
        """Launches the decode of a buffer."""
        args = {"step_id": step_id, "buffer_slot": buffer}
        with profile_span("WorkerProcess.dispatch_decode", cat="worker", args=args):
            slots = self._buffers[buffer]
            return self._executor.submit_decode(slots, self._last_tokens[slots], self._positions[slots])

    def reclaim_decode(self, step_id: int, buffer: int, pending: Pending) -> np.ndarray:
        """Waits for a launched decode, and takes over its tokens."""
        with profile_span("WorkerProcess.reclaim_decode", cat="worker", args={"step_id": step_id}):
            tokens = self._executor.wait_decode(pending)
            slots = self._buffers[buffer]
            self._last_tokens[slots] = tokens
            self._positions[slots] += 1
            return tokens

    def close(self) -> None:
        """Ends the worker's threads."""
        self._executor.close()
