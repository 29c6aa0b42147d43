/* A program that knows NVTX and nothing of ringscope: every kind of annotation, from several threads and processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nvtx3/nvToolsExt.h>

#define EXPECT(condition) \
    do { if (!(condition)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); exit(1); } } while (0)

enum { THREADS = 4, STEPS = 100 };

static nvtxDomainHandle_t solver;
static nvtxStringHandle_t registered;
static nvtxRangeId_t request[THREADS];

static nvtxEventAttributes_t attributes(const char *message)
{
    nvtxEventAttributes_t event;
    memset(&event, 0, sizeof event);
    event.version = NVTX_VERSION;
    event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    event.messageType = NVTX_MESSAGE_TYPE_ASCII;
    event.message.ascii = message;
    return event;
}

static void *work(void *argument)
{
    const int number = (int)(long)argument;
    char name[16];
    snprintf(name, sizeof name, "worker %d", number);
    nvtxNameOsThreadA((uint32_t)syscall(SYS_gettid), name);
    for (int step = 0; step < STEPS; step++) {
        nvtxEventAttributes_t event = attributes("step");
        event.category = 7;
        event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
        event.payload.ullValue = (uint64_t)step;
        EXPECT(nvtxDomainRangePushEx(solver, &event) == 0);
        event = attributes("");
        event.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
        event.message.registered = registered;
        EXPECT(nvtxDomainRangePushEx(solver, &event) == 1);
        EXPECT(nvtxRangePushA("plain") == 0);
        EXPECT(nvtxDomainRangePop(solver) == 1);
        EXPECT(nvtxDomainRangePop(solver) == 0);
        EXPECT(nvtxRangePop() == 0);
        EXPECT(nvtxRangePop() < 0);
    }
    nvtxRangeEnd(request[number]);
    nvtxRangeEnd(request[number]);
    return NULL;
}

static void payloads(void)
{
    nvtxEventAttributes_t event = attributes("");
    event.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    event.message.registered = registered;
    event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
    event.payload.ullValue = 9;
    nvtxDomainMarkEx(solver, &event);
    nvtxMarkEx(&event);
    event = attributes("mark.i64");
    event.payloadType = NVTX_PAYLOAD_TYPE_INT64;
    event.payload.llValue = -5;
    nvtxMarkEx(&event);
    event = attributes("mark.f64");
    event.payloadType = NVTX_PAYLOAD_TYPE_DOUBLE;
    event.payload.dValue = 0.5;
    event.category = 8;
    nvtxMarkEx(&event);
    event = attributes("mark.u32");
    event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT32;
    event.payload.ullValue = ~0ull;
    nvtxMarkEx(&event);
    event = attributes("mark.i32");
    event.payloadType = NVTX_PAYLOAD_TYPE_INT32;
    event.payload.iValue = -7;
    nvtxMarkEx(&event);
    event = attributes("mark.f32");
    event.payloadType = NVTX_PAYLOAD_TYPE_FLOAT;
    event.payload.fValue = 0.25f;
    nvtxMarkEx(&event);
    nvtxMarkA("mark \"odd\"\n\xff");
    nvtxMarkW(L"mark \u00e9\U0001f600");
    memset(&event, 0, sizeof event);
    event.version = NVTX_VERSION;
    event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    nvtxMarkEx(&event);
}

int main(void)
{
    errno = 77;
    solver = nvtxDomainCreateA("solver");
    EXPECT(errno == 77);
    EXPECT(nvtxDomainCreateA("solver") == solver);
    registered = nvtxDomainRegisterStringA(solver, "assemble");
    nvtxDomainNameCategoryA(solver, 7, "linear algebra");
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) {
        nvtxEventAttributes_t event = attributes("request");
        event.payloadType = NVTX_PAYLOAD_TYPE_INT64;
        event.payload.llValue = i;
        request[i] = nvtxDomainRangeStartEx(solver, &event);
        EXPECT(request[i] != 0);
    }
    for (long i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    payloads();
    EXPECT(nvtxRangePushA("around fork") == 0);
    const pid_t child = fork();
    if (child == 0) {
        EXPECT(nvtxRangePushA("in child") == 1);
        EXPECT(nvtxRangePop() == 1);
        EXPECT(nvtxRangePop() == 0);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(nvtxRangePop() == 0);
    nvtxDomainDestroy(solver);
    EXPECT(errno == 77);
    return 42;
}
