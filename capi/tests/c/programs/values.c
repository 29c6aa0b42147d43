/* Every type of value, every form of name, and everything that is too long. */
#include <ringscope.h>
#include <stdlib.h>

static void types(void)
{
    signed char a = -1;
    short b = -2;
    long c = -3;
    long long d = INT64_MIN;
    unsigned char e = 1;
    unsigned short f = 2;
    unsigned long g = 3;
    unsigned long long h = UINT64_MAX;
    char text[] = "text";
    const char *none = NULL;
    RINGSCOPE_INSTANT("signed", "a", a, "b", b, "c", c, "d", d);
    RINGSCOPE_INSTANT("unsigned", "e", e, "f", f, "g", g, "h", h);
    RINGSCOPE_INSTANT("float", "x", 0.5f, "y", -1e300);
    RINGSCOPE_INSTANT("bool", "yes", (bool)1);
    RINGSCOPE_INSTANT("two bools", "yes", (bool)1, "no", (bool)0);
    RINGSCOPE_INSTANT("texts", "empty", "", "array", text, "null", none, "part", ringscope_text("abc", 2));
    RINGSCOPE_INSTANT("addresses", "p", (void *)0x1000, "q", ringscope_hex(255));
    RINGSCOPE_COUNTER("signed", c);
    RINGSCOPE_COUNTER("float", 1.5);
    RINGSCOPE_COUNTER("bool", (bool)1);
    RINGSCOPE_COUNTER("text is no number", "x");
}

static void long_values(void)
{
    char *text = (char *)malloc(30001);
    memset(text, 'x', 30000);
    text[30000] = '\0';
    /* 232 bytes with its length, then one more. */
    RINGSCOPE_INSTANT("inline", "text", ringscope_text(text, 230));
    RINGSCOPE_INSTANT("long", "text", ringscope_text(text, 231), "n", 1);
    RINGSCOPE_SPAN_AS(span, ringscope_here(), "c", RINGSCOPE_E2E, "longest", "text", text, "n", 2);
    RINGSCOPE_SPAN_SET(span, "late", 3);
    RINGSCOPE_COMPLETE("long complete", 5, 7, "text", ringscope_text(text, 1000));
    free(text);
}

static void late_values(void)
{
    RINGSCOPE_SPAN_AS(span, ringscope_here(), "c", RINGSCOPE_E2E, "late", "n", 1);
    RINGSCOPE_SPAN_SET(span, "text", "abc");
    for (int i = 0; i < 12; i++)
        RINGSCOPE_SPAN_SET(span, "i", i);
    RINGSCOPE_SPAN_SET(span, "yes", (bool)1);
}

static void names_and_tracks(void)
{
    char name[] = "run-time 0";
    ringscope_track track = ringscope_track_of("track");
    for (int i = 0; i < 2; i++) {
        name[9] = (char)('0' + i);
        RINGSCOPE_SPAN_NAMED(ringscope_here(), "c", RINGSCOPE_E2E, name, "i", i);
        RINGSCOPE_INSTANT_NAMED(ringscope_here(), "c", RINGSCOPE_E2E, name);
        RINGSCOPE_COUNTER_NAMED(ringscope_on_track(track), "c", RINGSCOPE_E2E, name, i);
        RINGSCOPE_COMPLETE_NAMED(ringscope_here(), "c", RINGSCOPE_E2E, name, 10, 20);
    }
    RINGSCOPE_SPAN_ON(ringscope_on_track(track), "c", RINGSCOPE_E2E, "tracked", "n", 1);
    RINGSCOPE_INSTANT("\xff invalid");
    RINGSCOPE_COMPLETE("complete", 1000, 500, "n", 1);
    RINGSCOPE_SPAN_CAT("c", RINGSCOPE_VERBOSE, "off", "never", (abort(), 1));
}

static void explicit_ends(void)
{
    ringscope_span first, second;
    RINGSCOPE_BEGIN(&first, ringscope_on(ringscope_thread_writer()), "c", RINGSCOPE_KERNEL, "first", "n", 1);
    RINGSCOPE_BEGIN(&second, ringscope_on(NULL), "c", RINGSCOPE_KERNEL, "second");
    ringscope_span_end(&first); /* in any order */
    ringscope_span_end(&second);
    ringscope_span_end(&second); /* nothing more */
}

static void nested(int depth)
{
    RINGSCOPE_SPAN("nested", "depth", depth);
    if (depth > 1)
        nested(depth - 1);
}

int main(void)
{
    ringscope_set_process_name("values");
    ringscope_prepare_thread();
    types();
    long_values();
    late_values();
    names_and_tracks();
    explicit_ends();
    nested(70);
    return 0;
}
