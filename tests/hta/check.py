"""Loads traces of two ranks into Holistic Trace Analysis and compares its tables with ringscope's own.

usage: check.py TRACES STATS: a directory with one trace a rank, and what `ringscope stats --launches --json` printed.
"""

import json
import sys
from pathlib import Path

import pandas
from hta.trace_analysis import TraceAnalysis

RANKS = [0, 1]
# Sums of microseconds with three decimals, in floating point.
TOLERANCE_US = 0.01


def expect(what, found, expected, tolerance=0.0):
    """Ends the check where two figures differ by more than `tolerance`."""
    if abs(found - expected) > tolerance:
        sys.exit(f"hta: {what}: expected {expected}, found {found}")


def check_kernels(analysis, stats):
    """The kernel breakdown, summed over the ranks, against the kernels of `stats`."""
    types, kernels = analysis.get_gpu_kernel_breakdown(
        visualize=False, duration_ratio=1.0, num_kernels=1000, include_memory_kernels=True
    )
    print(types.to_string(), kernels.to_string(), sep="\n\n")
    expect("ranks in the kernel breakdown", sorted(kernels["rank"].unique()) == RANKS, True)
    sums = kernels.groupby("name")["sum (us)"].sum()
    ran = {kernel["name"]: kernel for kernel in stats["kernels"] if kernel["device"]}
    if not ran or set(sums.index) != set(ran):
        sys.exit(f"hta: expected the kernels {sorted(ran)}, found {sorted(sums.index)}")
    for name, kernel in ran.items():
        expect(f"device time of {name}, us", sums[name], kernel["device"]["total_ns"] / 1e3, TOLERANCE_US)


def check_idle_time(analysis, stats):
    """The idle time of each stream: what its own first and last kernel leave, less what is busy."""
    idle, _ = analysis.get_idle_time_breakdown(ranks=RANKS, visualize=False)
    print(idle.to_string())
    streams = {(row["rank"], row["stream"]) for _, row in idle.iterrows()}
    expected = {(rank, stream["stream"]) for rank in RANKS for stream in stats["streams"]}
    if not streams or streams != expected:
        sys.exit(f"hta: expected the streams {sorted(expected)}, found {sorted(streams)}")
    expect("idle time that is negative", (idle["idle_time"] < 0).sum(), 0)
    # HTA tells streams apart by number alone: only those of one device can be compared.
    devices = pandas.Series([stream["device"] for stream in stats["streams"] if stream["stream"] == ALONE])
    expect(f"devices with a stream {ALONE}", devices.nunique(), 1)
    found = idle[idle["stream"] == ALONE].groupby("rank")["idle_time"].sum().sum()
    own = [stream["idle_ns"] for stream in stats["streams"] if stream["stream"] == ALONE]
    expect(f"idle time of stream {ALONE}, us", found, sum(own) / 1e3, TOLERANCE_US)


# The stream of the batch of tasks.
ALONE = 9


def check_steps(analysis):
    """`ProfilerStep#n` is found on each rank."""
    for rank in RANKS:
        names = analysis.t.get_trace(rank)["name"].map(analysis.t.symbol_table.get_sym_table().__getitem__)
        expect(f"steps of rank {rank}", (names == "ProfilerStep#0").sum(), 1)


def main():
    traces, stats = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    analysis = TraceAnalysis(trace_dir=str(traces))
    expect("ranks", sorted(analysis.t.get_ranks()) == RANKS, True)
    check_kernels(analysis, stats)
    check_idle_time(analysis, stats)
    check_steps(analysis)
    print("ci/hta: the tables of Holistic Trace Analysis agree with `ringscope stats --launches`")


main()
