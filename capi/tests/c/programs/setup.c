/* Configuration by code, levels, status. */
#include <ringscope.h>
#include <stdio.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            return 1; \
        } \
    } while (0)

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    ringscope_status status;
    RINGSCOPE_INSTANT("before init: not recorded");
    ringscope_get_status(&status);
    CHECK(status.run[0] == '\0' && status.level == 0);
    CHECK(!ringscope_set_level("e2e"));

    ringscope_config config = ringscope_config_new();
    config.level = "loud";
    CHECK(ringscope_init(&config) == RINGSCOPE_BAD_CONFIG);
    config.level = "kernel";
    config.size_bytes = 8;
    CHECK(ringscope_init(&config) == RINGSCOPE_BAD_CONFIG);
    config = ringscope_config_new();
    config.level = "kernel";
    config.dir = argv[1];
    config.process_name = "configured";
    config.ring_size_bytes = 64 << 10;
    config.rank = 3;
    CHECK(ringscope_init(&config) == RINGSCOPE_OK);
    CHECK(ringscope_init(&config) == RINGSCOPE_ALREADY_RECORDING);
    ringscope_get_status(&status);
    CHECK(status.run[0] == '/' && status.refusal[0] == '\0' && status.level == RINGSCOPE_KERNEL);

    RINGSCOPE_INSTANT("not at this level");
    RINGSCOPE_INSTANT_CAT("c", RINGSCOPE_KERNEL, "kernel");
    CHECK(!ringscope_set_level("loud"));
    CHECK(ringscope_set_level("off"));
    RINGSCOPE_INSTANT_CAT("c", RINGSCOPE_KERNEL, "off");
    CHECK(ringscope_set_level("verbose"));
    RINGSCOPE_INSTANT_CAT("c", RINGSCOPE_VERBOSE, "verbose");
    CHECK(ringscope_now_ns() != 0);
    return 0;
}
