/* Loads the layer that OPENCL_LAYERS names as OpenCL's loader does, over an implementation of its own that refuses what the layer asks for
 * beyond the program's wish: the program must not notice. It ends with status 5, and with 1 and a line when something is not as expected.
 * layered OPENCL_VERSION PLACES: version of the device, and how long the table of functions is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, OUT_OF_HOST_MEMORY = -6, NO_TIMES = -7, INVALID_VALUE = -30, INVALID_QUEUE_PROPERTIES = -35, PROFILING = 2 };
enum { ALL_PLACES = 149, LAUNCHES = 40 };

#define EXPECT(what, got, expected) expect(what, (long long)(got), (long long)(expected), __LINE__)

static void expect(const char *what, long long got, long long expected, int line)
{
    if (got != expected) {
        fprintf(stderr, "layered.c:%d: %s: expected %lld, found %lld\n", line, what, expected, got);
        exit(1);
    }
}

struct event { int references; uint64_t queued, start, end; struct queue *queue; };
struct queue { uint64_t flags; };

static struct queue queue;
static char device, context, kernel;
static const char *version;
static int refuses_profiling, is_exhausted, calls, live_events, clock_reads;

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1000000000ull * (uint64_t)time.tv_sec + (uint64_t)time.tv_nsec;
}

static int answer(const void *from, size_t len, size_t size, void *to, size_t *len_ret)
{
    if (to && size < len)
        return INVALID_VALUE;
    if (to)
        memcpy(to, from, len);
    if (len_ret)
        *len_ret = len;
    return SUCCESS;
}

static int device_info(void *id, uint32_t what, size_t size, void *to, size_t *len_ret)
{
    const char *text = what == 0x102B ? "made by hand" : version;
    EXPECT("device", id == &device, 1);
    return answer(text, strlen(text) + 1, size, to, len_ret);
}

static int kernel_info(void *id, uint32_t what, size_t size, void *to, size_t *len_ret)
{
    EXPECT("kernel", id == &kernel && what == 0x1190, 1);
    return answer("step", 5, size, to, len_ret);
}

static struct queue *create_queue(void *in, void *on, uint64_t flags, int *status)
{
    calls++;
    EXPECT("queue", in == &context && on == &device, 1);
    *status = refuses_profiling && flags & PROFILING ? INVALID_QUEUE_PROPERTIES : SUCCESS;
    queue.flags = flags;
    return *status ? NULL : &queue;
}

static int queue_info(struct queue *id, uint32_t what, size_t size, void *to, size_t *len_ret)
{
    const void *on = &device;
    return what == 0x1091 ? answer(&on, sizeof on, size, to, len_ret) : answer(&id->flags, sizeof id->flags, size, to, len_ret);
}

static int event_info(struct event *id, uint32_t what, size_t size, void *to, size_t *len_ret)
{
    const int complete = 0;
    switch (what) {
    case 0x11D0: return answer(&id->queue, sizeof id->queue, size, to, len_ret);
    case 0x11D2: return answer(&id->references, sizeof id->references, size, to, len_ret);
    default: return answer(&complete, sizeof complete, size, to, len_ret);
    }
}

static int profiling_info(struct event *id, uint32_t what, size_t size, void *to, size_t *len_ret)
{
    const uint64_t ns = what == 0x1280 ? id->queued : what == 0x1282 ? id->start : id->end;
    return id->queue->flags & PROFILING ? answer(&ns, sizeof ns, size, to, len_ret) : NO_TIMES;
}

static int retain_event(struct event *id) { id->references++; return SUCCESS; }

static int release_event(struct event *id)
{
    EXPECT("references", id->references > 0, 1);
    if (--id->references == 0) {
        live_events--;
        free(id);
    }
    return SUCCESS;
}

static int finish(struct queue *id) { return id == &queue ? SUCCESS : INVALID_VALUE; }

static int launch(struct queue *in, void *run, uint32_t dimensions, const size_t *offset, const size_t *items, const size_t *group,
                  uint32_t count, struct event **list, struct event **event)
{
    calls++;
    EXPECT("arguments", in == &queue && run == &kernel && dimensions == 1 && !offset && items[0] == 8 && !group && !count && !list, 1);
    if (event && is_exhausted)
        return OUT_OF_HOST_MEMORY;
    if (event) {
        const uint64_t ns = now_ns();
        live_events++;
        *event = malloc(sizeof **event);
        **event = (struct event){1, ns, ns + 1000, ns + 3000, in};
    }
    return SUCCESS;
}

static int device_clock(void *id, uint64_t *device_ns, uint64_t *host_ns)
{
    EXPECT("device", id == &device, 1);
    clock_reads++;
    *device_ns = *host_ns = now_ns();
    return SUCCESS;
}

int main(int count, char **arguments)
{
    static void *beneath[ALL_PLACES];
    const uint32_t places = count > 2 ? (uint32_t)atoi(arguments[2]) : ALL_PLACES;
    void *functions[] = {device_info, create_queue, queue_info, kernel_info, event_info, retain_event, release_event, profiling_info, finish, launch, device_clock};
    const int at[] = {3, 9, 12, 39, 42, 43, 44, 45, 47, 59, 140};
    version = arguments[1];
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        beneath[at[i]] = functions[i];
    void *library = dlopen(getenv("OPENCL_LAYERS"), RTLD_NOW | RTLD_LOCAL);
    EXPECT("the layer is loaded", library != NULL, 1);
    int (*info)(uint32_t, size_t, void *, size_t *) = (int (*)(uint32_t, size_t, void *, size_t *))dlsym(library, "clGetLayerInfo");
    int (*init)(uint32_t, void **, uint32_t *, void ***) = (int (*)(uint32_t, void **, uint32_t *, void ***))dlsym(library, "clInitLayer");
    uint32_t api = 0, places_ret = 0;
    EXPECT("clGetLayerInfo", info(0x4240, sizeof api, &api, NULL), SUCCESS);
    EXPECT("version", api, 100);
    EXPECT("no room", info(0x4240, 1, &api, NULL), INVALID_VALUE);
    EXPECT("unknown", info(1, sizeof api, &api, NULL), INVALID_VALUE);
    void **table = NULL, **again = NULL;
    EXPECT("clInitLayer", init(places, beneath, &places_ret, &table), SUCCESS);
    EXPECT("places", places_ret, places);
    EXPECT("clInitLayer, once more", init(places, beneath, &places_ret, &again), SUCCESS);
    EXPECT("functions beneath, untouched", again == beneath, 1);
    for (uint32_t i = 0; i < places; i++)
        EXPECT("a function that nobody has stays away", table[i] == NULL, beneath[i] == NULL);
    if (places <= 59)
        return table == beneath ? 5 : 1;

    struct queue *(*create)(void *, void *, uint64_t, int *) = (struct queue * (*)(void *, void *, uint64_t, int *))table[9];
    int (*enqueue)(struct queue *, void *, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t, struct event **, struct event **) = table[59];
    int (*wait)(struct queue *) = (int (*)(struct queue *))table[47];
    const size_t items = 8;
    struct event *event = NULL;
    int status = 1;

    /* Times can't be measured: the program has its queue all the same, and launches without device times. */
    refuses_profiling = 1;
    EXPECT("queue", create(&context, &device, 0, &status) == &queue && status == SUCCESS, 1);
    EXPECT("calls for a queue", calls, 2);
    EXPECT("flags", queue.flags, 0);
    EXPECT("launch", enqueue(&queue, &kernel, 1, NULL, &items, NULL, 0, NULL, NULL), SUCCESS);
    EXPECT("clFinish", wait(&queue), SUCCESS);
    EXPECT("events", live_events, 0);

    /* There is no memory for an event that the program does not want. */
    refuses_profiling = 0;
    EXPECT("queue", create(&context, &device, 0, &status) == &queue && status == SUCCESS, 1);
    EXPECT("flags", queue.flags, PROFILING);
    is_exhausted = 1;
    calls = 0;
    EXPECT("launch", enqueue(&queue, &kernel, 1, NULL, &items, NULL, 0, NULL, NULL), SUCCESS);
    EXPECT("calls", calls, 2);
    EXPECT("launch with an event", enqueue(&queue, &kernel, 1, NULL, &items, NULL, 0, NULL, &event), OUT_OF_HOST_MEMORY);
    EXPECT("calls", calls, 3);

    is_exhausted = 0;
    for (int i = 0; i < LAUNCHES; i++)
        EXPECT("launch", enqueue(&queue, &kernel, 1, NULL, &items, NULL, 0, NULL, i ? NULL : &event), SUCCESS);
    EXPECT("events", live_events, LAUNCHES);
    EXPECT("clFinish", wait(&queue), SUCCESS);
    EXPECT("events", live_events, 1);
    EXPECT("references", event->references, 1);
    release_event(event);
    EXPECT("reads of the device's clock", clock_reads > 0, strcmp(version, "OpenCL 2.1 ") >= 0);
    return 5;
}
