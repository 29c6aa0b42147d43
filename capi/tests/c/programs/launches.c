/* Launches, waits, executions and tasks; a device clock of 50 MHz that is the host's. */
#include <inttypes.h>
#include <stdio.h>

#include <ringscope.h>

#define TICK_NS 20

static uint64_t device_ticks(void) { return ringscope_now_ns() / TICK_NS; }

static void anchor(ringscope_clock clock)
{
    uint64_t before = ringscope_ticks(), device = device_ticks();
    ringscope_clock_anchor(clock, before, device, ringscope_ticks());
}

static ringscope_ticket launched(const ringscope_launch_info *info)
{
    ringscope_launch launch;
    ringscope_launch_begin(&launch, info);
    return ringscope_launch_end(&launch);
}

int main(void)
{
    ringscope_clock clock = ringscope_clock_domain(1, 1000000000 / TICK_NS, "counter");
    anchor(clock);
    ringscope_launch_info info = ringscope_launch_info_new("matmul");
    info.device = 1;
    info.stream = 3;
    info.rank = 0;
    info.block_dim = 24;
    info.correlation = 77;
    info.parent_correlation = 70;
    info.step = 0;
    ringscope_ticket ticket = launched(&info);
    uint64_t start = device_ticks();
    ringscope_wait wait;
    ringscope_wait_begin(&wait, &ticket);
    ringscope_wait_end(&wait);
    ringscope_device_span(&ticket, start, start + 5, clock);

    info = ringscope_launch_info_new("upload");
    info.kind = RINGSCOPE_COPY_TO_DEVICE;
    info.size_moved_bytes = 4096;
    ticket = launched(&info);

    ringscope_device_task tasks[4] = {{start, start + 1, 10, 3, 1}, {0, 0, 0, 0, 0}, {start + 2, start + 4, 11, 4, 0}};
    info = ringscope_launch_info_new("graph");
    ticket = launched(&info);
    uint64_t empty = ringscope_device_tasks(&ticket, tasks, 4, clock);
    anchor(clock);
    printf("%" PRIu64 " %d\n", empty, ringscope_ticket_correlation(&ticket) != 0);
    return 0;
}
