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

#define LOOPS(id, ...)                                                                                         \
    static __attribute__((noinline)) void run_##id(uint64_t calls)                                             \
    {                                                                                                          \
        for (uint64_t number = 0; number < calls; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            RINGSCOPE_SPAN(__VA_ARGS__);                                                                       \
        }                                                                                                      \
    }                                                                                                          \
    static __attribute__((noinline)) void run_around_##id(uint64_t calls, step_function *step, void *work)     \
    {                                                                                                          \
        for (uint64_t number = 0; number < calls; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            RINGSCOPE_SPAN(__VA_ARGS__);                                                                       \
            step(work);                                                                                        \
        }                                                                                                      \
    }                                                                                                          \
    static __attribute__((noinline)) void sample_##id(uint32_t *ticks, uint64_t count)                         \
    {                                                                                                          \
        for (uint64_t number = 0; number < count; number++) {                                                  \
            uint64_t hidden = number;                                                                          \
            OPAQUE(hidden);                                                                                    \
            uint64_t start = counter();                                                                        \
            {                                                                                                  \
                RINGSCOPE_SPAN(__VA_ARGS__);                                                                   \
            }                                                                                                  \
            uint64_t took = counter() - start;                                                                 \
            ticks[number] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;                                   \
        }                                                                                                      \
    }

LOOPS(plain, "foreign_span")
LOOPS(one, "foreign_span_1_argument", "number", hidden)

#ifdef __cplusplus
extern "C" {
#endif
extern const bench_case BENCH_TABLE[2];
const bench_case BENCH_TABLE[2] = {
    {"span, " BENCH_LANGUAGE, run_plain, run_around_plain, sample_plain},
    {"span, 1 argument, " BENCH_LANGUAGE, run_one, run_around_one, sample_one},
};
#ifdef __cplusplus
}
#endif
