"""A replica: a worker process, and the thread that keeps its batch full (continuous batching)."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple, Union

import worker
from messages import Control, Done, Step, StepOutput
from ringscope.profile import ProfileConfig, profile_instant, profile_span

_WORKER_GONE = "the worker process is gone"


@dataclass
class Sequence:
    """A request on its way through the engine."""

    request_id: str
    prompt: List[int]
    max_new_tokens: int
    loop: asyncio.AbstractEventLoop
    tokens: "asyncio.Queue[Union[int, Exception, None]]" = field(default_factory=asyncio.Queue)
    """New tokens; at the end `None`, or why there are no more."""
    generated: int = 0
    is_aborted: bool = False

    @property
    def is_finished(self) -> bool:
        """True when it needs no more steps."""
        return self.is_aborted or self.generated >= self.max_new_tokens

    def put(self, *items: Union[int, Exception, None]) -> None:
        """Gives items to the task of the request, from another thread."""
        try:
            for item in items:
                self.loop.call_soon_threadsafe(self.tokens.put_nowait, item)
        except RuntimeError:
            pass  # The loop is closed: nobody waits any more.


_Inbox = Union[Sequence, Tuple[Control, "Future[Done]"]]


class ReplicaEngineCore:
    """Sequences of one worker, and their scheduler."""

    def __init__(self, index: int, config: ProfileConfig) -> None:
        # Spawned: a worker shares nothing with the server but what it is given.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=worker.serve, args=(index, theirs, config), name=f"worker-{index}")
        self._process.start()
        theirs.close()
        self._inbox: "queue.SimpleQueue[_Inbox]" = queue.SimpleQueue()
        self._waiting: List[Sequence] = []
        self._running: Dict[str, Sequence] = {}
        self._released: List[str] = []
        self._step_ids = itertools.count(1)
        self._is_closing = False
        # Held while something is put in, so that nothing comes in after the last was taken out.
        self._accepting = threading.Lock()
        self.error: Optional[Exception] = None
        self._thread = threading.Thread(target=self._run, name=f"scheduler-{index}", daemon=True)

    @property
    def load(self) -> int:
        """Sequences that it has."""
        return len(self._waiting) + len(self._running) + self._inbox.qsize()

    def start(self) -> None:
        """Waits until the worker is ready, then starts the scheduler."""
        try:
            self._connection.recv()
        except EOFError:
            raise RuntimeError(f"{self._process.name}: it ended before it was ready") from None
        self._thread.start()

    def add_request(self, sequence: Sequence) -> None:
        """Takes a sequence in."""
        args = {"request_id": sequence.request_id, "max_new_tokens": sequence.max_new_tokens}
        with profile_span("ReplicaEngineCore.add_request", cat="serving", args=args):
            with self._accepting:
                if self.error is not None:
                    raise self.error
                self._inbox.put(sequence)
            profile_instant("request.queued", cat="serving", args={"request_id": sequence.request_id})

    def control(self, action: str) -> "Future[Done]":
        """Has the worker do something between two steps."""
        answer: "Future[Done]" = Future()
        with self._accepting:
            if self.error is None:
                self._inbox.put((Control(action), answer))
            else:
                answer.set_exception(self.error)
        return answer

    def close(self) -> None:
        """Ends the worker; what it has not finished fails."""
        if self._thread.is_alive():
            self._is_closing = True
            self.control("exit")
            self._thread.join()
        self._connection.close()
        self._process.join()

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._take_in()
                if step := self.schedule():
                    self._execute(step)
            self._fail(RuntimeError("the server is shutting down"))
        except (EOFError, OSError):
            self._fail(RuntimeError(_WORKER_GONE))
        # Whatever else goes wrong, requests must not wait for ever.
        except Exception as error:
            self._fail(error)

    def _take_in(self) -> None:
        """Takes what has come; waits for something where there is nothing to do."""
        is_idle = not self._waiting and not self._running
        while is_idle or not self._inbox.empty():
            item = self._inbox.get()
            if isinstance(item, Sequence):
                self._waiting.append(item)
            else:
                self._pass_on(*item)
            is_idle = False

    def _pass_on(self, control: Control, answer: "Future[Done]") -> None:
        try:
            self._connection.send(control)
            answer.set_result(Done() if control.action == "exit" else self._connection.recv())
        except (EOFError, OSError):
            answer.set_exception(RuntimeError(_WORKER_GONE))
            raise

    def schedule(self) -> Optional[Step]:
        """What the worker does next: all that run, and as many that wait as fit."""
        with profile_span("scheduler.schedule", cat="scheduler"):
            for sequence in [s for s in self._running.values() if s.is_finished]:
                self._finish(sequence)
            decode = list(self._running)
            prefill: List[Tuple[str, List[int]]] = []
            while self._waiting and len(self._running) < worker.SLOTS:
                sequence = self._waiting.pop(0)
                if sequence.is_aborted:
                    continue
                self._running[sequence.request_id] = sequence
                prefill.append((sequence.request_id, sequence.prompt))
            if not prefill and not decode:
                return None
            released, self._released = self._released, []
            return Step(next(self._step_ids), prefill, decode, released)

    def _execute(self, step: Step) -> None:
        with profile_span(
            "scheduler.queue_worker_step", cat="scheduler", args={"scheduled": len(step.prefill) + len(step.decode)}
        ):
            self._connection.send(step)
        with profile_span("scheduler.wait_worker_output", cat="scheduler"):
            output = self._connection.recv()
        self.process_step_output(output)

    def process_step_output(self, output: StepOutput) -> None:
        """Hands the new tokens to their requests."""
        args = {"new_tokens": len(output.tokens)}
        with profile_span("scheduler.process_step_output", cat="scheduler", args=args):
            for request_id, token in output.tokens.items():
                sequence = self._running[request_id]
                sequence.generated += 1
                sequence.put(token)
                if sequence.is_finished:
                    self._finish(sequence)

    def _finish(self, sequence: Sequence) -> None:
        del self._running[sequence.request_id]
        self._released.append(sequence.request_id)
        sequence.put(None)

    def _fail(self, error: Exception) -> None:
        with self._accepting:
            self.error = error
        while not self._inbox.empty():
            item = self._inbox.get()
            if isinstance(item, Sequence):
                self._waiting.append(item)
            else:
                item[1].set_exception(error)
        for sequence in [*self._waiting, *self._running.values()]:
            sequence.put(error)
        self._waiting.clear()
        self._running.clear()
