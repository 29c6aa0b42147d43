"""A serving engine: HTTP on loopback, a scheduler a worker, two worker processes that run a small transformer.

    ringscope record --keep -o trace.json -- python serve.py --load 64

records the engine under a load of 64 requests. Without `--load` it serves until it is told to end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Optional

from aiohttp import web

from engine import AsyncLLMEngine
from http_api import HttpApi
from ringscope.profile import (
    ProfileConfig,
    configure_profiler,
    create_profile_config,
    load_profile_config,
    merge_profile,
)

_HOST = "127.0.0.1"


def main() -> int:
    """Serves; the exit status is that of the load, if there is one."""
    options = _options()
    config = _profile_config(options)
    # Its workers start inactive too: what starts all of them is `POST /start_profile`, or `ringscope record`.
    configure_profiler(config, process_name="pypto-serving-api", initially_active=False)
    # Workers have a processor each, and take their matrices as they come.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    engine = AsyncLLMEngine(config)
    api = HttpApi(engine)
    try:
        engine.start()
        status = asyncio.run(_serve(api, options))
        api.record_load()
    finally:
        engine.close()
        if events := merge_profile():
            print(f"{config.trace_file}: {events} events", file=sys.stderr)
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: one that is free (default)")
    parser.add_argument("--load", type=int, metavar="N", help="send N requests, then end")
    parser.add_argument("--load-json", metavar="FILE", help="write what the load client measured")
    parser.add_argument("--profile", action="store_true", help="profile between POST /start_profile and /stop_profile")
    parser.add_argument("--profile-output", metavar="PATH", help="directory, or trace file if it ends in .json")
    parser.add_argument("--profile-level", metavar="LEVELS", help="e2e, kernel, verbose, joined by commas")
    return parser.parse_args()


def _profile_config(options: argparse.Namespace) -> ProfileConfig:
    given = {"output": options.profile_output, "levels": options.profile_level}
    given = {name: value for name, value in given.items() if value is not None}
    if options.profile or given:
        return create_profile_config(enabled=True, **given)
    return load_profile_config()


async def _serve(api: HttpApi, options: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.AppRunner(api.app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, options.port).start()
        url = f"http://{_HOST}:{runner.addresses[0][1]}"
        print(f"serving on {url}", file=sys.stderr, flush=True)
        if options.load is None:
            await stopped.wait()
            return 0
        return await _load(url, options.load, options.load_json)
    finally:
        await runner.cleanup()


async def _load(url: str, requests: int, json_file: Optional[str]) -> int:
    """The load client, in a process of its own, as a client has."""
    arguments = [str(Path(__file__).with_name("load.py")), url, "--requests", str(requests)]
    if json_file is not None:
        arguments += ["--json", json_file]
    client = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    return await client.wait()


if __name__ == "__main__":
    sys.exit(main())
