"""Compares what a program printed of its commands with what was recorded of it: judge.py PRINTED RUN TRACE.

"time NAME START END" is a command that the program measured by its own events: a device record has exactly these ticks, and the trace the
same duration but for the rounding of its two ends and the rate of the device's clock against the host's. "launches NAME COUNT" are commands that it did not measure.
The run was recorded in flight mode, so that its rings hold every record."""

import collections
import json
import pathlib
import struct
import sys

DEVICE_SPAN = 12
VALID = 1 << 63
# How much faster or slower one clock may run than the other.
MAX_DRIFT = 100e-6
# Anchors are no closer to each other (src/device.rs).
MIN_PERIOD_NS = 250_000_000


def same(what, got, wanted):
    assert got == wanted, f"{what}: expected {wanted}, found {got}"


def device_records(run):
    """Start and end, in ticks, of all device spans in the rings of a run."""
    found = collections.Counter()
    for ring in pathlib.Path(run).glob("*.ring"):
        data = ring.read_bytes()
        (header_len,) = struct.unpack_from("<I", data, 12)
        for w0, w1, _, w3 in struct.iter_unpack("<4Q", data[header_len:len(data) - len(data) % 32]):
            if w3 & VALID and w3 >> 32 & 0xFF == DEVICE_SPAN:
                found[w0, w0 + (w1 & (1 << 48) - 1)] += 1
    return found


def ns(microseconds):
    return round(microseconds * 1000)


printed_path, run, trace_path = sys.argv[1:]
times, counts = collections.defaultdict(list), collections.Counter()
for line in open(printed_path, encoding="utf-8"):
    what, name, *numbers = line.split()
    if what == "see":
        continue
    if what == "time":
        times[name].append(tuple(map(int, numbers)))
        counts[name] += 1
    elif what == "launches":
        counts[name] += int(numbers[0])
with open(trace_path, encoding="utf-8") as file:
    trace = json.load(file)
events = trace["traceEvents"]

# What the program measured stands in the rings as it is.
records = device_records(run)
measured = collections.Counter(time for name in times for time in times[name])
same("times of the program's own events that were not recorded", measured - records, collections.Counter())

spans = [event for event in events if event["ph"] == "X"]
devices = [event for event in spans if "stream" in event.get("args", {})]
launches = [event for event in spans if "to_stream" in event.get("args", {})]
by_id = collections.defaultdict(list)
for event in launches:
    by_id[event["args"]["correlation"]].append(event)
same("device spans", len(devices), sum(records.values()))
same("device spans by name", collections.Counter(event["name"] for event in devices), counts)
(clock,) = trace["metadata"]["device_clocks"]
same("alignment", clock["alignment"], "anchors")
# The rate between two anchors is off by what both are, at most.
rate_off = MAX_DRIFT + 2 * clock["uncertainty_ns"] / MIN_PERIOD_NS
for name, wanted in times.items():
    got = sorted((event for event in devices if event["name"] == name), key=lambda event: event["ts"])
    for event, (start, end) in zip(got, sorted(wanted), strict=True):
        tolerance_ns = 1 + (end - start) * rate_off
        assert abs(ns(event["dur"]) - (end - start)) <= tolerance_ns, f"{name}: {event}: expected {end - start} ns"

# Each device span has a launch of its name, which is where its arrow begins; the launch says where the work went.
begins = collections.Counter((event["pid"], event["tid"], ns(event["ts"])) for event in events if event["ph"] == "s")
ends = collections.Counter((event["pid"], event["tid"], ns(event["ts"])) for event in events if event["ph"] == "f")
flows = collections.Counter(event["ph"] for event in events if event["ph"] in "sf")
same("flows", flows, collections.Counter(s=len(devices), f=len(devices)))
same("ends of arrows", ends, collections.Counter((event["pid"], event["tid"], ns(event["ts"])) for event in devices))
for event in devices:
    arguments = event["args"]
    launch, *waits = sorted(by_id[arguments["correlation"]], key=lambda one: one["ts"])
    same("launch", (launch["name"], launch["args"]["to_stream"]), (event["name"], arguments["stream"]))
    begins[launch["pid"], launch["tid"], ns(launch["ts"])] -= 1
assert not any(begins.values()), "arrows that begin at no launch"

# The clock of the device is tied to the host's.
slack_ns = clock["uncertainty_ns"] + trace["metadata"]["clock"]["uncertainty_ns"] + 1
for event in devices:
    launch = min(by_id[event["args"]["correlation"]], key=lambda one: one["ts"])
    assert ns(event["ts"]) + slack_ns >= ns(launch["ts"]), f"{event} runs before {launch}, by more than {slack_ns} ns"

names = collections.Counter((event["ph"], event["name"]) for event in events)
assert names["X", "clBuildProgram"] >= 1 and names["X", "clFinish"] >= 1, names
if "uncollected" in counts:
    same("enqueues that failed", [event["args"]["status"] < 0 for event in events if event["name"] == "enqueue failed"], [True])
    kinds = {event["name"]: event["args"]["kind"] for event in devices}
    same("kinds", [kinds[f"clEnqueue{name}"] for name in ("WriteBuffer", "ReadBuffer", "CopyBuffer", "FillBuffer", "MapBuffer")],
         ["memcpy HtoD", "memcpy DtoH", "memcpy DtoD", "memset", "memcpy DtoH"])
    same("bytes", {event["args"]["bytes"] for event in launches if event["name"] == "clEnqueueReadBuffer" and "bytes" in event["args"]}, {512})
    assert all(event["args"]["group_size"] == 64 for event in launches if event["name"] == "measured" and "group_size" in event["args"])
    same("threads", len({event["tid"] for event in launches if event["name"] == "threads"}), 4)
    # The program had three queues before, and released them.
    assert {event["args"]["stream"] for event in devices} <= {0, 1, 2}, "the streams of released queues are not used again"
print(f"{len(devices)} commands, {sum(map(len, times.values()))} of them with times that the program measured itself: equal, tick by tick")
