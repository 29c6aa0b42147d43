"""Compares a trace of one of the programs with what that program annotates: judge.py c|python TRACE."""

import collections
import json
import sys


def no_twice(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key twice: {keys}"
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"not JSON: {text}")


language, path = sys.argv[1:]
with open(path, encoding="utf-8", errors="strict") as file:
    trace = json.load(file, object_pairs_hook=no_twice, parse_constant=no_constant)
events = [event for event in trace["traceEvents"] if event["ph"] in "Xi"]
found = collections.Counter((event["ph"], event["cat"], event["name"]) for event in events)


def arguments(name):
    return [event.get("args", {}) for event in events if event["name"] == name]


def same(what, got, wanted):
    assert got == wanted, f"{what}: expected {wanted}, found {got}"


def lane(event):
    return event["pid"], event["tid"]


names = {lane(event): event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
parents = {"c": ("step", "assemble"), "python": ("step", "forward")}[language]
if language == "c":
    same("events", found, {
        ("X", "solver", "step"): 400, ("X", "solver", "assemble"): 400, ("X", "nvtx", "plain"): 400,
        ("X", "solver", "request"): 4, ("X", "nvtx", "around fork"): 1, ("X", "nvtx", "in child"): 1,
        ("i", "solver", "assemble"): 1, ("i", "nvtx", "assemble"): 1, ("i", "nvtx", "mark.i64"): 1, ("i", "nvtx", "mark.f64"): 1, ("i", "nvtx", "mark.u32"): 1,
        ("i", "nvtx", "mark.i32"): 1, ("i", "nvtx", "mark.f32"): 1, ("i", "nvtx", "mark \"odd\"\n\ufffd"): 1,
        ("i", "nvtx", "mark \u00e9\U0001f600"): 1, ("i", "nvtx", "(no message)"): 1,
    })
    same("one registered message with and without a payload", collections.Counter(one.get("payload") for one in arguments("assemble")),
         {None: 400, 9: 2})
    same("i64", arguments("mark.i64"), [{"payload": -5}])
    same("f64", arguments("mark.f64"), [{"payload": 0.5, "category": 8}])
    same("u32", arguments("mark.u32"), [{"payload": 2**32 - 1}])
    same("i32", arguments("mark.i32"), [{"payload": -7}])
    same("f32", arguments("mark.f32"), [{"payload": 0.25}])
    steps = sorted(one["payload"] for one in arguments("step"))
    same("steps", steps, sorted(list(range(100)) * 4))
    same("categories", {one["category"] for one in arguments("step")}, {"linear algebra"})
    workers = {names[lane(event)].split(" (")[0] for event in events if event["name"] == "step"}
    same("names of threads", workers, {f"worker {n}" for n in range(4)})
else:
    same("events", found, {
        ("X", "train", "step"): 150, ("X", "train", "forward"): 150, ("X", "train", "request"): 3,
        ("X", "nvtx", "in fork"): 1, ("X", "nvtx", "in spawn"): 1, ("i", "train", "mark"): 2,
    })
    same("steps", sorted(one["payload"] for one in arguments("step")), sorted(list(range(50)) * 3))
    same("categories", {one["category"] for one in arguments("forward")}, {"model"})
    same("processes", len({event["pid"] for event in events}), 3)
same("requests", sorted(one["payload"] for one in arguments("request")), list(range({"c": 4, "python": 3}[language])))
assert all("ranges" in names[lane(event)] for event in events if event["name"] == "request")

# Every inner range lies within one outer range of its process, which is of the same thread.
outer, inner = ([event for event in events if event["name"] == name and event["ph"] == "X"] for name in parents)
for event in inner:
    around = [one for one in outer if lane(one) == lane(event) and one["ts"] <= event["ts"]
              and event["ts"] + event["dur"] <= one["ts"] + one["dur"]]
    same("ranges around one", len(around), 1)
print(f"{language}: {len(events)} annotations, as the program makes them")
