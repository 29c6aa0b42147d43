"""Runs the model kernel by kernel. Spans are named as those of the serving stack, so that what reads its traces reads
these too."""

from __future__ import annotations

import queue
import threading
from typing import Callable, List, Optional, Tuple

import numpy as np

from model import LAYERS, Transformer
from ringscope.profile import profile_span
from stream import Stream

_Work = Callable[[], np.ndarray]


class Chip:
    """A thread that runs what is submitted to it, in order, as a device does."""

    def __init__(self) -> None:
        self._work: "queue.SimpleQueue[Optional[Tuple[_Work, Pending]]]" = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="chip")
        self._thread.start()

    def submit(self, work: _Work) -> "Pending":
        """Hands over work; does not wait for it."""
        pending = Pending()
        self._work.put((work, pending))
        return pending

    def close(self) -> None:
        """Ends the thread after what was submitted."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, pending = item
            pending.finish(work)


class Pending:
    """The outcome of submitted work."""

    def __init__(self) -> None:
        self._is_done = threading.Event()
        self._result: Optional[np.ndarray] = None
        self._error: Optional[Exception] = None

    def finish(self, work: _Work) -> None:
        """Does the work, on the chip's thread."""
        try:
            self._result = work()
        except Exception as error:
            self._error = error
        self._is_done.set()

    def wait(self) -> np.ndarray:
        """Waits for the result; raises what the work raised."""
        self._is_done.wait()
        if self._result is None:
            raise self._error or RuntimeError("the chip gave no result")
        return self._result


class Executor:
    """Runs prefills at once, and decodes in the background."""

    def __init__(self, device: int, slots: int) -> None:
        self._runner = ModelRunner(Transformer(slots), Stream(device))
        self._chip = Chip()

    def run_prefill(self, slot: int, tokens: List[int]) -> int:
        """Begins a sequence in a slot; its first token."""
        with profile_span("PyptoExecutor.run_prefill", cat="executor", args={"tokens": len(tokens)}):
            return self._runner.prefill(slot, tokens)

    def submit_decode(self, slots: np.ndarray, tokens: np.ndarray, positions: np.ndarray) -> Pending:
        """Has the sequences in `slots`, whose last tokens stand at `positions`, continued."""
        with profile_span("PyptoExecutor.submit_decode", cat="executor", args={"batch_size": len(slots)}):
            with profile_span("decode_fwd.worker_submit", cat="kernel", level="kernel"):
                return self._chip.submit(lambda: self._runner.decode(slots, tokens, positions))

    def wait_decode(self, pending: Pending) -> np.ndarray:
        """The next token of each sequence."""
        with profile_span("PyptoExecutor.wait_decode", cat="executor"):
            with profile_span("decode_fwd.worker_wait", cat="kernel", level="kernel"):
                return pending.wait()

    def close(self) -> None:
        """Ends the chip's thread."""
        self._chip.close()


class ModelRunner:
    """The kernels of a forward pass, one after the other."""

    def __init__(self, model: Transformer, stream: Stream) -> None:
        self._model = model
        self._stream = stream

    def prefill(self, slot: int, tokens: List[int]) -> int:
        """The token after a prompt."""
        with profile_span("Qwen314BModelRunner.prefill", cat="executor"):
            positions = np.arange(len(tokens))[None]
            return int(self._forward("prefill", np.array([slot]), np.array([tokens]), positions)[0])

    def decode(self, slots: np.ndarray, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The next tokens of sequences."""
        with profile_span("Qwen314BModelRunner.decode", cat="executor"):
            return self._forward("decode", slots, tokens[:, None], positions[:, None])

    def _forward(self, phase: str, slots: np.ndarray, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        self._stream.anchor()
        state = self._stream.run(f"{phase}_embed", lambda: self._model.embed(tokens))
        for index in range(LAYERS):
            layer = f"{phase}_layer"
            state = self._stream.run(layer, lambda: self._model.layer(index, state, slots, positions), layer=index)
        return self._stream.run(f"{phase}_head", lambda: self._model.head(state).argmax(axis=-1))
