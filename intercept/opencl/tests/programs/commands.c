/* Does through OpenCL what the layer is to record, and prints what it knows of it: "time NAME START END" of each command that the
 * program measured itself, "launches NAME COUNT" of the rest, "see" before what must be the same without the layer. It ends with status 7, and with 1 and a line when something is not as it is
 * without the layer. */
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_ITEMS = 256, BYTES = WORK_ITEMS * sizeof(cl_int), LAUNCHES = 100, THREADS = 4 };

#define EXPECT(what, got, expected) expect(what, (long long)(got), (long long)(expected), __LINE__)

static void expect(const char *what, long long got, long long expected, int line)
{
    if (got != expected) {
        fprintf(stderr, "commands.c:%d: %s: expected %lld, found %lld\n", line, what, expected, got);
        exit(1);
    }
}

static cl_device_id device;
static cl_context context;
static cl_program program;
static cl_mem buffer, other;

static cl_kernel kernel(const char *name)
{
    cl_int status;
    cl_kernel made = clCreateKernel(program, name, &status);
    EXPECT("clCreateKernel", status, CL_SUCCESS);
    EXPECT("clSetKernelArg", clSetKernelArg(made, 0, sizeof buffer, &buffer), CL_SUCCESS);
    return made;
}

static void launch(cl_command_queue queue, cl_kernel run, cl_event *event)
{
    const size_t work_items = WORK_ITEMS, group = 64;
    EXPECT("launch", clEnqueueNDRangeKernel(queue, run, 1, NULL, &work_items, &group, 0, NULL, event), CL_SUCCESS);
}

static cl_ulong time_of(cl_event event, cl_profiling_info what)
{
    cl_ulong ns = 0;
    EXPECT("profiling", clGetEventProfilingInfo(event, what, sizeof ns, &ns, NULL), CL_SUCCESS);
    return ns;
}

/* Prints a command's times, and gives up its event. */
static void tell(const char *name, cl_event event)
{
    printf("time %s %llu %llu\n", name, (unsigned long long)time_of(event, CL_PROFILING_COMMAND_START),
           (unsigned long long)time_of(event, CL_PROFILING_COMMAND_END));
    EXPECT("clReleaseEvent", clReleaseEvent(event), CL_SUCCESS);
}

static cl_command_queue_properties flags_of(cl_command_queue queue)
{
    cl_command_queue_properties flags = 77;
    EXPECT("flags", clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof flags, &flags, NULL), CL_SUCCESS);
    return flags;
}

static size_t properties_of(cl_command_queue queue, cl_queue_properties *properties)
{
    size_t bytes = 99;
    EXPECT("properties", clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES_ARRAY, 9 * sizeof *properties, properties, &bytes), CL_SUCCESS);
    return bytes;
}

static cl_command_queue queue_with(const cl_queue_properties *properties)
{
    cl_int status;
    cl_command_queue queue = clCreateCommandQueueWithProperties(context, device, properties, &status);
    EXPECT("queue", status, CL_SUCCESS);
    return queue;
}

/* What a program sees of a queue is what it asked for. */
static void queues_look_as_asked(void)
{
    cl_int status;
    cl_queue_properties found[9], asked[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    cl_command_queue none = queue_with(NULL), some = queue_with(asked), flags = clCreateCommandQueue(context, device, 0, &status);
    EXPECT("clCreateCommandQueue", status, CL_SUCCESS);
    EXPECT("flags without properties", flags_of(none), 0);
    EXPECT("flags out of order", flags_of(some), CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    EXPECT("flags of the older call", flags_of(flags), 0);
    EXPECT("length of no properties", properties_of(none, found), 0);
    EXPECT("length of no properties, older call", properties_of(flags, found), 0);
    EXPECT("length of properties", properties_of(some, found), sizeof asked);
    EXPECT("properties", memcmp(found, asked, sizeof asked), 0);
    EXPECT("no room", clGetCommandQueueInfo(some, CL_QUEUE_PROPERTIES_ARRAY, 8, found, NULL), CL_INVALID_VALUE);
    cl_queue_properties wrong[] = {CL_QUEUE_PROPERTIES, 1 << 20, 0};
    EXPECT("wrong flags", clCreateCommandQueueWithProperties(context, device, wrong, &status) == NULL, 1);
    EXPECT("status of wrong flags", status == CL_INVALID_VALUE || status == CL_INVALID_QUEUE_PROPERTIES, 1);
    EXPECT("wrong device", clCreateCommandQueue(context, NULL, 0, &status) == NULL, 1);
    EXPECT("status of a wrong device", status, CL_INVALID_DEVICE);
    clReleaseCommandQueue(none);
    clReleaseCommandQueue(some);
    clReleaseCommandQueue(flags);
}

static cl_uint references_of(cl_event event)
{
    cl_uint count = 0;
    EXPECT("references", clGetEventInfo(event, CL_EVENT_REFERENCE_COUNT, sizeof count, &count, NULL), CL_SUCCESS);
    return count;
}

/* Events of a queue that does not measure times have none, however often they are asked; nobody else is seen to have them. */
static void events_look_as_asked(cl_command_queue quiet, cl_kernel run)
{
    const size_t work_items = WORK_ITEMS;
    cl_int status;
    cl_event event, gate = clCreateUserEvent(context, &status);
    cl_ulong ns = 5;
    EXPECT("gated", clEnqueueNDRangeKernel(quiet, run, 1, NULL, &work_items, NULL, 1, &gate, &event), CL_SUCCESS);
    printf("see references of a command that can't run: %u\n", references_of(event));
    EXPECT("clSetUserEventStatus", clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    EXPECT("clWaitForEvents", clWaitForEvents(1, &event), CL_SUCCESS);
    for (cl_profiling_info what = CL_PROFILING_COMMAND_QUEUED; what <= CL_PROFILING_COMMAND_END; what++)
        EXPECT("hidden", clGetEventProfilingInfo(event, what, sizeof ns, &ns, NULL), CL_PROFILING_INFO_NOT_AVAILABLE);
    EXPECT("answer that was not given", ns, 5);
    clReleaseEvent(gate);
    clReleaseEvent(event);
}

static void copies(cl_command_queue measuring, cl_command_queue quiet)
{
    cl_int data[WORK_ITEMS] = {0}, status;
    const cl_int zero = 0;
    cl_event event;
    EXPECT("write", clEnqueueWriteBuffer(measuring, buffer, CL_TRUE, 0, BYTES, data, 0, NULL, &event), CL_SUCCESS);
    tell("clEnqueueWriteBuffer", event);
    EXPECT("read", clEnqueueReadBuffer(quiet, buffer, CL_TRUE, 0, BYTES / 2, data, 0, NULL, NULL), CL_SUCCESS);
    EXPECT("copy", clEnqueueCopyBuffer(measuring, buffer, other, 0, 0, BYTES, 0, NULL, &event), CL_SUCCESS);
    clFinish(measuring);
    tell("clEnqueueCopyBuffer", event);
    EXPECT("fill", clEnqueueFillBuffer(quiet, buffer, &zero, sizeof zero, 0, BYTES, 0, NULL, NULL), CL_SUCCESS);
    void *mapped = clEnqueueMapBuffer(quiet, buffer, CL_TRUE, CL_MAP_READ, 0, BYTES, 0, NULL, NULL, &status);
    EXPECT("map", status, CL_SUCCESS);
    EXPECT("unmap", clEnqueueUnmapMemObject(quiet, buffer, mapped, 0, NULL, NULL), CL_SUCCESS);
    EXPECT("clFinish", clFinish(quiet), CL_SUCCESS);
    printf("launches clEnqueueReadBuffer 1\nlaunches clEnqueueFillBuffer 1\nlaunches clEnqueueMapBuffer 1\nlaunches clEnqueueUnmapMemObject 1\n");
}

/* Each thread has a kernel; all share a queue. */
static void *thread(void *argument)
{
    cl_kernel run = kernel("threads");
    for (int i = 0; i < LAUNCHES; i++) {
        launch(argument, run, NULL);
        if (i % 10 == 0)
            EXPECT("clFinish", clFinish(argument), CL_SUCCESS);
    }
    /* Not all that it launched is done. */
    clReleaseKernel(run);
    return NULL;
}

static void many_threads(cl_command_queue queue)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, queue);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("launches threads %d\n", THREADS * LAUNCHES);
}

/* Kernels that come one after the other, mostly at the same address. */
static void one_after_the_other(cl_command_queue queue)
{
    for (int i = 0; i < 20; i++) {
        cl_kernel run = kernel(i % 2 ? "odd" : "even");
        launch(queue, run, NULL);
        EXPECT("clFinish", clFinish(queue), CL_SUCCESS);
        clReleaseKernel(run);
    }
    printf("launches odd 10\nlaunches even 10\n");
}

int main(void)
{
    const char *source = "kernel void measured(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void quiet(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void threads(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void unordered(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void odd(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void even(global int *a) { a[get_global_id(0)]++; }\n"
                         "kernel void uncollected(global int *a) { a[get_global_id(0)]++; }\n";
    cl_platform_id platform;
    cl_int status;
    EXPECT("clGetPlatformIDs", clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    EXPECT("clGetDeviceIDs", clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), CL_SUCCESS);
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
    EXPECT("clCreateContext", status, CL_SUCCESS);
    program = clCreateProgramWithSource(context, 1, &source, NULL, &status);
    EXPECT("clBuildProgram", clBuildProgram(program, 1, &device, "", NULL, NULL), CL_SUCCESS);
    buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, BYTES, NULL, &status);
    other = clCreateBuffer(context, CL_MEM_READ_WRITE, BYTES, NULL, &status);
    queues_look_as_asked();

    cl_queue_properties measures[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0};
    cl_queue_properties unordered_measures[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    cl_command_queue measuring = queue_with(measures), quiet = clCreateCommandQueue(context, device, 0, &status);
    cl_event events[LAUNCHES];
    cl_kernel measured = kernel("measured"), silent = kernel("quiet");
    EXPECT("flags of one that measures", flags_of(measuring), CL_QUEUE_PROFILING_ENABLE);
    for (int i = 0; i < LAUNCHES; i++) {
        launch(measuring, measured, &events[i]);
        launch(quiet, silent, NULL);
    }
    /* Released before it has run, for all that anybody knows. */
    EXPECT("clReleaseKernel", clReleaseKernel(measured), CL_SUCCESS);
    EXPECT("clWaitForEvents", clWaitForEvents(LAUNCHES, events), CL_SUCCESS);
    for (int i = 0; i < LAUNCHES; i++)
        tell("measured", events[i]);
    EXPECT("clFinish", clFinish(quiet), CL_SUCCESS);
    events_look_as_asked(quiet, silent);
    printf("launches quiet %d\n", LAUNCHES + 1);
    copies(measuring, quiet);
    cl_command_queue shared = queue_with(NULL);
    many_threads(shared);
    /* Released with commands that nobody has waited for. */
    EXPECT("clReleaseCommandQueue", clReleaseCommandQueue(shared), CL_SUCCESS);
    one_after_the_other(quiet);

    cl_command_queue_properties can = 0;
    clGetDeviceInfo(device, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, sizeof can, &can, NULL);
    if (can & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) {
        cl_command_queue unordered = queue_with(unordered_measures);
        cl_kernel run = kernel("unordered");
        cl_event gate = clCreateUserEvent(context, &status), last;
        const size_t work_items = WORK_ITEMS;
        /* The first can't run before the others have: what stands behind it is read all the same. */
        EXPECT("gated", clEnqueueNDRangeKernel(unordered, run, 1, NULL, &work_items, NULL, 1, &gate, &events[0]), CL_SUCCESS);
        launch(unordered, run, &last);
        EXPECT("clWaitForEvents", clWaitForEvents(1, &last), CL_SUCCESS);
        tell("unordered", last);
        clSetUserEventStatus(gate, CL_COMPLETE);
        EXPECT("clFinish", clFinish(unordered), CL_SUCCESS);
        tell("unordered", events[0]);
        clReleaseEvent(gate);
        clReleaseKernel(run);
        clReleaseCommandQueue(unordered);
    }

    /* A work-group that no device has: refused. */
    const size_t work_items = WORK_ITEMS, group = 7777777;
    EXPECT("a launch that is refused", clEnqueueNDRangeKernel(quiet, silent, 1, NULL, &work_items, &group, 0, NULL, NULL) != CL_SUCCESS, 1);
    EXPECT("no queue", clEnqueueNDRangeKernel(NULL, silent, 1, NULL, &work_items, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);

    /* Done when the program ends, and nothing of the layer was called since. */
    cl_kernel uncollected = kernel("uncollected");
    for (int i = 0; i < 10; i++)
        launch(quiet, uncollected, i == 9 ? &events[0] : NULL);
    cl_int progress = CL_QUEUED;
    while (progress != CL_COMPLETE)
        clGetEventInfo(events[0], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof progress, &progress, NULL);
    printf("launches uncollected 10\n");
    return 7;
}
