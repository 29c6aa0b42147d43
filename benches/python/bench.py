"""What recording costs in Python, beside the floor of the protocol: C that does nothing, in the same rounds.

Each case is a loop of its own, compiled by `exec`; the time of an empty loop is subtracted. Rounds go through all cases,
a ratio is the median over the rounds of case to floor. That the body of the loop is empty is not typical: it shows what
the statement costs, not what it does to the code around it.
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import old_recorder  # noqa: E402


def build_floor(directory):
    include = sysconfig.get_path("include")
    target = Path(directory) / "floor.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", f"-I{include}", str(HERE / "floor.c"), "-o", str(target)], check=True)
    sys.path.insert(0, str(directory))
    import floor

    return floor


def loop(statement, setup="pass", **names):
    """A function that runs the statement n times; nanoseconds for all."""
    source = f"def run(n):\n {setup}\n begin = clock()\n for _ in range(n):\n  {statement}\n return clock() - begin"
    namespace = {"clock": time.perf_counter_ns, **names}
    exec(source, namespace)
    return namespace["run"]


def in_task(run):
    """The same loop inside of an asyncio task."""

    def measured(n):
        async def main():
            return run(n)

        return asyncio.run(main())

    return measured


def measure(cases, rounds, count):
    """Nanoseconds a turn of each case, one number a round, the empty loop's taken off."""
    times = {name: [] for name in cases}
    for run in cases.values():
        run(count)
    for _ in range(rounds):
        empty = EMPTY(count)
        for name, run in cases.items():
            turns = count if "old" not in name and "viztracer" not in name else max(200, count // 20)
            times[name].append((run(turns) / turns) - empty / count)
    return times


EMPTY = loop("pass")


def table(times, floors):
    print(f"| {'case':46} | ns | x of |\n|---|---|---|")
    for name, values in times.items():
        floor = floors.get(name)
        ratio = ""
        if floor:
            by_round = [value / other for value, other in zip(values, times[floor])]
            ratio = f"{statistics.median(by_round):.3f} x {floor}"
        print(f"| {name:46} | {statistics.median(values):.1f} | {ratio} |")


def core_cases(floor, ringscope):
    profile_names = dict(span=ringscope.span, Span=ringscope.Span, instant=ringscope.instant)
    return {
        "C: new object": loop("with Manager(): pass", Manager=floor.Manager),
        "span('x')": loop("with span('x'): pass", **profile_names),
        "C: reused object": loop("with m: pass", "m = Manager()", Manager=floor.Manager),
        "reused Span": loop("with m: pass", "m = Span('x')", **profile_names),
        "C: call": loop("nothing()", nothing=floor.nothing),
        "begin() and end()": loop("s.begin(); s.end()", "s = Span('x')", **profile_names),
        "instant('x')": loop("instant('x')", **profile_names),
        "C: call with one argument": loop("one('x')", one=floor.one),
        "span('x', n=1)": loop("with span('x', n=1): pass", **profile_names),
        "span('x', n=1, s='abcdef')": loop("with span('x', n=1, s='abcdef'): pass", **profile_names),
    }


CORE_FLOORS = {
    "span('x')": "C: new object",
    "reused Span": "C: reused object",
    "begin() and end()": "C: call",
    "instant('x')": "C: call",
    "span('x', n=1)": "C: new object",
    "span('x', n=1, s='abcdef')": "C: new object",
}
BARE_CALL = "with profile_span('worker.step', cat='worker', level='kernel'): pass"
CALL = "with profile_span('worker.step', cat='worker', level='kernel', args={'step': step, 'request': request}): pass"


def drop_in_cases(profile, floor, state):
    values = "step, request = 17, 'cmpl-42'"
    new_call = loop(CALL, values, profile_span=profile.profile_span)
    old_call = loop(CALL, values, profile_span=old_recorder.profile_span)
    return {
        f"old recorder, {state}": old_call,
        f"profile_span, {state}": new_call,
        f"old recorder, {state}, in a task": in_task(old_call),
        f"profile_span, {state}, in a task": in_task(new_call),
        f"old recorder, {state}, without args": loop(BARE_CALL, profile_span=old_recorder.profile_span),
        f"profile_span, {state}, without args": loop(BARE_CALL, profile_span=profile.profile_span),
        "C: reused object": loop("with m: pass", "m = Manager()", Manager=floor.Manager),
        "a dict of two values": loop("{'step': step, 'request': request}", values),
    }


def drop_in_floors(state):
    return {
        f"profile_span, {state}": f"old recorder, {state}",
        f"profile_span, {state}, in a task": f"old recorder, {state}, in a task",
        f"profile_span, {state}, without args": f"old recorder, {state}, without args",
        "a dict of two values": f"old recorder, {state}",
    }


def viztracer_cases(directory):
    try:
        import viztracer
    except ImportError:
        print("VizTracer: not run here, because it is not installed\n", file=sys.stderr)
        return {}
    tracer = viztracer.VizTracer(tracer_entries=100_000, verbose=0)
    tracer.start()
    tracer.pause()

    def resumed(run):
        def measured(n):
            tracer.resume()
            try:
                return run(n)
            finally:
                tracer.pause()
                tracer.clear()

        return measured

    def function():
        pass

    return {
        "viztracer: log_event": resumed(loop("with t.log_event('x'): pass", t=tracer)),
        "viztracer: add_instant": resumed(loop("t.add_instant('x')", t=tracer)),
        "viztracer: a function": resumed(loop("f()", f=function)),
    }


def two_threads(ringscope, rounds, count):
    """Two threads that record, beside two that do nothing: how much slower than one after the other."""

    def together(run):
        def both():
            threads = [threading.Thread(target=run, args=(count,)) for _ in range(2)]
            begin = time.perf_counter_ns()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.perf_counter_ns() - begin

        return both

    def alone(run):
        return lambda: run(count) + run(count)

    cases = {"empty loop": EMPTY, "span('x')": loop("with span('x'): pass", span=ringscope.span)}
    for name, run in cases.items():
        one_by_one, at_once = alone(run), together(run)
        ratios = [at_once() / one_by_one() for _ in range(rounds)]
        print(f"| {name:20} | {statistics.median(ratios):.3f} |")


def _record_old(directory, count):
    recorder = old_recorder.OldRecorder(directory)
    for n in range(count):
        with recorder.span("worker.step", cat="worker", args={"step": n, "request": "cmpl-42"}):
            pass
    recorder.close()


def _record_new(config, count):
    from ringscope import profile

    profile.configure_profiler(config)
    for n in range(count):
        with profile.profile_span("worker.step", cat="worker", args={"step": n, "request": "cmpl-42"}):
            pass


def in_processes(target, *args):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=target, args=args) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def merges(directory, events):
    from ringscope import profile

    old, new = Path(directory) / "old", Path(directory) / "new"
    old.mkdir()
    in_processes(_record_old, old, events // 8)
    config = profile.create_profile_config(enabled=True, output=new)
    in_processes(_record_new, config, events // 8)

    def timed(call):
        """Wall and processor seconds, those of ended children too, and what the call gave."""
        begin, begin_cpu = time.perf_counter(), sum(os.times()[:4])
        count = call()
        return time.perf_counter() - begin, sum(os.times()[:4]) - begin_cpu, count

    def row(name, runs):
        wall_s, cpu_s = (statistics.median(run[part] for run in runs) for part in (0, 1))
        faster = f"{old_run[0] / wall_s:.0f} x, {old_run[1] / cpu_s:.0f} x by processor time"
        print(f"| {name} | {wall_s:.3f} s, {cpu_s:.3f} s of processors | {runs[0][2]} events | {faster} |")

    old_run = timed(lambda: old_recorder.merge(old, Path(directory) / "old.json"))
    row("old merge", [old_run])
    for name, fragments in (("rings", config.fragments_dir), ("old fragments", old)):
        runs = [timed(lambda: profile.merge_fragments(fragments, Path(directory) / "new.json")) for _ in range(5)]
        row(f"merge_fragments of {name}", runs)


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    print(f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, CPython {platform.python_version()}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--merge-events", type=int, default=1_000_000)
    parser.add_argument("--part", choices=["core", "drop-in", "peers", "threads", "merge"], action="append")
    options = parser.parse_args()
    parts = options.part or ["core", "drop-in", "peers", "threads", "merge"]
    directory = tempfile.mkdtemp(prefix="ringscope-bench-", dir="/dev/shm")
    try:
        run_parts(parts, options, directory)
    finally:
        shutil.rmtree(directory)


def run_parts(parts, options, directory):
    import ringscope
    from ringscope import profile

    machine()
    floor = build_floor(directory)
    rounds, count = options.rounds, options.count
    if "merge" in parts:
        merges(directory, options.merge_events)
        print()
    ringscope.start(directory, level="verbose")
    if "core" in parts:
        table(measure(core_cases(floor, ringscope), rounds, count), CORE_FLOORS)
        print()
    if "threads" in parts:
        two_threads(ringscope, max(3, rounds // 10), count * 20)
        print()
    if "peers" in parts:
        table(measure(viztracer_cases(directory), max(5, rounds // 5), count), {})
        print()
    if "drop-in" in parts:
        os.environ["RINGSCOPE_MODE"] = "flight"
        for state in ("on", "off"):
            old_recorder.install(old_recorder.OldRecorder(directory, enabled=state == "on"))
            config = profile.create_profile_config(enabled=True, output=Path(directory) / "profile")
            profile.configure_profiler(config, initially_active=state == "on")
            table(measure(drop_in_cases(profile, floor, state), rounds, count), drop_in_floors(state))
            print()


if __name__ == "__main__":
    main()
