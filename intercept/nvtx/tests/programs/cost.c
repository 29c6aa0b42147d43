/* What a range costs, in ns: the median of 101 rounds of 10,000 ranges, of each kind. With and without a tool. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <nvtx3/nvToolsExt.h>

enum { ROUNDS = 101, RANGES = 10000 };

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static nvtxDomainHandle_t domain;
static nvtxEventAttributes_t event;

static void message(void) { nvtxRangePushA("step"); nvtxRangePop(); }
static void attributes(void) { nvtxDomainRangePushEx(domain, &event); nvtxDomainRangePop(domain); }
static void started(void) { nvtxDomainRangeEnd(domain, nvtxDomainRangeStartEx(domain, &event)); }
static void mark(void) { nvtxMarkA("mark"); }

static void measure(const char *what, void (*range)(void))
{
    double rounds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = now_ns();
        for (int i = 0; i < RANGES; i++)
            range();
        rounds[round] = (now_ns() - begin) / RANGES;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, by_value);
    printf("%-52s %7.1f\n", what, rounds[ROUNDS / 2]);
}

int main(void)
{
    domain = nvtxDomainCreateA("domain");
    event.version = NVTX_VERSION;
    event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    event.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    event.message.registered = nvtxDomainRegisterStringA(domain, "step");
    event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
    event.payload.ullValue = 7;
    measure("pushed and popped, a message", message);
    measure("pushed and popped, registered message and payload", attributes);
    measure("started and ended, registered message and payload", started);
    measure("mark, a message", mark);
    event.category = 3;
    nvtxDomainNameCategoryA(domain, 3, "category");
    measure("pushed and popped, with a named category as well", attributes);
    return 0;
}
