#include <ringscope.h>
#include <stdio.h>

static unsigned long long multiply(unsigned long long a, unsigned long long b)
{
    RINGSCOPE_FUNCTION();
    return a * b;
}

static void decode_step(int step)
{
    RINGSCOPE_SPAN_AS(span, ringscope_here(), "worker", RINGSCOPE_KERNEL, "decode_step", "step", step, "greedy", true);

    RINGSCOPE_LAP(phase, "embed");
    unsigned long long x = multiply(3, 5);
    RINGSCOPE_LAP_NEXT(phase, "attention");
    x = multiply(x, 7);

    RINGSCOPE_COUNTER("kv_pages_free", 100 - step);
    RINGSCOPE_SPAN_SET(span, "token", x); /* known late */
}

int main(void)
{
    ringscope_set_thread_name("decoder");
    RINGSCOPE_SPAN("request", "id", 17, "user", "Zoë", "temperature", 0.5);
    RINGSCOPE_INSTANT("request.queued", "prompt_tokens", 4);

    uint64_t start_ns = ringscope_now_ns();
    for (int step = 0; step < 3; step++)
        decode_step(step);
    ringscope_complete("all steps", start_ns, ringscope_now_ns() - start_ns);

    ringscope_status status;
    ringscope_get_status(&status);
    printf("recorded to: %s\n", status.run[0] == '\0' ? "nowhere" : status.run);
    return 0;
}
