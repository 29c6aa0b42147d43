/* What a launch costs the host, in ns: medians of rounds of small launches, each followed by one clFinish. With and without the layer.
 * cost [ROUNDS]: each round prints two lines, "enqueue NS" and "finished NS", a launch each. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAUNCHES = 2000 };

static double now_ns(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

int main(int count, char **arguments)
{
    const int rounds = count > 1 ? atoi(arguments[1]) : 11;
    const char *source = "kernel void nothing(global int *a) { }\n";
    const size_t work_items = 1;
    cl_platform_id platform;
    cl_device_id device;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
        return 1;
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, NULL);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    if (clBuildProgram(program, 1, &device, "", NULL, NULL))
        return 1;
    cl_kernel kernel = clCreateKernel(program, "nothing", NULL);
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4, NULL, NULL);
    clSetKernelArg(kernel, 0, sizeof buffer, &buffer);
    /* The first round translates the kernel. */
    for (int round = -1; round < rounds; round++) {
        const double begin = now_ns();
        for (int i = 0; i < LAUNCHES; i++)
            clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &work_items, &work_items, 0, NULL, NULL);
        const double enqueued = now_ns();
        if (clFinish(queue))
            return 1;
        if (round >= 0)
            printf("enqueue %.1f\nfinished %.1f\n", (enqueued - begin) / LAUNCHES, (now_ns() - begin) / LAUNCHES);
    }
    return 0;
}
