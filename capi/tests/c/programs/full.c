/* More records than the ring holds. */
#include <ringscope.h>

int main(void)
{
    for (int i = 0; i < 20000; i++) {
        RINGSCOPE_SPAN("numbered", "i", i, "text", i % 2 != 0 ? "odd and long enough for two slots" : "");
    }
    return 0;
}
