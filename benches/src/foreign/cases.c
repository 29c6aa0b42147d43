/* The cases in C and C++: the loops of `case.rs` around the macros of ringscope.h. Compiled as C and as C++ into the
 * program, and as C into a plug-in; BENCH_TABLE is the name of the table that Rust finds them by. */
#include <ringscope.h>

#if defined(__x86_64__)
static inline uint64_t counter(void)
{
    return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
static inline uint64_t counter(void)
{
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
static inline uint64_t counter(void)
{
    return ringscope_now_ns();
}
#endif

/* As `case::opaque`: hides where the value comes from and what memory holds, at the cost of no instruction. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value) : : "memory")

typedef void step_function(void *work);

typedef struct bench_case {
    const char *name;
    void (*run)(uint64_t calls);
    void (*run_around)(uint64_t calls, step_function *step, void *work);
    void (*sample)(uint32_t *ticks, uint64_t count);
} bench_case;

/* Loops around what `begin` and `end` do; a span ends by itself. */
#define LOOPS(id, begin, end)                                                                                  \
    static __attribute__((noinline)) void run_##id(uint64_t calls)                                             \
    {                                                                                                          \
        for (uint64_t number = 0; number < calls; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            begin;                                                                                             \
            end;                                                                                               \
        }                                                                                                      \
    }                                                                                                          \
    static __attribute__((noinline)) void run_around_##id(uint64_t calls, step_function *step, void *work)     \
    {                                                                                                          \
        for (uint64_t number = 0; number < calls; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            begin;                                                                                             \
            step(work);                                                                                        \
            end;                                                                                               \
        }                                                                                                      \
    }                                                                                                          \
    static __attribute__((noinline)) void sample_##id(uint32_t *ticks, uint64_t count)                         \
    {                                                                                                          \
        for (uint64_t number = 0; number < count; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            uint64_t start = counter();                                                                        \
            {                                                                                                  \
                begin;                                                                                         \
                end;                                                                                           \
            }                                                                                                  \
            uint64_t took = counter() - start;                                                                 \
            ticks[number] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;                                   \
        }                                                                                                      \
    }

LOOPS(plain, RINGSCOPE_SPAN("foreign_span"), (void)0)
LOOPS(one, RINGSCOPE_SPAN("foreign_span_1_argument", "number", hidden), (void)0)

static void begin_launch(ringscope_launch *launch)
{
    ringscope_launch_info info = ringscope_launch_info_new("foreign_launch");
    info.stream = 3;
    ringscope_launch_begin(launch, &info);
}

static void end_launch(ringscope_launch *launch, uint64_t start_ticks)
{
    static ringscope_clock clock;
    static int has_clock;
    if (!has_clock) {
        clock = ringscope_clock_domain(1, 50000000, "counter");
        has_clock = 1;
    }
    ringscope_ticket ticket = ringscope_launch_end(launch);
    ringscope_device_span(&ticket, start_ticks, start_ticks + 100, clock);
}

LOOPS(launch, ringscope_launch launch; begin_launch(&launch), end_launch(&launch, hidden))

#ifdef __cplusplus
extern "C" {
#endif
extern const bench_case BENCH_TABLE[3];
const bench_case BENCH_TABLE[3] = {
    {"span, " BENCH_LANGUAGE, run_plain, run_around_plain, sample_plain},
    {"span, 1 argument, " BENCH_LANGUAGE, run_one, run_around_one, sample_one},
    {"launch and device span, " BENCH_LANGUAGE, run_launch, run_around_launch, sample_launch},
};
#ifdef __cplusplus
}
#endif
