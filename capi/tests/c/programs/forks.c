/* A fork without exec: the child records and ends by _exit, as does a grandchild. */
#define _DEFAULT_SOURCE
#include <ringscope.h>
#include <sys/wait.h>
#include <unistd.h>

static ringscope_track track;
static ringscope_writer *writer;

static void record(const char *who)
{
    for (int i = 0; i < 100; i++) {
        RINGSCOPE_SPAN("step", "who", who, "i", i);
    }
    RINGSCOPE_INSTANT_ON(ringscope_on_track(track), "c", RINGSCOPE_E2E, "tracked");
    RINGSCOPE_INSTANT_ON(ringscope_on(writer), "c", RINGSCOPE_E2E, "by the writer of the parent");
}

static int child_of(int depth)
{
    RINGSCOPE_SPAN("before the fork", "depth", depth);
    pid_t child = fork();
    if (child == 0) {
        record(depth == 0 ? "child" : "grandchild");
        return depth == 0 ? child_of(1) : 0; /* ends a span that is its parent's */
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

int main(void)
{
    track = ringscope_track_of("a track");
    writer = ringscope_thread_writer();
    record("parent");
    pid_t self = getpid();
    int failed = child_of(0);
    if (getpid() != self)
        _exit(failed);
    record("parent");
    return failed;
}
