/* The hot path between two breakpoints, for a test that steps through it. */
#include <ringscope.h>

#define BREAKPOINT() __asm__ volatile("int3" ::: "memory")
#define BARRIER() __asm__ volatile("" ::: "memory")

__attribute__((noinline)) static void span(int n)
{
    RINGSCOPE_SPAN("span", "n", n);
    BARRIER();
}
__attribute__((noinline)) static void plain(void)
{
    RINGSCOPE_SPAN("plain");
    BARRIER();
}
__attribute__((noinline)) static void three(int n, const char *sixteen)
{
    RINGSCOPE_SPAN("three", "n", n, "m", 7u, "text", ringscope_text(sixteen, 16));
    BARRIER();
}
__attribute__((noinline)) static void instant(int n)
{
    RINGSCOPE_INSTANT("instant", "n", n);
}
__attribute__((noinline)) static void counter(int n)
{
    RINGSCOPE_COUNTER("counter", n);
}
__attribute__((noinline)) static void complete(int n)
{
    RINGSCOPE_COMPLETE("complete", 1000, 5, "n", n);
}
__attribute__((noinline)) static void explicit_writer(ringscope_writer *writer, int n)
{
    RINGSCOPE_SPAN_ON(ringscope_on(writer), "c", RINGSCOPE_E2E, "explicit", "n", n);
    BARRIER();
}
__attribute__((noinline)) static void off(int n)
{
    RINGSCOPE_SPAN_CAT("c", RINGSCOPE_VERBOSE, "off", "n", n);
    BARRIER();
}
__attribute__((noinline)) static void two_laps(void)
{
    RINGSCOPE_LAP(lap, "first");
    BARRIER();
    RINGSCOPE_LAP_NEXT(lap, "second");
    BARRIER();
}

int main(void)
{
    ringscope_writer *writer = ringscope_thread_writer();
    for (int round = 0; round < 3; round++) {
        BREAKPOINT();
        span(round);
        BREAKPOINT();
        plain();
        BREAKPOINT();
        three(round, "0123456789abcdef");
        BREAKPOINT();
        instant(round);
        BREAKPOINT();
        counter(round);
        BREAKPOINT();
        complete(round);
        BREAKPOINT();
        explicit_writer(writer, round);
        BREAKPOINT();
        off(round);
        BREAKPOINT();
        two_laps();
        BREAKPOINT();
    }
    return 0;
}
