"""Prints a C file that compares the numbers of src/cl.rs with the headers of Khronos: it compiles when they are the same."""

import pathlib
import re

source = (pathlib.Path(__file__).parent.parent / "src/cl.rs").read_text(encoding="utf-8")
# Names that are not the header's with a prefix.
NAMES = {
    "QUEUE_OUT_OF_ORDER": "CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE", "QUEUE_PROFILING": "CL_QUEUE_PROFILING_ENABLE",
}


def function(place):
    """ENQUEUE_ND_RANGE_KERNEL to clEnqueueNDRangeKernel."""
    return "cl" + "".join(word if word in ("ND", "SVM") else word.capitalize() for word in place.split("_"))


print("#define CL_TARGET_OPENCL_VERSION 300\n#include <CL/cl_icd.h>\n#include <CL/cl_layer.h>\n#include <stddef.h>")
print("_Static_assert(sizeof(cl_queue_properties) == 8 && sizeof(cl_command_queue_properties) == 8 && sizeof(cl_map_flags) == 8"
      " && sizeof(cl_bool) == 4 && sizeof(cl_int) == 4 && sizeof(size_t) == 8, \"sizes\");")
places = re.findall(r"pub\(crate\) const (\w+): usize = (\d+);", source)
numbers = re.findall(r"pub\(crate\) const (\w+): (?:Status|u32|u64|QueueFlags) = ([^;]+);", source)
assert len(places) > 40 and len(numbers) > 20, (places, numbers)
for place, number in places:
    print(f'_Static_assert(offsetof(cl_icd_dispatch, {function(place)}) == {number} * sizeof(void *), "{place}");')
for name, number in numbers:
    print(f'_Static_assert({NAMES.get(name, "CL_" + name)} == ({number}), "{name}");')
