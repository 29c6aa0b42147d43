/* A handler records on top of the code that it interrupts, wherever the test lets the signal fall. */
#define _DEFAULT_SOURCE
#include <ringscope.h>
#include <signal.h>
#include <stdlib.h>

#define BREAKPOINT() __asm__ volatile("int3" ::: "memory")

static int handled;

static void handler(int signal)
{
    (void)signal;
    RINGSCOPE_SPAN("handler", "n", handled, "text", "of some length, so that it takes a continuation");
    handled = handled + 1;
}

__attribute__((noinline)) static void record(int i)
{
    RINGSCOPE_SPAN("main", "i", i, "j", i, "k", i);
    RINGSCOPE_COUNTER("counter", i);
}

int main(int argc, char **argv)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGUSR1, &action, NULL);
    int rounds = argc > 1 ? atoi(argv[1]) : 0;
    /* Once without the test, so that all places are registered. */
    record(-1);
    handler(0);
    for (int i = 0; i < rounds; i++) {
        BREAKPOINT();
        record(i);
        BREAKPOINT();
    }
    return 0;
}
