"""The engine: hands each request to the replica with the fewest, and switches profiling in all processes."""

from __future__ import annotations

import asyncio
from typing import AsyncIterator, List

from messages import Done
from ringscope.profile import ProfileConfig, merge_profile, profile_span, start_profile, stop_profile
from scheduler import ReplicaEngineCore, Sequence


class EngineError(RuntimeError):
    """The engine cannot do what it was asked for."""


class AsyncLLMEngine:
    """Two replicas, each with a worker process."""

    def __init__(self, config: ProfileConfig, replicas: int = 2) -> None:
        self._config = config
        self._replica_count = replicas
        self._replicas: List[ReplicaEngineCore] = []
        self._switching = asyncio.Lock()

    @property
    def living(self) -> List[ReplicaEngineCore]:
        """The replicas whose workers run."""
        return [replica for replica in self._replicas if replica.error is None]

    def start(self) -> None:
        """Starts the workers, all at once, and waits until they are ready."""
        with profile_span("AsyncLLMEngine.start", cat="serving", args={"replicas": self._replica_count}):
            self._replicas = [ReplicaEngineCore(index, self._config) for index in range(self._replica_count)]
            for replica in self._replicas:
                replica.start()

    def close(self) -> None:
        """Ends the workers."""
        for replica in self._replicas:
            replica.close()

    async def generate(self, request_id: str, prompt: List[int], max_new_tokens: int) -> AsyncIterator[int]:
        """The tokens after a prompt, as they come. Closing the iterator aborts the request."""
        living = self.living
        if not living:
            raise EngineError("no worker process is left")
        sequence = Sequence(request_id, prompt, max_new_tokens, asyncio.get_running_loop())
        min(living, key=lambda replica: replica.load).add_request(sequence)
        try:
            while (item := await sequence.tokens.get()) is not None:
                if isinstance(item, Exception):
                    raise EngineError(str(item))
                yield item
        finally:
            sequence.is_aborted = True

    async def start_profile(self) -> None:
        """Starts profiling here and in all workers, or nowhere."""
        async with self._switching:
            # Here first: this begins the session that the workers' records belong to.
            was_off = start_profile()
            try:
                await self._control("start_profile")
            except EngineError:
                if was_off:
                    stop_profile()
                    await asyncio.gather(self._control("stop_profile"), return_exceptions=True)
                raise

    async def stop_profile(self) -> None:
        """Stops profiling in all workers and here, and writes the trace."""
        async with self._switching:
            try:
                await self._control("stop_profile")
            finally:
                stop_profile()
                await asyncio.to_thread(merge_profile)

    async def _control(self, action: str) -> None:
        answers = [asyncio.wrap_future(replica.control(action)) for replica in self.living]
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        errors = [o.error if isinstance(o, Done) else str(o) for o in outcomes]
        if failed := [error for error in errors if error]:
            raise EngineError(f"{action}: {failed[0]}")
