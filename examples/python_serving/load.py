"""A load client, which knows nothing of the profiler: streams completions, and measures what their reader sees."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Dict, List, Optional

import aiohttp

_CONCURRENCY = 12
_WHOLE_EVERY = 8
"""Each so many requests one is answered as a whole; its first token cannot be told from its last."""


@dataclass
class Measured:
    """What one request's client saw, on the clock of `time.perf_counter`."""

    sent_s: float
    arrivals_s: List[float]
    tokens: int


def main() -> int:
    """Sends the load and prints the figures; 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    options = parser.parse_args()
    try:
        figures = _figures(asyncio.run(_send_all(options.url, options.requests)))
    except (aiohttp.ClientError, ValueError) as error:
        print(f"load: {options.url}: {error}", file=sys.stderr)
        return 1
    print("load client:", json.dumps(figures))
    if options.json is not None:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file)
    return 0


async def _send_all(url: str, requests: int) -> List[Measured]:
    turns = asyncio.Semaphore(_CONCURRENCY)
    async with aiohttp.ClientSession(url) as session:
        await asyncio.gather(*(_connect(session) for _ in range(_CONCURRENCY)))
        return await asyncio.gather(*(_send(session, turns, number) for number in range(requests)))


async def _connect(session: aiohttp.ClientSession) -> None:
    """Opens a connection that stays for the load, whose first requests would measure it otherwise."""
    async with session.get("/health") as response:
        await response.read()


async def _send(session: aiohttp.ClientSession, turns: asyncio.Semaphore, number: int) -> Measured:
    body = {"prompt": f"Request {number}: " + "word " * (4 + number % 13), "max_tokens": 16 + 4 * (number % 9)}
    is_whole = number % _WHOLE_EVERY == _WHOLE_EVERY - 1
    async with turns:
        sent_s = time.perf_counter()
        async with session.post("/v1/completions", json={**body, "stream": not is_whole}) as response:
            if response.status != 200:
                raise ValueError(f"request {number}: status {response.status}: {await response.text()}")
            if is_whole:
                answer = await response.json()
                measured = Measured(sent_s, [time.perf_counter()], answer["usage"]["completion_tokens"])
            else:
                arrivals_s = await _arrivals(response)
                measured = Measured(sent_s, arrivals_s, len(arrivals_s))
    if measured.tokens != body["max_tokens"]:
        raise ValueError(f"request {number}: expected {body['max_tokens']} tokens, found {measured.tokens}")
    return measured


async def _arrivals(response: aiohttp.ClientResponse) -> List[float]:
    """When each token of a stream arrived."""
    arrivals_s = []
    async for line in response.content:
        if line.startswith(b"data: {"):
            if "error" in (chunk := json.loads(line[6:])):
                raise ValueError(f"stream: {chunk['error']['message']}")
            arrivals_s.append(time.perf_counter())
    return arrivals_s


def _figures(load: List[Measured]) -> Dict[str, Optional[float]]:
    streams = [m for m in load if len(m.arrivals_s) > 1]
    ttft_ms = [(m.arrivals_s[0] - m.sent_s) * 1e3 for m in streams]
    tpot_ms = [(m.arrivals_s[-1] - m.arrivals_s[0]) * 1e3 / (m.tokens - 1) for m in streams]
    tokens = sum(m.tokens for m in load)
    wall_s = max(m.arrivals_s[-1] for m in load) - min(m.sent_s for m in load)
    return {
        "requests": len(load),
        "streams": len(streams),
        "tokens": tokens,
        "ttft_p50_ms": _percentile(ttft_ms, 50),
        "ttft_p99_ms": _percentile(ttft_ms, 99),
        "tpot_p50_ms": _percentile(tpot_ms, 50),
        "tpot_p99_ms": _percentile(tpot_ms, 99),
        "tokens_per_s": tokens / wall_s,
    }


def _percentile(values: List[float], percent: int) -> Optional[float]:
    """By nearest rank, as `ringscope stats` has it; `None` of none."""
    return sorted(values)[max(1, -(-len(values) * percent // 100)) - 1] if values else None


if __name__ == "__main__":
    sys.exit(main())
