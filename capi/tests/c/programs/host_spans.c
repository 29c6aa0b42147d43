/* Spans of another logger's structure, as a link-time adapter forwards them; and structures that are none. */
#include <stdio.h>

#include <ringscope.h>

/* A structure of a later logger: longer, in memory that ends behind it. */
struct longer {
    ringscope_host_span span;
    uint64_t more[4];
};

static ringscope_host_span span_new(const char *name, const char *attributes)
{
    ringscope_host_span span = {RINGSCOPE_HOST_SPAN_ABI_VERSION, sizeof span, 7, 0xabcd, 2, 0, 5000, 250, name, attributes};
    return span;
}

static int refused(ringscope_host_span span) { return !ringscope_forward_host_span(&span); }

int main(void)
{
    ringscope_host_span span = span_new("chip.run", "ntensor=4 why=a=b id=007 big=18446744073709551615 flag  low=-3");
    int recorded = ringscope_forward_host_span(&span);
    struct longer longer = {span_new("longer", NULL), {1, 2, 3, 4}};
    longer.span.struct_size = sizeof longer;
    recorded += ringscope_forward_host_span(&longer.span);

    static char text[4000] = "text=";
    for (unsigned i = 5; i < sizeof text - 1; i++)
        text[i] = 'x';
    span = span_new("long", text);
    recorded += ringscope_forward_host_span(&span);

    int refusals = !ringscope_forward_host_span(NULL);
    span = span_new("other version", NULL);
    span.abi_version = 2;
    refusals += refused(span);
    /* Of these no more than version and length is there. */
    uint32_t head[2] = {RINGSCOPE_HOST_SPAN_ABI_VERSION, sizeof head};
    refusals += !ringscope_forward_host_span((const ringscope_host_span *)(const void *)head);
    span = span_new("short", NULL);
    span.struct_size = sizeof span - 1;
    refusals += refused(span);
    span = span_new("early", NULL);
    span.timestamp_ns = -1;
    refusals += refused(span);
    span = span_new("backwards", NULL);
    span.duration_ns = INT64_MIN;
    refusals += refused(span);
    refusals += refused(span_new(NULL, "a=1"));
    refusals += refused(span_new("", "a=1"));

    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        span = span_new(name, NULL);
        recorded += ringscope_forward_host_span(&span);
    }
    printf("%d %d\n", recorded, refusals);
    return 0;
}
