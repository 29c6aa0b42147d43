/* Spans that are open when the process ends without a word. */
#include <ringscope.h>
#include <unistd.h>

int main(void)
{
    RINGSCOPE_SPAN_AS(outer, ringscope_here(), "c", RINGSCOPE_E2E, "outer", "n", 1);
    RINGSCOPE_SPAN_SET(outer, "late", "known late");
    RINGSCOPE_SPAN("texts", "text", "first", "n", 2);
    RINGSCOPE_SPAN("values", "n", 3, "text", "second", "x", 0.5);
    RINGSCOPE_LAP(lap, "phase 1");
    RINGSCOPE_LAP_NEXT(lap, "phase 2");
    _exit(0);
}
