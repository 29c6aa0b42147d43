"""Measures kernels and copies of its own, and prints "time NAME START END" of each; others it only counts: "launches NAME COUNT"."""

import numpy
import pyopencl as cl

device = cl.get_platforms()[0].get_devices()[0]
context = cl.Context([device])
measuring = cl.CommandQueue(context, properties=cl.command_queue_properties.PROFILING_ENABLE)
quiet = cl.CommandQueue(context)
assert measuring.properties == cl.command_queue_properties.PROFILING_ENABLE, measuring.properties
assert quiet.properties == 0, quiet.properties
program = cl.Program(context, """
    kernel void twice(global float *a) { a[get_global_id(0)] *= 2; }
    kernel void sum(global const float *a, global const float *b, global float *c) {
        const int at = get_global_id(0); c[at] = a[at] + b[at];
    }
    kernel void quiet(global float *a) { a[get_global_id(0)] += 1; }
""").build()
a = numpy.arange(4096, dtype=numpy.float32)
flags = cl.mem_flags
buffers = [cl.Buffer(context, flags.READ_WRITE | flags.COPY_HOST_PTR, hostbuf=a) for _ in range(3)]
twice, add, silent = (cl.Kernel(program, name) for name in ("twice", "sum", "quiet"))
measured = []
for _ in range(200):
    measured.append(("twice", twice(measuring, a.shape, None, buffers[0])))
    measured.append(("sum", add(measuring, a.shape, (64,), *buffers)))
    silent(quiet, a.shape, None, buffers[1])
result = numpy.empty_like(a)
measured.append(("clEnqueueReadBuffer", cl.enqueue_copy(measuring, result, buffers[2], is_blocking=False)))
measuring.finish()
quiet.finish()
for name, event in measured:
    print("time", name, event.profile.start, event.profile.end)
unmeasured = silent(quiet, a.shape, None, buffers[1])
unmeasured.wait()
try:
    raise SystemExit(f"a queue that does not measure has times: {unmeasured.profile.start}")
except cl.RuntimeError as error:
    assert error.code == cl.status_code.PROFILING_INFO_NOT_AVAILABLE, error
print("launches quiet", 201)
