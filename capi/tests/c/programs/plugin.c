/* A plug-in, compiled several times with another NAME. */
#include <ringscope.h>

void plugin_record(int n);
void plugin_record(int n)
{
    RINGSCOPE_SPAN(NAME, "n", n);
    RINGSCOPE_COUNTER(NAME ".calls", n);
}
