"""Judges a trace and the statistics of `clpeak --kernel-latency`: latency.py TRACE STATISTICS."""

import collections
import json
import sys

trace, statistics = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
events = trace["traceEvents"]
launches = {event["args"]["correlation"] for event in events if event["ph"] == "X" and "to_stream" in event.get("args", {})}
devices = [event for event in events if event["ph"] == "X" and "stream" in event.get("args", {})]
flows = collections.Counter(event["ph"] for event in events if event["ph"] in "sf")
assert len(launches) == len(devices) > 5_000, (len(launches), len(devices))
assert flows == collections.Counter(s=len(devices), f=len(devices)), flows
kernels = statistics["kernels"]
assert sum(kernel["executions"] for kernel in kernels) == sum(kernel["launches"] for kernel in kernels) == len(devices), kernels
assert all(kernel["device"]["p50_ns"] > 0 and kernel["unavailable"] == 0 for kernel in kernels), kernels
print(f"ci/opencl: clpeak: {len(launches)} launches, {len(devices)} device spans, {flows['s']} arrows")
