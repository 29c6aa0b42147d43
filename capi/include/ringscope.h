/*
 * ringscope.h: records spans, instants and counters from C11 and C++17 (gcc or clang, Linux), at the cost of two clock
 * reads and one 32-byte store a span.
 *
 *     void decode_step(int step)
 *     {
 *         RINGSCOPE_SPAN("decode_step", "step", step);
 *         RINGSCOPE_COUNTER("queue_depth", 3);
 *     }
 *
 * Link with -lringscope (see pkg-config ringscope). Nothing is recorded until the environment says so
 * (`ringscope record -- PROGRAM` sets it) or ringscope_init is called. Whatever goes wrong turns recording off or counts
 * a drop; no function here fails in a way that a program would have to handle, throws, prints or ends the process.
 *
 * Macros and their forms. NAME is a string literal; arguments are 0 to 4 pairs of a key (literal) and a value: any
 * integer, float, double, bool, const char * (in C++ also std::string_view and std::string), void * (shown in
 * hexadecimal) or a ringscope_value. Values are evaluated only when the place is recorded.
 *
 *     RINGSCOPE_SPAN(NAME, ...)                                a span up to the end of the block
 *     RINGSCOPE_SPAN_CAT(CATEGORY, LEVEL, NAME, ...)           with a category (literal) and a level
 *     RINGSCOPE_SPAN_ON(WHERE, CATEGORY, LEVEL, NAME, ...)     on a track, or with an explicit writer
 *     RINGSCOPE_SPAN_AS(VARIABLE, WHERE, CATEGORY, LEVEL, NAME, ...)   with a variable, for late arguments
 *     RINGSCOPE_SPAN_NAMED(WHERE, CATEGORY, LEVEL, TEXT, ...)  under a name made at run time
 *     RINGSCOPE_SPAN_SET(VARIABLE, KEY, VALUE)                 an argument known late
 *     RINGSCOPE_FUNCTION()                                     a span named after the function
 *     RINGSCOPE_FUNCTION_CAT(CATEGORY, LEVEL)
 *     RINGSCOPE_BEGIN(SPAN, WHERE, CATEGORY, LEVEL, NAME, ...) begins *SPAN, which ringscope_span_end(SPAN) ends
 *     RINGSCOPE_INSTANT(NAME, ...)     and _CAT, _ON, _NAMED   a moment
 *     RINGSCOPE_COUNTER(NAME, VALUE)   and _CAT, _ON, _NAMED   the value of a counter: a number or bool
 *     RINGSCOPE_COMPLETE(NAME, START_NS, DURATION_NS, ...)  and _CAT, _ON, _NAMED   a span known only afterwards
 *     RINGSCOPE_LAP(VARIABLE, NAME)    and _CAT, _ON           adjacent spans that share their clock reads
 *     RINGSCOPE_LAP_NEXT(VARIABLE, NAME)                       ends a phase and begins the next
 *
 * Kernel launches, waits for them and what devices did are recorded by the functions from ringscope_launch_begin on.
 *
 * Times called _ns are nanoseconds of CLOCK_MONOTONIC. Lengths are bytes.
 *
 * Compile with RINGSCOPE_DISABLE defined, and all of this is nothing: no code, and no library to link.
 * Compile with RINGSCOPE_NO_TLS defined in shared objects that may not use thread-local storage: a call without an
 * explicit writer then asks the library for the thread's.
 *
 * Names that begin with ringscope_private_ or RINGSCOPE_PRIVATE_ belong to the header.
 */
#ifndef RINGSCOPE_H
#define RINGSCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
#include <string_view>
#endif

/* Level of a place: it is recorded when its bit is in the process's set of levels. */
#define RINGSCOPE_E2E 1u     /* end-to-end spans */
#define RINGSCOPE_KERNEL 2u  /* kernels */
#define RINGSCOPE_VERBOSE 4u /* everything */

/* Category of the macros that take none. */
#define RINGSCOPE_DEFAULT_CATEGORY "default"

/* ---- types ------------------------------------------------------------------------------------------------------ */

/* Types of values, as in the file. */
#define RINGSCOPE_PRIVATE_I64 1u
#define RINGSCOPE_PRIVATE_U64 2u
#define RINGSCOPE_PRIVATE_F64 3u
#define RINGSCOPE_PRIVATE_BOOL 4u
#define RINGSCOPE_PRIVATE_STR 5u
#define RINGSCOPE_PRIVATE_HEX 7u

/* Most arguments of a place. */
#define RINGSCOPE_PRIVATE_MAX_ARGUMENTS 4
/* Payload bytes that a span holds itself, and zeros behind them. */
#define RINGSCOPE_PRIVATE_INLINE_LEN 232
#define RINGSCOPE_PRIVATE_PADDING 32

/* The value of an argument; text is read when the call is made, and need not live longer. */
typedef struct ringscope_value {
    uint64_t word;
    const char *text;
    uint64_t text_len;
    uint32_t type_number;
    uint32_t reserved;
} ringscope_value;

/* The ring of one thread. Only that thread may record with it; it stays valid as long as the process, and in a forked
 * child the calls find out that it is the parent's. The fields are the inline ABI of libringscope.so.1. */
typedef struct ringscope_writer {
    uint64_t generation;
    uint64_t *head;
    uint64_t *slots;
    uint64_t slot_mask;
    uint64_t limit;
    uint32_t capacity_log2;
    uint32_t open_slot_count;
    uint64_t *open_slots;
    uint64_t *continuations;
    uint64_t open_slot_mask;
} ringscope_writer;

/* A named lane of the time line, from ringscope_track; zeroed, it is the lane of the calling thread. */
typedef struct ringscope_track {
    const void *name;
    uint64_t generation;
    uint32_t lane;
    uint32_t reserved;
} ringscope_track;

/* Which ring a record goes to, and which lane: see ringscope_here and its siblings. */
typedef struct ringscope_where {
    ringscope_writer *writer;
    ringscope_track track;
} ringscope_where;

typedef struct ringscope_payload {
    uint64_t word; /* the first eight bytes */
    uint32_t len;
    uint32_t long_buffer; /* number of a library buffer plus one, 0 for none */
    uint8_t *long_bytes;
    uint8_t bytes[RINGSCOPE_PRIVATE_INLINE_LEN + RINGSCOPE_PRIVATE_PADDING]; /* all of it, where len is above 8 */
} ringscope_payload;

/* A span that has begun. It belongs to the thread it began on. */
typedef struct ringscope_span {
    ringscope_writer *writer; /* null when nothing is recorded */
    uint64_t start;
    uint32_t site;
    uint32_t open_slot;
    uint32_t lane;
    uint32_t reserved;
    ringscope_payload payload;
} ringscope_span;

/* A place in the program; the macros make one static each. */
typedef struct ringscope_site {
    uint32_t id; /* 0 until the library has registered the place */
    uint32_t line;
    const char *category;
    const char *file;
    const void *registered;
    const char *keys[RINGSCOPE_PRIVATE_MAX_ARGUMENTS];
    uint8_t level;
    uint8_t argument_count;
    uint8_t reserved[6];
} ringscope_site;

/* Adjacent spans that share their clock reads. */
typedef struct ringscope_lap {
    ringscope_span span;
    ringscope_site *first;
} ringscope_lap;

/* Settings for ringscope_init, from ringscope_config_new; what is null or 0 keeps its default. The environment that
 * `ringscope record` sets goes before them. */
typedef struct ringscope_config {
    uint64_t size_bytes;        /* of this structure */
    const char *dir;            /* in which a directory for the run is made; default /dev/shm/ringscope-UID */
    const char *level;          /* "off", or "e2e", "kernel" and "verbose" joined by commas; default "e2e,kernel" */
    const char *process_name;   /* default: the stem of the program's name */
    uint64_t ring_size_bytes;   /* of a thread's records; default 1 MiB */
    uint64_t max_size_bytes;    /* that full mode may write; default 4 GiB */
    int32_t rank;               /* among the processes of the same job; -1 for none */
    bool keeps_all_records;     /* full mode; else flight mode: the newest records of every thread */
    bool keeps_values_out;      /* spans and instants are recorded without their arguments */
    uint8_t reserved[2];
} ringscope_config;

/* Kernel launches. What a launch makes the device do. */
#define RINGSCOPE_LAUNCH_KERNEL 0
#define RINGSCOPE_COPY_TO_DEVICE 1
#define RINGSCOPE_COPY_TO_HOST 2
#define RINGSCOPE_COPY_ON_DEVICE 3
#define RINGSCOPE_FILL 4

#define RINGSCOPE_HOST_SPAN_ABI_VERSION 1u

/* A span as simpler's unified_log_host_span is given it, field by field: a pointer to the one serves as the other. */
typedef struct ringscope_host_span {
    uint32_t abi_version; /* RINGSCOPE_HOST_SPAN_ABI_VERSION */
    uint32_t struct_size; /* bytes of the structure; more than this one's are ignored */
    uint64_t invocation_id;
    uint64_t callable_hash;
    int32_t depth;
    int32_t reserved;
    int64_t timestamp_ns; /* CLOCK_MONOTONIC */
    int64_t duration_ns;
    const char *name;
    const char *attributes; /* "k=v k=v", or null */
} ringscope_host_span;

/* A launch, from ringscope_launch_info_new; numbers that are 0 (rank: -1, step: all ones) were not given. */
typedef struct ringscope_launch_info {
    uint64_t size_bytes; /* of this structure */
    const char *name;
    uint32_t device;
    uint32_t stream;
    int32_t rank;
    uint32_t block_dim;
    uint32_t thread_count;
    uint32_t kind;
    uint64_t correlation; /* the runtime's own id; one is made where it has none */
    uint64_t parent_correlation;
    uint64_t size_moved_bytes;
    uint64_t batch;
    uint64_t step;
} ringscope_launch_info;

#define RINGSCOPE_PRIVATE_LAUNCH_WORDS 16
#define RINGSCOPE_PRIVATE_WAIT_WORDS 8
#define RINGSCOPE_PRIVATE_TICKET_WORDS 4
#define RINGSCOPE_PRIVATE_CLOCK_WORDS 2
/* The enqueue of a launch, on the thread that it began on. */
typedef struct ringscope_launch {
    uint64_t words[RINGSCOPE_PRIVATE_LAUNCH_WORDS];
} ringscope_launch;
/* A wait for a launch. */
typedef struct ringscope_wait {
    uint64_t words[RINGSCOPE_PRIVATE_WAIT_WORDS];
} ringscope_wait;
/* A launch as other threads may know it: what its wait and execution are recorded with. May be copied. */
typedef struct ringscope_ticket {
    uint64_t words[RINGSCOPE_PRIVATE_TICKET_WORDS];
} ringscope_ticket;
/* A clock of devices. */
typedef struct ringscope_clock {
    uint64_t words[RINGSCOPE_PRIVATE_CLOCK_WORDS];
} ringscope_clock;

/* What a device ran, as runtimes deliver it. */
typedef struct ringscope_device_task {
    uint64_t start_ticks; /* 0 in an empty place */
    uint64_t end_ticks;
    uint64_t token;
    uint32_t register_id;
    uint32_t receive_to_start_ticks;
} ringscope_device_task;

/* What ringscope_init came to. */
typedef enum ringscope_result {
    RINGSCOPE_OK = 0,
    RINGSCOPE_ALREADY_RECORDING = 1, /* by an earlier call, or as the environment said */
    RINGSCOPE_REFUSED = 2,           /* the files can't be made: ringscope_status says why */
    RINGSCOPE_BAD_CONFIG = 3         /* a level that is none, or a structure of another size */
} ringscope_result;

/* What the process records; texts are NUL-terminated, and cut where they do not fit. */
typedef struct ringscope_status {
    char run[1024];     /* the run's directory; empty when the process has no files */
    char refusal[1024]; /* why the process does not record, where something failed; else empty */
    uint64_t level;     /* set of RINGSCOPE_E2E, RINGSCOPE_KERNEL and RINGSCOPE_VERBOSE */
} ringscope_status;

#define RINGSCOPE_PRIVATE_INLINE static inline __attribute__((always_inline, unused))

/* A launch of this name on stream 0 of device 0. */
RINGSCOPE_PRIVATE_INLINE ringscope_launch_info ringscope_launch_info_new(const char *name)
{
    /* Field by field: a structure that is cleared first and then filled is copied through memory. */
    ringscope_launch_info info;
    info.size_bytes = sizeof info;
    info.name = name;
    info.device = 0;
    info.stream = 0;
    info.rank = -1;
    info.block_dim = 0;
    info.thread_count = 0;
    info.kind = RINGSCOPE_LAUNCH_KERNEL;
    info.correlation = 0;
    info.parent_correlation = 0;
    info.size_moved_bytes = 0;
    info.batch = 0;
    info.step = UINT64_MAX;
    return info;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_private_value(uint64_t word, uint32_t type)
{
    ringscope_value value = {word, NULL, 0, type, 0};
    return value;
}

/* A signed integer. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_i64(int64_t v)
{
    return ringscope_private_value((uint64_t)v, RINGSCOPE_PRIVATE_I64);
}

/* An unsigned integer. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_u64(uint64_t v)
{
    return ringscope_private_value(v, RINGSCOPE_PRIVATE_U64);
}

/* A floating-point number. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_f64(double v)
{
    uint64_t word;
    memcpy(&word, &v, sizeof word);
    return ringscope_private_value(word, RINGSCOPE_PRIVATE_F64);
}

/* A truth value. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_bool(bool v)
{
    return ringscope_private_value(v ? 1 : 0, RINGSCOPE_PRIVATE_BOOL);
}

/* An integer shown in hexadecimal. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_hex(uint64_t v)
{
    return ringscope_private_value(v, RINGSCOPE_PRIVATE_HEX);
}

/* An address. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_pointer(const void *v)
{
    return ringscope_hex((uint64_t)(uintptr_t)v);
}

/* Text of len_bytes bytes, which should be UTF-8. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_text(const char *text, size_t len_bytes)
{
    ringscope_value value = {0, text, len_bytes, RINGSCOPE_PRIVATE_STR, 0};
    return value;
}

/* NUL-terminated text; a null pointer is shown as (null). */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_str(const char *text)
{
    return text == NULL ? ringscope_text("(null)", 6) : ringscope_text(text, strlen(text));
}

/* A value as it is. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_private_same(ringscope_value v)
{
    return v;
}

#ifdef __cplusplus
#define RINGSCOPE_PRIVATE_OVERLOAD(type, make) \
    RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_private_of(type v) \
    { \
        return make(v); \
    }
RINGSCOPE_PRIVATE_OVERLOAD(bool, ringscope_bool)
RINGSCOPE_PRIVATE_OVERLOAD(char, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(signed char, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(short, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(int, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(long, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(long long, ringscope_i64)
RINGSCOPE_PRIVATE_OVERLOAD(unsigned char, ringscope_u64)
RINGSCOPE_PRIVATE_OVERLOAD(unsigned short, ringscope_u64)
RINGSCOPE_PRIVATE_OVERLOAD(unsigned int, ringscope_u64)
RINGSCOPE_PRIVATE_OVERLOAD(unsigned long, ringscope_u64)
RINGSCOPE_PRIVATE_OVERLOAD(unsigned long long, ringscope_u64)
RINGSCOPE_PRIVATE_OVERLOAD(float, ringscope_f64)
RINGSCOPE_PRIVATE_OVERLOAD(double, ringscope_f64)
RINGSCOPE_PRIVATE_OVERLOAD(const char *, ringscope_str)
RINGSCOPE_PRIVATE_OVERLOAD(const void *, ringscope_pointer)
RINGSCOPE_PRIVATE_OVERLOAD(ringscope_value, ringscope_private_same)
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_private_of(std::string_view v)
{
    return ringscope_text(v.data(), v.size());
}
#define RINGSCOPE_PRIVATE_VALUE(v) ringscope_private_of(v)
#else
#define RINGSCOPE_PRIVATE_VALUE(v) \
    _Generic((v), bool: ringscope_bool, char: ringscope_i64, signed char: ringscope_i64, short: ringscope_i64, \
        int: ringscope_i64, long: ringscope_i64, long long: ringscope_i64, unsigned char: ringscope_u64, \
        unsigned short: ringscope_u64, unsigned int: ringscope_u64, unsigned long: ringscope_u64, \
        unsigned long long: ringscope_u64, float: ringscope_f64, double: ringscope_f64, char *: ringscope_str, \
        const char *: ringscope_str, void *: ringscope_pointer, const void *: ringscope_pointer, \
        ringscope_value: ringscope_private_same)(v)
#endif

typedef struct ringscope_private_values {
    ringscope_value a, b, c, d;
    uint32_t count;
} ringscope_private_values;

/* ---- taking macro arguments apart ------------------------------------------------------------------------------- */

#define RINGSCOPE_PRIVATE_JOIN_(a, b) a##b
#define RINGSCOPE_PRIVATE_JOIN(a, b) RINGSCOPE_PRIVATE_JOIN_(a, b)
#define RINGSCOPE_PRIVATE_FIRST_(a, ...) a
#define RINGSCOPE_PRIVATE_FIRST(...) RINGSCOPE_PRIVATE_FIRST_(__VA_ARGS__, 0)
/* Of a name and pairs behind it: the number of pairs. */
#define RINGSCOPE_PRIVATE_TENTH(a, b, c, d, e, f, g, h, i, n, ...) n
#define RINGSCOPE_PRIVATE_PAIRS(...) \
    RINGSCOPE_PRIVATE_TENTH(__VA_ARGS__, 4, a_key_lacks_its_value, 3, a_key_lacks_its_value, 2, \
        a_key_lacks_its_value, 1, a_key_lacks_its_value, 0, a_key_lacks_its_value)
#define RINGSCOPE_PRIVATE_KEYS(...) \
    RINGSCOPE_PRIVATE_JOIN(RINGSCOPE_PRIVATE_KEYS_, RINGSCOPE_PRIVATE_PAIRS(__VA_ARGS__))(__VA_ARGS__)
#define RINGSCOPE_PRIVATE_KEYS_0(name) {NULL, NULL, NULL, NULL}
#define RINGSCOPE_PRIVATE_KEYS_1(name, k, v) {k, NULL, NULL, NULL}
#define RINGSCOPE_PRIVATE_KEYS_2(name, k, v, l, w) {k, l, NULL, NULL}
#define RINGSCOPE_PRIVATE_KEYS_3(name, k, v, l, w, m, x) {k, l, m, NULL}
#define RINGSCOPE_PRIVATE_KEYS_4(name, k, v, l, w, m, x, n, y) {k, l, m, n}
#define RINGSCOPE_PRIVATE_NO_VALUE ringscope_private_value(0, 0)
#define RINGSCOPE_PRIVATE_VALUES(...) \
    RINGSCOPE_PRIVATE_JOIN(RINGSCOPE_PRIVATE_VALUES_, RINGSCOPE_PRIVATE_PAIRS(__VA_ARGS__))(__VA_ARGS__)
#define RINGSCOPE_PRIVATE_VALUES_0(name) \
    ringscope_private_values_of(0, RINGSCOPE_PRIVATE_NO_VALUE, RINGSCOPE_PRIVATE_NO_VALUE, \
        RINGSCOPE_PRIVATE_NO_VALUE, RINGSCOPE_PRIVATE_NO_VALUE)
#define RINGSCOPE_PRIVATE_VALUES_1(name, k, v) \
    ringscope_private_values_of(1, RINGSCOPE_PRIVATE_VALUE(v), RINGSCOPE_PRIVATE_NO_VALUE, \
        RINGSCOPE_PRIVATE_NO_VALUE, RINGSCOPE_PRIVATE_NO_VALUE)
#define RINGSCOPE_PRIVATE_VALUES_2(name, k, v, l, w) \
    ringscope_private_values_of(2, RINGSCOPE_PRIVATE_VALUE(v), RINGSCOPE_PRIVATE_VALUE(w), \
        RINGSCOPE_PRIVATE_NO_VALUE, RINGSCOPE_PRIVATE_NO_VALUE)
#define RINGSCOPE_PRIVATE_VALUES_3(name, k, v, l, w, m, x) \
    ringscope_private_values_of(3, RINGSCOPE_PRIVATE_VALUE(v), RINGSCOPE_PRIVATE_VALUE(w), \
        RINGSCOPE_PRIVATE_VALUE(x), RINGSCOPE_PRIVATE_NO_VALUE)
#define RINGSCOPE_PRIVATE_VALUES_4(name, k, v, l, w, m, x, n, y) \
    ringscope_private_values_of(4, RINGSCOPE_PRIVATE_VALUE(v), RINGSCOPE_PRIVATE_VALUE(w), \
        RINGSCOPE_PRIVATE_VALUE(x), RINGSCOPE_PRIVATE_VALUE(y))

#ifndef RINGSCOPE_DISABLE

/* ---- the library ------------------------------------------------------------------------------------------------ */

#ifdef __cplusplus
extern "C" {
#define RINGSCOPE_PRIVATE_NOTHROW noexcept
#else
#define RINGSCOPE_PRIVATE_NOTHROW __attribute__((nothrow))
#endif

/* Starts recording as `config` says (null: all defaults); what the environment says goes first. To be called before
 * the first record. A program may ignore the result. */
ringscope_result ringscope_init(const ringscope_config *config) RINGSCOPE_PRIVATE_NOTHROW;

/* Fills in what the process records now; sets nothing up. */
void ringscope_get_status(ringscope_status *status) RINGSCOPE_PRIVATE_NOTHROW;

/* Switches what this process records: "off", or "e2e", "kernel" and "verbose" joined by commas. False when the text
 * is none of these, or the process has no files. */
bool ringscope_set_level(const char *level) RINGSCOPE_PRIVATE_NOTHROW;

/* Names the process in traces; default: the stem of the program's name. */
void ringscope_set_process_name(const char *name) RINGSCOPE_PRIVATE_NOTHROW;

/* Names the calling thread in traces; default: the kernel's name for it (15 bytes). */
void ringscope_set_thread_name(const char *name) RINGSCOPE_PRIVATE_NOTHROW;

/* Makes the calling thread's ring now, so that its first record costs what every other one does. */
void ringscope_prepare_thread(void) RINGSCOPE_PRIVATE_NOTHROW;

/* The calling thread's ring, made if it has none, for the macros that take a ringscope_where; null when the thread
 * can't record, or nothing is recorded: such a writer is as good as any, and asks again at each call. */
ringscope_writer *ringscope_thread_writer(void) RINGSCOPE_PRIVATE_NOTHROW;

/* The track of this name, one per name and process, at most 65,535. */
ringscope_track ringscope_track_of(const char *name) RINGSCOPE_PRIVATE_NOTHROW;

/* Records a span that is over, under a name made at run time: start and duration (up to three days) in ns. */
void ringscope_complete(const char *name, uint64_t start_ns, uint64_t duration_ns) RINGSCOPE_PRIVATE_NOTHROW;

/* Records the span of another logger's structure (level kernel), with inv, hid, depth and its attributes as arguments;
 * false when it was not recorded. A structure of another version, a shorter one, or one without a name or with a
 * negative time is refused and counted as refused_span. The names of spans and of keys are kept, up to 16,384. */
bool ringscope_forward_host_span(const ringscope_host_span *span) RINGSCOPE_PRIVATE_NOTHROW;

/* CLOCK_MONOTONIC in ns. */
uint64_t ringscope_now_ns(void) RINGSCOPE_PRIVATE_NOTHROW;

/* Begins a launch (level kernel): what the host does until ringscope_launch_end is its enqueue. */
void ringscope_launch_begin(ringscope_launch *launch, const ringscope_launch_info *info) RINGSCOPE_PRIVATE_NOTHROW;

/* Ends the enqueue, once, on the thread that it began on. */
ringscope_ticket ringscope_launch_end(ringscope_launch *launch) RINGSCOPE_PRIVATE_NOTHROW;

/* The id that ties launch, wait and execution together; 0 when nothing was recorded. */
uint64_t ringscope_ticket_correlation(const ringscope_ticket *ticket) RINGSCOPE_PRIVATE_NOTHROW;

/* The span of a wait for a launch. */
void ringscope_wait_begin(ringscope_wait *wait, const ringscope_ticket *ticket) RINGSCOPE_PRIVATE_NOTHROW;
void ringscope_wait_end(ringscope_wait *wait) RINGSCOPE_PRIVATE_NOTHROW;

/* The device clock of this number, one for all calls with the same arguments. */
ringscope_clock ringscope_clock_domain(uint32_t id, uint64_t frequency_hz, const char *name) RINGSCOPE_PRIVATE_NOTHROW;

/* Ties a device's clock to the host's: device_ticks were read between two calls of ringscope_ticks. */
void ringscope_clock_anchor(ringscope_clock clock, uint64_t host_before_ticks, uint64_t device_ticks,
    uint64_t host_after_ticks) RINGSCOPE_PRIVATE_NOTHROW;
uint64_t ringscope_ticks(void) RINGSCOPE_PRIVATE_NOTHROW;

/* Records when the device ran a launch, in ticks of its clock. Unknown times are not to be recorded. */
void ringscope_device_span(const ringscope_ticket *ticket, uint64_t start_ticks, uint64_t end_ticks,
    ringscope_clock clock) RINGSCOPE_PRIVATE_NOTHROW;

/* Records the tasks that the device ran for a launch; how many places were empty, which are counted too. */
uint64_t ringscope_device_tasks(const ringscope_ticket *ticket, const ringscope_device_task *tasks, uint64_t count,
    ringscope_clock clock) RINGSCOPE_PRIVATE_NOTHROW;

/* What the inline code reads, once per shared object: copies of pointers that never change once they are known. */
typedef struct ringscope_object {
    const uint64_t *level;
    const uint64_t *generation;
    uint64_t reads_counter; /* 1 when ticks are the processor's counter */
    uint64_t unknown_level; /* what `level` points to until the library was asked: all levels on */
    uint64_t no_generation;
} ringscope_object;

#define RINGSCOPE_PRIVATE_SLOW RINGSCOPE_PRIVATE_NOTHROW __attribute__((cold))
ringscope_writer *ringscope_private_attach(ringscope_object *object, uint64_t level) RINGSCOPE_PRIVATE_SLOW;
uint32_t ringscope_private_register(ringscope_object *object, ringscope_writer *writer, ringscope_site *site,
    const char *name, uint32_t types) RINGSCOPE_PRIVATE_SLOW;
uint32_t ringscope_private_register_phase(ringscope_object *object, ringscope_writer *writer, ringscope_site *site,
    const char *name, const ringscope_site *first) RINGSCOPE_PRIVATE_SLOW;
uint32_t ringscope_private_named(ringscope_object *object, ringscope_writer *writer, ringscope_site *site,
    const char *name, uint32_t types) RINGSCOPE_PRIVATE_NOTHROW;
uint32_t ringscope_private_lane(ringscope_writer *writer, const ringscope_track *track) RINGSCOPE_PRIVATE_SLOW;
bool ringscope_private_make_room(ringscope_writer *writer, uint64_t sequence, uint64_t slots) RINGSCOPE_PRIVATE_SLOW;
uint32_t ringscope_private_take_open_slot(ringscope_writer *writer, uint32_t hint) RINGSCOPE_PRIVATE_SLOW;
void ringscope_private_inherited(void) RINGSCOPE_PRIVATE_SLOW;
uint64_t ringscope_private_slow_ticks(void) RINGSCOPE_PRIVATE_SLOW;
void ringscope_private_encode_long(ringscope_writer *writer, ringscope_payload *payload,
    const ringscope_value *values, uint32_t count) RINGSCOPE_PRIVATE_SLOW;
void ringscope_private_release_long(ringscope_writer *writer, ringscope_payload *payload) RINGSCOPE_PRIVATE_SLOW;
void ringscope_private_end_day_long(ringscope_span *span, uint64_t duration_ticks) RINGSCOPE_PRIVATE_SLOW;
void ringscope_private_set(ringscope_span *span, const char *key, const ringscope_value *value)
    RINGSCOPE_PRIVATE_NOTHROW;

#ifndef RINGSCOPE_NO_TLS
/* The calling thread's writer; null or 1 means: ask the library. */
extern __thread ringscope_writer *ringscope_tls __attribute__((tls_model("initial-exec")));
#endif

/* One per shared object or program, whatever the number of files in it that include this header. The words that it
 * points to live in pages that the library puts other memory under, so nothing may ever copy them. */
extern ringscope_object ringscope_private_object __attribute__((visibility("hidden")));
__attribute__((weak, visibility("hidden"))) ringscope_object ringscope_private_object = {
    &ringscope_private_object.unknown_level, &ringscope_private_object.no_generation, 0, UINT64_MAX, 0};

#ifdef __cplusplus
}
#endif

/* ---- the ring's protocol, as in ringbuf's ring.rs ---------------------------------------------------------------- */

#define RINGSCOPE_PRIVATE_SEQUENCE_MASK ((UINT64_C(1) << 48) - 1)
#define RINGSCOPE_PRIVATE_RECORD_ONE (UINT64_C(1) << 48)
#define RINGSCOPE_PRIVATE_DURATION_MAX ((UINT64_C(1) << 48) - 1)
#define RINGSCOPE_PRIVATE_LANE_SHIFT 48
#define RINGSCOPE_PRIVATE_STAMP_SHIFT 40
#define RINGSCOPE_PRIVATE_LAP_MASK ((UINT64_C(1) << 23) - 1)
#define RINGSCOPE_PRIVATE_KIND_SHIFT 32
#define RINGSCOPE_PRIVATE_RECORD_WORDS 4
#define RINGSCOPE_PRIVATE_CONTINUATION_PAYLOAD 28
#define RINGSCOPE_PRIVATE_OPEN_SLOT_WORDS 16
#define RINGSCOPE_PRIVATE_OPEN_SLOT_PAYLOAD 96
#define RINGSCOPE_PRIVATE_OPEN_SLOT_TAKEN UINT64_C(1)
#define RINGSCOPE_PRIVATE_NO_SLOT UINT32_MAX
#define RINGSCOPE_PRIVATE_KIND_SPAN UINT64_C(1)
#define RINGSCOPE_PRIVATE_KIND_SPAN_NS UINT64_C(2)
#define RINGSCOPE_PRIVATE_KIND_INSTANT UINT64_C(4)
#define RINGSCOPE_PRIVATE_KIND_COUNTER UINT64_C(5)
#define RINGSCOPE_PRIVATE_KIND_CONTINUATION UINT64_C(255)

#define RINGSCOPE_PRIVATE_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define RINGSCOPE_PRIVATE_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* True when places of this level are recorded: two loads and a branch. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_is_on(uint64_t level)
{
    const uint64_t *word = __atomic_load_n(&ringscope_private_object.level, __ATOMIC_RELAXED);
    return (__atomic_load_n(word, __ATOMIC_RELAXED) & level) != 0;
}

/* True when argument values are kept out of the files, as the word behind the level word says. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_keeps_values_out(void)
{
    const uint64_t *word = __atomic_load_n(&ringscope_private_object.level, __ATOMIC_RELAXED);
    return __atomic_load_n(word + 1, __ATOMIC_RELAXED) != 0;
}

RINGSCOPE_PRIVATE_INLINE bool ringscope_private_is_ours(const ringscope_writer *writer)
{
    const uint64_t *word = __atomic_load_n(&ringscope_private_object.generation, __ATOMIC_RELAXED);
    return writer->generation == __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* True when the clock can be read without a call. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_reads_counter(void)
{
    return __atomic_load_n(&ringscope_private_object.reads_counter, __ATOMIC_RELAXED) != 0;
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_counter_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return ringscope_private_slow_ticks();
#endif
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_ticks(void)
{
    if (RINGSCOPE_PRIVATE_LIKELY(ringscope_private_reads_counter()))
        return ringscope_private_counter_ticks();
    return ringscope_private_slow_ticks();
}

/* Adds to a word that only this thread writes, by one instruction: a signal handler falls before or after it. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_add(uint64_t *word, uint64_t n)
{
#if defined(__x86_64__)
    __asm__ volatile("xaddq %0, %1" : "+r"(n), "+m"(*word) : : "cc");
    return n;
#else
    return __atomic_fetch_add(word, n, __ATOMIC_RELAXED);
#endif
}

/* As above, where the sum is of no interest. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_count(uint64_t *word, uint64_t n)
{
#if defined(__x86_64__)
    __asm__ volatile("addq %1, %0" : "+m"(*word) : "er"(n) : "cc");
#else
    __atomic_fetch_add(word, n, __ATOMIC_RELAXED);
#endif
}

RINGSCOPE_PRIVATE_INLINE bool ringscope_private_replace(uint64_t *word, uint64_t current, uint64_t next)
{
#if defined(__x86_64__)
    bool replaced;
    __asm__ volatile("cmpxchgq %3, %1" : "=@ccz"(replaced), "+m"(*word), "+a"(current) : "r"(next));
    return replaced;
#else
    return __atomic_compare_exchange_n(word, &current, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
#endif
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_site_and_kind(uint32_t site, uint64_t kind)
{
    return site | kind << RINGSCOPE_PRIVATE_KIND_SHIFT;
}

/* Reserves a record of `slots` slots, its continuations included; false when room must be made for it first. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_reserve_free(ringscope_writer *writer, uint64_t slots,
    uint64_t *sequence)
{
    uint64_t head = ringscope_private_add(writer->head, RINGSCOPE_PRIVATE_RECORD_ONE + slots);
    *sequence = head & RINGSCOPE_PRIVATE_SEQUENCE_MASK;
    return *sequence + slots <= __atomic_load_n(&writer->limit, __ATOMIC_RELAXED);
}

/* Reserves a record; false when it must not be written. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_reserve(ringscope_writer *writer, uint64_t slots, uint64_t *sequence)
{
    if (RINGSCOPE_PRIVATE_UNLIKELY(!ringscope_private_reserve_free(writer, slots, sequence)))
        return ringscope_private_make_room(writer, *sequence, slots);
    return true;
}

/* The valid bit and the low bits of a lap (or of an open span's start), in place. The valid bit stands above the lap,
 * and the shift drops what is above it. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_stamp(uint64_t lap)
{
    return (lap | (RINGSCOPE_PRIVATE_LAP_MASK + 1)) << RINGSCOPE_PRIVATE_STAMP_SHIFT;
}

/* Writes and publishes a reserved slot: the stamp invalidated, the payload, the stamp. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_publish(const ringscope_writer *writer, uint64_t sequence, uint64_t w0,
    uint64_t w1, uint64_t w2, uint64_t site_and_kind)
{
    uint64_t *slot = writer->slots + (sequence & writer->slot_mask) * RINGSCOPE_PRIVATE_RECORD_WORDS;
    uint64_t stamp = ringscope_private_stamp(sequence >> writer->capacity_log2);
    __atomic_store_n(&slot[3], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&slot[0], w0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot[1], w1, __ATOMIC_RELAXED);
    __atomic_store_n(&slot[2], w2, __ATOMIC_RELAXED);
    __atomic_store_n(&slot[3], site_and_kind | stamp, __ATOMIC_RELEASE);
}

/* Writes a continuation; zeros stand behind the payload. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_continue(const ringscope_writer *writer, uint64_t sequence,
    const uint8_t *bytes)
{
    uint32_t site;
    memcpy(&site, bytes + 24, sizeof site);
    ringscope_private_publish(writer, sequence, ringscope_private_load_word(bytes),
        ringscope_private_load_word(bytes + 8), ringscope_private_load_word(bytes + 16),
        ringscope_private_site_and_kind(site, RINGSCOPE_PRIVATE_KIND_CONTINUATION));
}

/* Continuations of a record with this payload. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_continuations(const ringscope_payload *payload)
{
    return payload->len <= 8 ? 0
                             : (payload->len - 8 + RINGSCOPE_PRIVATE_CONTINUATION_PAYLOAD - 1) /
            RINGSCOPE_PRIVATE_CONTINUATION_PAYLOAD;
}

/* Writes a reserved record: its `count` continuations, then itself. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_write(ringscope_writer *writer, uint64_t sequence, uint64_t count,
    uint64_t site_and_kind, uint64_t w0, uint64_t w1, const ringscope_payload *payload)
{
    const uint8_t *bytes = payload->long_buffer != 0 ? payload->long_bytes : payload->bytes;
    for (uint64_t i = 0; i < count; i++)
        ringscope_private_continue(writer, sequence + 1 + i, bytes + 8 + i * RINGSCOPE_PRIVATE_CONTINUATION_PAYLOAD);
    if (count != 0)
        ringscope_private_count(writer->continuations, count);
    ringscope_private_publish(writer, sequence, w0, w1, payload->word, site_and_kind);
}

/* A record with more payload than its main slot holds. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_record_rest(ringscope_writer *writer, uint64_t site_and_kind,
    uint64_t w0, uint64_t w1, ringscope_payload *payload)
{
    uint64_t count = ringscope_private_continuations(payload);
    uint64_t sequence;
    if (ringscope_private_reserve(writer, 1 + count, &sequence))
        ringscope_private_write(writer, sequence, count, site_and_kind, w0, w1, payload);
    if (payload->long_buffer != 0)
        ringscope_private_release_long(writer, payload);
}

/* As above, out of line; one copy per file that includes the header. */
__attribute__((noinline, unused)) static void ringscope_private_record_with_rest(ringscope_writer *writer,
    uint64_t site_and_kind, uint64_t w0, uint64_t w1, ringscope_payload *payload)
{
    ringscope_private_record_rest(writer, site_and_kind, w0, w1, payload);
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_record_one(ringscope_writer *writer, uint64_t site_and_kind,
    uint64_t w0, uint64_t w1, uint64_t w2)
{
    uint64_t sequence;
    if (RINGSCOPE_PRIVATE_LIKELY(ringscope_private_reserve(writer, 1, &sequence)))
        ringscope_private_publish(writer, sequence, w0, w1, w2, site_and_kind);
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_record(ringscope_writer *writer, uint64_t site_and_kind, uint64_t w0,
    uint64_t w1, ringscope_payload *payload)
{
    if (RINGSCOPE_PRIVATE_LIKELY(payload->len <= 8))
        ringscope_private_record_one(writer, site_and_kind, w0, w1, payload->word);
    else
        ringscope_private_record_with_rest(writer, site_and_kind, w0, w1, payload);
}

/* ---- arguments to payload --------------------------------------------------------------------------------------- */

RINGSCOPE_PRIVATE_INLINE ringscope_private_values ringscope_private_values_of(uint32_t count, ringscope_value a,
    ringscope_value b, ringscope_value c, ringscope_value d)
{
    ringscope_private_values values = {a, b, c, d, count};
    return values;
}

/* The types of all values, a byte each. */
RINGSCOPE_PRIVATE_INLINE uint32_t ringscope_private_types(ringscope_private_values values)
{
    return values.a.type_number | values.b.type_number << 8 | values.c.type_number << 16 | values.d.type_number << 24;
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_len(ringscope_value value)
{
    if (value.type_number == RINGSCOPE_PRIVATE_STR)
        return 2 + value.text_len;
    return value.type_number == 0 ? 0 : value.type_number == RINGSCOPE_PRIVATE_BOOL ? 1 : 8;
}

RINGSCOPE_PRIVATE_INLINE uint8_t *ringscope_private_put(uint8_t *at, ringscope_value value)
{
    if (value.type_number == RINGSCOPE_PRIVATE_STR) {
        uint16_t len = (uint16_t)value.text_len;
        memcpy(at, &len, sizeof len);
        memcpy(at + 2, value.text, value.text_len);
    } else if (value.type_number == RINGSCOPE_PRIVATE_BOOL) {
        *at = (uint8_t)value.word;
    } else if (value.type_number != 0) {
        memcpy(at, &value.word, sizeof value.word);
    }
    return at + ringscope_private_len(value);
}

__attribute__((noinline, cold, unused)) static void ringscope_private_put_long(ringscope_writer *writer,
    ringscope_payload *payload, ringscope_private_values values)
{
    ringscope_value list[RINGSCOPE_PRIVATE_MAX_ARGUMENTS] = {values.a, values.b, values.c, values.d};
    ringscope_private_encode_long(writer, payload, list, values.count);
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_values_len(ringscope_private_values values)
{
    return ringscope_private_len(values.a) + ringscope_private_len(values.b) + ringscope_private_len(values.c) +
        ringscope_private_len(values.d);
}

/* Encodes values that fit; their types are constants, so what is left of this is the stores. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_encode_short(ringscope_payload *payload,
    ringscope_private_values values)
{
    uint32_t len = (uint32_t)ringscope_private_values_len(values);
    payload->long_buffer = 0;
    payload->len = len;
    if (values.count == 0 || (values.count == 1 && values.a.type_number != RINGSCOPE_PRIVATE_STR)) {
        payload->word = values.a.word;
        return;
    }
    uint8_t *at = ringscope_private_put(payload->bytes, values.a);
    at = ringscope_private_put(at, values.b);
    at = ringscope_private_put(at, values.c);
    at = ringscope_private_put(at, values.d);
    memset(at, 0, RINGSCOPE_PRIVATE_PADDING);
    payload->word = ringscope_private_len(values.a) == 8 && values.a.type_number != RINGSCOPE_PRIVATE_STR
        ? values.a.word
        : ringscope_private_load_word(payload->bytes);
}

/* Encodes values of any length, unless they are kept out of the files. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_encode(ringscope_writer *writer, ringscope_payload *payload,
    ringscope_private_values values)
{
    if (RINGSCOPE_PRIVATE_UNLIKELY(values.count != 0 && ringscope_private_keeps_values_out())) {
        payload->word = 0;
        payload->len = 0;
        payload->long_buffer = 0;
    } else if (RINGSCOPE_PRIVATE_LIKELY(ringscope_private_values_len(values) <= RINGSCOPE_PRIVATE_INLINE_LEN))
        ringscope_private_encode_short(payload, values);
    else
        ringscope_private_put_long(writer, payload, values);
}

/* ---- where a record goes ---------------------------------------------------------------------------------------- */

/* The calling thread's ring and an explicit track. */
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on_both(ringscope_writer *writer, ringscope_track track)
{
    ringscope_where where = {writer, track};
    return where;
}

/* An explicit writer, from ringscope_thread_writer on this very thread; null asks the library. */
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on(ringscope_writer *writer)
{
    ringscope_track thread = {NULL, 0, 0, 0};
    return ringscope_on_both(writer, thread);
}

RINGSCOPE_PRIVATE_INLINE ringscope_writer *ringscope_private_tls(void)
{
#ifdef RINGSCOPE_NO_TLS
    return NULL;
#else
    return ringscope_tls;
#endif
}

/* The calling thread. */
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_here(void)
{
    return ringscope_on(ringscope_private_tls());
}

/* A track. */
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on_track(ringscope_track track)
{
    return ringscope_on_both(ringscope_private_tls(), track);
}

/* The writer if it may be used as it is, else what the library says: null when nothing is to be recorded. */
RINGSCOPE_PRIVATE_INLINE ringscope_writer *ringscope_private_writer(ringscope_writer *writer, uint64_t level)
{
    if (RINGSCOPE_PRIVATE_LIKELY((uintptr_t)writer > 1 && ringscope_private_is_ours(writer)))
        return writer;
    return ringscope_private_attach(&ringscope_private_object, level);
}

RINGSCOPE_PRIVATE_INLINE uint32_t ringscope_private_lane_of(ringscope_writer *writer, ringscope_track track)
{
    if (track.name == NULL || track.generation == writer->generation)
        return track.lane;
    return ringscope_private_lane(writer, &track);
}

/* Id of the place: by its run-time name where there is one. */
RINGSCOPE_PRIVATE_INLINE uint32_t ringscope_private_id(ringscope_writer *writer, ringscope_site *site,
    const char *literal, const char *run_time_name, uint32_t types)
{
    if (run_time_name != NULL)
        return ringscope_private_named(&ringscope_private_object, writer, site, run_time_name, types);
    uint32_t id = __atomic_load_n(&site->id, __ATOMIC_ACQUIRE);
    if (RINGSCOPE_PRIVATE_LIKELY(id != 0))
        return id;
    return ringscope_private_register(&ringscope_private_object, writer, site, literal, types);
}

/* ---- spans ------------------------------------------------------------------------------------------------------ */

/* Counters of two cores may differ by a few ticks: a span that moved between them is 0 long, not 600 years. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_duration(uint64_t start, uint64_t end)
{
    return end > start ? end - start : 0;
}

RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_key(uint64_t site_and_kind, uint64_t start)
{
    return site_and_kind | ringscope_private_stamp(start);
}

/* What follows the first eight payload bytes, as far as an open slot shows it; returns its length. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_show_rest(uint64_t *slot, const ringscope_payload *payload)
{
    if (payload->len <= 8)
        return 0;
    const uint8_t *bytes = (payload->long_buffer != 0 ? payload->long_bytes : payload->bytes) + 8;
    uint64_t len = payload->len - 8;
    if (len > RINGSCOPE_PRIVATE_OPEN_SLOT_PAYLOAD)
        len = RINGSCOPE_PRIVATE_OPEN_SLOT_PAYLOAD;
    for (uint64_t at = 0; at < len; at += 8)
        __atomic_store_n(&slot[4 + at / 8], ringscope_private_load_word(bytes + at), __ATOMIC_RELAXED);
    return len;
}

/* As above, for short values behind one of eight bytes: straight from the values, since loading what was just stored
 * in other pieces would stall. A reader takes the slot for valid only when its key was there before and after. */
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_private_show_values(uint64_t *slot, const ringscope_payload *payload,
    ringscope_private_values values)
{
    uint64_t len = ringscope_private_values_len(values);
    if (len <= 8)
        return 0;
    if (ringscope_private_len(values.a) != 8 || values.a.type_number == RINGSCOPE_PRIVATE_STR ||
        len - 8 > RINGSCOPE_PRIVATE_OPEN_SLOT_PAYLOAD)
        return ringscope_private_show_rest(slot, payload);
    uint8_t *at = ringscope_private_put((uint8_t *)&slot[4], values.b);
    at = ringscope_private_put(at, values.c);
    ringscope_private_put(at, values.d);
    return len - 8;
}

RINGSCOPE_PRIVATE_INLINE uint64_t *ringscope_private_slot(ringscope_writer *writer, uint32_t index)
{
    return writer->open_slots + (uint64_t)index * RINGSCOPE_PRIVATE_OPEN_SLOT_WORDS;
}

/* Takes an open slot if it is free, whatever a signal handler takes meanwhile. It is looked at first, since a failed
 * exchange writes too. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_claim(uint64_t *slot)
{
    return __atomic_load_n(&slot[0], __ATOMIC_RELAXED) == 0 &&
        ringscope_private_replace(&slot[0], 0, RINGSCOPE_PRIVATE_OPEN_SLOT_TAKEN);
}

/* Shows the span in an open slot that holds its payload behind w2. The clock was read last, so that the span does not
 * contain its own recording. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_show(ringscope_span *span, uint64_t *slot, uint64_t start)
{
    uint64_t site_and_kind = ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN);
    span->start = start;
    __atomic_store_n(&slot[1], start, __ATOMIC_RELAXED);
    __atomic_store_n(&slot[0], ringscope_private_key(site_and_kind, start), __ATOMIC_RELEASE);
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_close(ringscope_writer *writer, uint32_t index)
{
    if (RINGSCOPE_PRIVATE_UNLIKELY(index == RINGSCOPE_PRIVATE_NO_SLOT))
        return;
    __atomic_store_n(ringscope_private_slot(writer, index), 0, __ATOMIC_RELEASE);
}

/* Begins a span whatever the case; one copy per file that includes the header, as the following ones. */
__attribute__((noinline, cold, unused)) static void ringscope_private_begin_slow(ringscope_span *span,
    ringscope_where where, uint64_t level, ringscope_site *site, const char *literal, const char *run_time_name,
    ringscope_private_values values)
{
    ringscope_writer *writer = ringscope_private_writer(where.writer, level);
    span->writer = writer;
    if (writer == NULL)
        return;
    span->site = ringscope_private_id(writer, site, literal, run_time_name, ringscope_private_types(values));
    span->lane = ringscope_private_lane_of(writer, where.track);
    ringscope_private_encode(writer, &span->payload, values);
    span->open_slot = ringscope_private_take_open_slot(writer, span->site);
    if (span->open_slot == RINGSCOPE_PRIVATE_NO_SLOT) {
        span->start = ringscope_private_ticks();
        return;
    }
    uint64_t *slot = ringscope_private_slot(writer, span->open_slot);
    /* A reader that sees one of the stores below sees that the slot's last span is closed. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&slot[2], span->payload.word, __ATOMIC_RELAXED);
    uint64_t rest_len = ringscope_private_show_rest(slot, &span->payload);
    __atomic_store_n(&slot[3], span->lane | rest_len << 16, __ATOMIC_RELAXED);
    ringscope_private_show(span, slot, ringscope_private_ticks());
}

/* Rebuilds a value field by field, in the branch that needs it in memory: elsewhere it stays in registers. */
RINGSCOPE_PRIVATE_INLINE ringscope_value ringscope_private_rebuilt(ringscope_value value)
{
    ringscope_value rebuilt = {value.word, value.text, value.text_len, value.type_number, 0};
    return rebuilt;
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_begin_rebuilt(ringscope_span *span, ringscope_where where,
    uint64_t level, ringscope_site *site, const char *literal, const char *run_time_name,
    ringscope_private_values values)
{
    ringscope_track track = {where.track.name, where.track.generation, where.track.lane, 0};
    ringscope_private_values rebuilt = {ringscope_private_rebuilt(values.a), ringscope_private_rebuilt(values.b),
        ringscope_private_rebuilt(values.c), ringscope_private_rebuilt(values.d), values.count};
    ringscope_private_begin_slow(
        span, ringscope_on_both(where.writer, track), level, site, literal, run_time_name, rebuilt);
}

/* Begins a span. Whatever would need a call is left to the slow form as a whole, so that nothing has to be kept over
 * one. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_begin(ringscope_span *span, ringscope_where where, uint64_t level,
    ringscope_site *site, const char *literal, const char *run_time_name, ringscope_private_values values)
{
    ringscope_writer *writer = where.writer;
    uint32_t id = __atomic_load_n(&site->id, __ATOMIC_ACQUIRE);
    uint32_t index = 0;
    bool fast = run_time_name == NULL && where.track.name == NULL && id != 0 && (uintptr_t)writer > 1 &&
        ringscope_private_is_ours(writer) && ringscope_private_reads_counter() &&
        ringscope_private_values_len(values) <= RINGSCOPE_PRIVATE_INLINE_LEN &&
        (values.count == 0 || !ringscope_private_keeps_values_out()) &&
        ringscope_private_claim(
            ringscope_private_slot(writer, index = (uint32_t)(id & writer->open_slot_mask)));
    if (RINGSCOPE_PRIVATE_UNLIKELY(!fast)) {
        ringscope_private_begin_rebuilt(span, where, level, site, literal, run_time_name, values);
        return;
    }
    span->writer = writer;
    span->site = id;
    span->lane = where.track.lane;
    span->open_slot = index;
    ringscope_private_encode_short(&span->payload, values);
    uint64_t *slot = ringscope_private_slot(writer, index);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* as in the slow form */
    __atomic_store_n(&slot[2], span->payload.word, __ATOMIC_RELAXED);
    uint64_t rest_len = ringscope_private_show_values(slot, &span->payload, values);
    __atomic_store_n(&slot[3], where.track.lane | rest_len << 16, __ATOMIC_RELAXED);
    ringscope_private_show(span, slot, ringscope_private_counter_ticks());
}

/* Records the span as it stands, whatever the case, ended at `end`; false when it is a parent's. */
__attribute__((noinline, cold, unused)) static bool ringscope_private_finish_slow(ringscope_span *span, uint64_t end)
{
    ringscope_writer *writer = span->writer;
    if (!ringscope_private_is_ours(writer)) {
        ringscope_private_inherited();
        return false;
    }
    uint64_t duration = ringscope_private_duration(span->start, end);
    if (duration > RINGSCOPE_PRIVATE_DURATION_MAX)
        ringscope_private_end_day_long(span, duration);
    else
        ringscope_private_record(writer, ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN),
            span->start, duration | (uint64_t)span->lane << RINGSCOPE_PRIVATE_LANE_SHIFT, &span->payload);
    return true;
}

__attribute__((noinline, cold, unused)) static void ringscope_private_end_slow(ringscope_span *span, uint64_t end)
{
    if (ringscope_private_finish_slow(span, end))
        ringscope_private_close(span->writer, span->open_slot);
}

__attribute__((noinline, cold, unused)) static void ringscope_private_end_without_counter(ringscope_span *span)
{
    ringscope_private_end_slow(span, ringscope_private_slow_ticks());
}

/* A span that is reserved beyond the ring's limit. */
__attribute__((noinline, cold, unused)) static void ringscope_private_end_at_limit(ringscope_span *span,
    uint64_t sequence, uint64_t w1)
{
    ringscope_writer *writer = span->writer;
    uint64_t count = ringscope_private_continuations(&span->payload);
    if (ringscope_private_make_room(writer, sequence, 1 + count))
        ringscope_private_write(writer, sequence, count,
            ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN), span->start, w1,
            &span->payload);
    ringscope_private_close(writer, span->open_slot);
}

/* True when a span that ends at `end` may be recorded with what its main record holds and `more` bytes. */
RINGSCOPE_PRIVATE_INLINE bool ringscope_private_is_short(const ringscope_span *span, uint64_t end, uint32_t more)
{
    return ringscope_private_is_ours(span->writer) && span->payload.len <= 8 + more &&
        ringscope_private_duration(span->start, end) <= RINGSCOPE_PRIVATE_DURATION_MAX;
}

/* Records and closes a span of `count` continuations, which stand in its own bytes. All cold calls are tail calls. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_end_with(ringscope_span *span, uint64_t end, uint64_t count)
{
    ringscope_writer *writer = span->writer;
    uint64_t w1 = ringscope_private_duration(span->start, end) |
        (uint64_t)span->lane << RINGSCOPE_PRIVATE_LANE_SHIFT;
    uint64_t sequence;
    if (RINGSCOPE_PRIVATE_UNLIKELY(!ringscope_private_reserve_free(writer, 1 + count, &sequence))) {
        ringscope_private_end_at_limit(span, sequence, w1);
        return;
    }
    if (count != 0) {
        ringscope_private_continue(writer, sequence + 1, span->payload.bytes + 8);
        ringscope_private_count(writer->continuations, 1);
    }
    ringscope_private_publish(writer, sequence, span->start, w1, span->payload.word,
        ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN));
    ringscope_private_close(writer, span->open_slot);
}

/* A span that has more payload than its main record holds, is a parent's, or is very long. */
__attribute__((noinline, unused)) static void ringscope_private_end_with_rest(ringscope_span *span, uint64_t end)
{
    ringscope_writer *writer = span->writer;
    uint64_t duration = ringscope_private_duration(span->start, end);
    if (RINGSCOPE_PRIVATE_UNLIKELY(
            !ringscope_private_is_ours(writer) || duration > RINGSCOPE_PRIVATE_DURATION_MAX)) {
        ringscope_private_end_slow(span, end);
        return;
    }
    ringscope_private_record_rest(writer,
        ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN), span->start,
        duration | (uint64_t)span->lane << RINGSCOPE_PRIVATE_LANE_SHIFT, &span->payload);
    ringscope_private_close(writer, span->open_slot);
}

/* A span with one continuation, which is what three arguments take, or with more. */
__attribute__((noinline, unused)) static void ringscope_private_end_with_one(ringscope_span *span, uint64_t end)
{
    bool is_short = ringscope_private_is_short(span, end, RINGSCOPE_PRIVATE_CONTINUATION_PAYLOAD) &&
        span->payload.long_buffer == 0 && span->payload.len > 8;
    if (RINGSCOPE_PRIVATE_LIKELY(is_short))
        ringscope_private_end_with(span, end, 1);
    else
        ringscope_private_end_with_rest(span, end);
}

/* Ends a span that is recorded. Everything that needs a call is a tail call: this function has no stack frame. */
__attribute__((noinline, unused)) static void ringscope_private_end(ringscope_span *span)
{
    if (RINGSCOPE_PRIVATE_UNLIKELY(!ringscope_private_reads_counter())) {
        ringscope_private_end_without_counter(span);
        return;
    }
    uint64_t end = ringscope_private_counter_ticks();
    if (RINGSCOPE_PRIVATE_LIKELY(ringscope_private_is_short(span, end, 0)))
        ringscope_private_end_with(span, end, 0);
    else
        ringscope_private_end_with_one(span, end);
}

/* Ends a span; does nothing for one that has ended. Reads the clock first. */
RINGSCOPE_PRIVATE_INLINE void ringscope_span_end(ringscope_span *span)
{
    if (span->writer == NULL)
        return;
    ringscope_private_end(span);
    span->writer = NULL;
}

/* Adds an argument that became known late. */
RINGSCOPE_PRIVATE_INLINE void ringscope_span_set(ringscope_span *span, const char *key, ringscope_value value)
{
    if (span->writer != NULL)
        ringscope_private_set(span, key, &value);
}

/* Ends the last phase of a lap. */
RINGSCOPE_PRIVATE_INLINE void ringscope_lap_end(ringscope_lap *lap)
{
    ringscope_span_end(&lap->span);
}

/* Shows the next phase of a lap in the open slot of the last one. */
RINGSCOPE_PRIVATE_INLINE void ringscope_private_reopen(ringscope_span *span, uint64_t now)
{
    if (RINGSCOPE_PRIVATE_UNLIKELY(span->open_slot == RINGSCOPE_PRIVATE_NO_SLOT)) {
        span->start = now;
        return;
    }
    uint64_t *slot = ringscope_private_slot(span->writer, span->open_slot);
    __atomic_store_n(&slot[0], RINGSCOPE_PRIVATE_OPEN_SLOT_TAKEN, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    ringscope_private_show(span, slot, now);
}

/* Ends a phase and begins the next one, whatever the case, at `now`. */
__attribute__((noinline, cold, unused)) static void ringscope_private_next_slow(ringscope_lap *lap,
    ringscope_site *site, const char *literal, uint64_t now)
{
    ringscope_span *span = &lap->span;
    if (!ringscope_private_finish_slow(span, now)) {
        span->writer = NULL;
        return;
    }
    span->site = __atomic_load_n(&site->id, __ATOMIC_ACQUIRE);
    if (span->site == 0)
        span->site =
            ringscope_private_register_phase(&ringscope_private_object, span->writer, site, literal, lap->first);
    ringscope_private_reopen(span, now);
}

/* Ends a phase and begins the next one at the same moment. */
__attribute__((noinline, unused)) static void ringscope_private_next(ringscope_lap *lap, ringscope_site *site,
    const char *literal)
{
    ringscope_span *span = &lap->span;
    uint64_t now = ringscope_private_ticks();
    uint32_t id = __atomic_load_n(&site->id, __ATOMIC_ACQUIRE);
    if (RINGSCOPE_PRIVATE_UNLIKELY(id == 0 || !ringscope_private_is_short(span, now, 0))) {
        ringscope_private_next_slow(lap, site, literal, now);
        return;
    }
    uint64_t w1 = ringscope_private_duration(span->start, now) |
        (uint64_t)span->lane << RINGSCOPE_PRIVATE_LANE_SHIFT;
    ringscope_private_record_one(span->writer,
        ringscope_private_site_and_kind(span->site, RINGSCOPE_PRIVATE_KIND_SPAN), span->start, w1,
        span->payload.word);
    span->site = id;
    ringscope_private_reopen(span, now);
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

RINGSCOPE_PRIVATE_INLINE void ringscope_private_instant(ringscope_where where, uint64_t level, ringscope_site *site,
    const char *literal, const char *run_time_name, ringscope_private_values values)
{
    ringscope_writer *writer = ringscope_private_writer(where.writer, level);
    if (RINGSCOPE_PRIVATE_UNLIKELY(writer == NULL))
        return;
    uint32_t id = ringscope_private_id(writer, site, literal, run_time_name, ringscope_private_types(values));
    uint64_t lane = ringscope_private_lane_of(writer, where.track);
    uint64_t time = ringscope_private_ticks();
    ringscope_payload payload;
    ringscope_private_encode(writer, &payload, values);
    ringscope_private_record(writer, ringscope_private_site_and_kind(id, RINGSCOPE_PRIVATE_KIND_INSTANT), time,
        lane << RINGSCOPE_PRIVATE_LANE_SHIFT, &payload);
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_counter(ringscope_where where, uint64_t level, ringscope_site *site,
    const char *literal, const char *run_time_name, ringscope_value value)
{
    ringscope_writer *writer = ringscope_private_writer(where.writer, level);
    if (RINGSCOPE_PRIVATE_UNLIKELY(writer == NULL || value.type_number == RINGSCOPE_PRIVATE_STR))
        return;
    uint32_t id = ringscope_private_id(writer, site, literal, run_time_name, 0);
    uint64_t lane = ringscope_private_lane_of(writer, where.track);
    ringscope_private_record_one(writer, ringscope_private_site_and_kind(id, RINGSCOPE_PRIVATE_KIND_COUNTER),
        ringscope_private_ticks(), value.type_number | lane << RINGSCOPE_PRIVATE_LANE_SHIFT, value.word);
}

RINGSCOPE_PRIVATE_INLINE void ringscope_private_complete(ringscope_where where, uint64_t level, ringscope_site *site,
    const char *literal, const char *run_time_name, uint64_t start_ns, uint64_t duration_ns,
    ringscope_private_values values)
{
    ringscope_writer *writer = ringscope_private_writer(where.writer, level);
    if (RINGSCOPE_PRIVATE_UNLIKELY(writer == NULL))
        return;
    uint32_t id = ringscope_private_id(writer, site, literal, run_time_name, ringscope_private_types(values));
    uint64_t lane = ringscope_private_lane_of(writer, where.track);
    uint64_t duration =
        duration_ns < RINGSCOPE_PRIVATE_DURATION_MAX ? duration_ns : RINGSCOPE_PRIVATE_DURATION_MAX;
    ringscope_payload payload;
    ringscope_private_encode(writer, &payload, values);
    ringscope_private_record(writer, ringscope_private_site_and_kind(id, RINGSCOPE_PRIVATE_KIND_SPAN_NS), start_ns,
        duration | lane << RINGSCOPE_PRIVATE_LANE_SHIFT, &payload);
}

/* ---- macros ----------------------------------------------------------------------------------------------------- */

#ifdef __cplusplus
/* A span up to the end of the block, also when an exception leaves it. */
class ringscope_scope : public ringscope_span {
public:
    ringscope_scope() noexcept { writer = nullptr; }
    ~ringscope_scope() { ringscope_span_end(this); }
    ringscope_scope(const ringscope_scope &) = delete;
    ringscope_scope &operator=(const ringscope_scope &) = delete;
};
/* A lap up to the end of the block. */
class ringscope_lap_scope : public ringscope_lap {
public:
    ringscope_lap_scope() noexcept { span.writer = nullptr; }
    ~ringscope_lap_scope() { ringscope_lap_end(this); }
    ringscope_lap_scope(const ringscope_lap_scope &) = delete;
    ringscope_lap_scope &operator=(const ringscope_lap_scope &) = delete;
};
#define RINGSCOPE_PRIVATE_SCOPE(variable) ringscope_scope variable
#define RINGSCOPE_PRIVATE_LAP_SCOPE(variable) ringscope_lap_scope variable
#else
#define RINGSCOPE_PRIVATE_SCOPE(variable) \
    __attribute__((cleanup(ringscope_span_end))) ringscope_span variable; \
    variable.writer = NULL
#define RINGSCOPE_PRIVATE_LAP_SCOPE(variable) \
    __attribute__((cleanup(ringscope_lap_end))) ringscope_lap variable; \
    variable.span.writer = NULL
#endif

#define RINGSCOPE_PRIVATE_SITE(site, category, level, ...) \
    static ringscope_site site = {0, __LINE__, category, __FILE__, NULL, RINGSCOPE_PRIVATE_KEYS(__VA_ARGS__), level, \
        RINGSCOPE_PRIVATE_PAIRS(__VA_ARGS__), {0, 0, 0, 0, 0, 0}}

#define RINGSCOPE_PRIVATE_BEGIN(span, site, where, level, literal, run_time_name, ...) \
    if (ringscope_private_is_on(level)) \
        ringscope_private_begin(span, where, level, &site, literal, run_time_name, \
            RINGSCOPE_PRIVATE_VALUES(__VA_ARGS__))
#define RINGSCOPE_PRIVATE_SPAN(variable, site, where, category, level, literal, run_time_name, ...) \
    RINGSCOPE_PRIVATE_SITE(site, category, level, __VA_ARGS__); \
    RINGSCOPE_PRIVATE_SCOPE(variable); \
    RINGSCOPE_PRIVATE_BEGIN(&variable, site, where, level, literal, run_time_name, __VA_ARGS__)
#define RINGSCOPE_PRIVATE_EVENT(record, where, category, level, literal, run_time_name, ...) \
    do { \
        RINGSCOPE_PRIVATE_SITE(ringscope_private_site, category, level, __VA_ARGS__); \
        if (ringscope_private_is_on(level)) \
            record(where, level, &ringscope_private_site, literal, run_time_name, \
                RINGSCOPE_PRIVATE_VALUES(__VA_ARGS__)); \
    } while (0)
#define RINGSCOPE_PRIVATE_COUNT(where, category, level, literal, run_time_name, value) \
    do { \
        RINGSCOPE_PRIVATE_SITE(ringscope_private_site, category, level, literal); \
        if (ringscope_private_is_on(level)) \
            ringscope_private_counter( \
                where, level, &ringscope_private_site, literal, run_time_name, RINGSCOPE_PRIVATE_VALUE(value)); \
    } while (0)
#define RINGSCOPE_PRIVATE_PAST(where, category, level, literal, run_time_name, start_ns, duration_ns, ...) \
    do { \
        RINGSCOPE_PRIVATE_SITE(ringscope_private_site, category, level, __VA_ARGS__); \
        if (ringscope_private_is_on(level)) \
            ringscope_private_complete(where, level, &ringscope_private_site, literal, run_time_name, start_ns, \
                duration_ns, RINGSCOPE_PRIVATE_VALUES(__VA_ARGS__)); \
    } while (0)
#define RINGSCOPE_PRIVATE_HERE(name) RINGSCOPE_PRIVATE_JOIN(name, __LINE__)
#define RINGSCOPE_PRIVATE_RUN_TIME "(run-time name)"

#define RINGSCOPE_SPAN_AS(variable, where, category, level, ...) \
    RINGSCOPE_PRIVATE_SPAN(variable, RINGSCOPE_PRIVATE_HERE(ringscope_private_site_), where, category, level, \
        RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), NULL, __VA_ARGS__)
#define RINGSCOPE_SPAN_NAMED(where, category, level, ...) \
    RINGSCOPE_PRIVATE_SPAN(RINGSCOPE_PRIVATE_HERE(ringscope_private_span_), \
        RINGSCOPE_PRIVATE_HERE(ringscope_private_site_), where, category, level, RINGSCOPE_PRIVATE_RUN_TIME, \
        RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), __VA_ARGS__)
#define RINGSCOPE_FUNCTION_CAT(category, level) \
    RINGSCOPE_PRIVATE_SPAN(RINGSCOPE_PRIVATE_HERE(ringscope_private_span_), \
        RINGSCOPE_PRIVATE_HERE(ringscope_private_site_), ringscope_here(), category, level, __func__, NULL, __func__)
#define RINGSCOPE_BEGIN(span, where, category, level, ...) \
    do { \
        RINGSCOPE_PRIVATE_SITE(ringscope_private_site, category, level, __VA_ARGS__); \
        (span)->writer = NULL; \
        RINGSCOPE_PRIVATE_BEGIN(span, ringscope_private_site, where, level, RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), \
            NULL, __VA_ARGS__); \
    } while (0)
#define RINGSCOPE_SPAN_SET(variable, key, value) \
    ringscope_span_set(&(variable), key, RINGSCOPE_PRIVATE_VALUE(value))

#define RINGSCOPE_INSTANT_ON(where, category, level, ...) \
    RINGSCOPE_PRIVATE_EVENT(ringscope_private_instant, where, category, level, \
        RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), NULL, __VA_ARGS__)
#define RINGSCOPE_INSTANT_NAMED(where, category, level, ...) \
    RINGSCOPE_PRIVATE_EVENT(ringscope_private_instant, where, category, level, RINGSCOPE_PRIVATE_RUN_TIME, \
        RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), __VA_ARGS__)

#define RINGSCOPE_COUNTER_ON(where, category, level, name, value) \
    RINGSCOPE_PRIVATE_COUNT(where, category, level, name, NULL, value)
#define RINGSCOPE_COUNTER_NAMED(where, category, level, name, value) \
    RINGSCOPE_PRIVATE_COUNT(where, category, level, RINGSCOPE_PRIVATE_RUN_TIME, name, value)

#define RINGSCOPE_PRIVATE_COMPLETE_ON(where, category, level, name, start_ns, ...) \
    RINGSCOPE_PRIVATE_PAST(where, category, level, name, NULL, start_ns, RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), \
        __VA_ARGS__)
#define RINGSCOPE_PRIVATE_COMPLETE_NAMED(where, category, level, name, start_ns, ...) \
    RINGSCOPE_PRIVATE_PAST(where, category, level, RINGSCOPE_PRIVATE_RUN_TIME, name, start_ns, \
        RINGSCOPE_PRIVATE_FIRST(__VA_ARGS__), __VA_ARGS__)
#define RINGSCOPE_COMPLETE_ON(where, category, level, name, ...) \
    RINGSCOPE_PRIVATE_COMPLETE_ON(where, category, level, name, __VA_ARGS__)
#define RINGSCOPE_COMPLETE_NAMED(where, category, level, name, ...) \
    RINGSCOPE_PRIVATE_COMPLETE_NAMED(where, category, level, name, __VA_ARGS__)

#define RINGSCOPE_LAP_ON(variable, where, category, level, name) \
    RINGSCOPE_PRIVATE_SITE(RINGSCOPE_PRIVATE_HERE(ringscope_private_site_), category, level, name); \
    RINGSCOPE_PRIVATE_LAP_SCOPE(variable); \
    variable.first = &RINGSCOPE_PRIVATE_HERE(ringscope_private_site_); \
    RINGSCOPE_PRIVATE_BEGIN( \
        &variable.span, RINGSCOPE_PRIVATE_HERE(ringscope_private_site_), where, level, name, NULL, name)
#define RINGSCOPE_LAP_NEXT(variable, name) \
    do { \
        RINGSCOPE_PRIVATE_SITE(ringscope_private_site, NULL, 0, name); \
        if ((variable).span.writer != NULL) \
            ringscope_private_next(&(variable), &ringscope_private_site, name); \
    } while (0)

#else /* RINGSCOPE_DISABLE: the same names, and nothing behind them */

/* Never called: stands in an unevaluated operand, so that what is only recorded counts as used. */
int ringscope_private_ignore(const void *first, ...);
#define RINGSCOPE_PRIVATE_IGNORE(...) ((void)sizeof(ringscope_private_ignore(__VA_ARGS__)))
#define RINGSCOPE_PRIVATE_IGNORE_WHERE(where, ...) ((void)sizeof(where), RINGSCOPE_PRIVATE_IGNORE(__VA_ARGS__))

RINGSCOPE_PRIVATE_INLINE ringscope_result ringscope_init(const ringscope_config *config)
{
    (void)config;
    return RINGSCOPE_REFUSED;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_get_status(ringscope_status *status) { memset(status, 0, sizeof *status); }
RINGSCOPE_PRIVATE_INLINE bool ringscope_set_level(const char *level)
{
    (void)level;
    return false;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_set_process_name(const char *name) { (void)name; }
RINGSCOPE_PRIVATE_INLINE void ringscope_set_thread_name(const char *name) { (void)name; }
RINGSCOPE_PRIVATE_INLINE void ringscope_prepare_thread(void) {}
RINGSCOPE_PRIVATE_INLINE ringscope_writer *ringscope_thread_writer(void) { return NULL; }
RINGSCOPE_PRIVATE_INLINE ringscope_track ringscope_track_of(const char *name)
{
    ringscope_track thread = {NULL, 0, 0, 0};
    (void)name;
    return thread;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_complete(const char *name, uint64_t start_ns, uint64_t duration_ns)
{
    (void)name, (void)start_ns, (void)duration_ns;
}
RINGSCOPE_PRIVATE_INLINE bool ringscope_forward_host_span(const ringscope_host_span *span)
{
    (void)span;
    return false;
}
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_now_ns(void) { return 0; }
RINGSCOPE_PRIVATE_INLINE void ringscope_launch_begin(ringscope_launch *launch, const ringscope_launch_info *info)
{
    (void)launch, (void)info;
}
RINGSCOPE_PRIVATE_INLINE ringscope_ticket ringscope_launch_end(ringscope_launch *launch)
{
    ringscope_ticket ticket;
    memset(&ticket, 0, sizeof ticket);
    (void)launch;
    return ticket;
}
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_ticket_correlation(const ringscope_ticket *ticket)
{
    (void)ticket;
    return 0;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_wait_begin(ringscope_wait *wait, const ringscope_ticket *ticket)
{
    (void)wait, (void)ticket;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_wait_end(ringscope_wait *wait) { (void)wait; }
RINGSCOPE_PRIVATE_INLINE ringscope_clock ringscope_clock_domain(uint32_t id, uint64_t frequency_hz, const char *name)
{
    ringscope_clock clock;
    memset(&clock, 0, sizeof clock);
    (void)id, (void)frequency_hz, (void)name;
    return clock;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_clock_anchor(
    ringscope_clock clock, uint64_t host_before_ticks, uint64_t device_ticks, uint64_t host_after_ticks)
{
    (void)clock, (void)host_before_ticks, (void)device_ticks, (void)host_after_ticks;
}
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_ticks(void) { return 0; }
RINGSCOPE_PRIVATE_INLINE void ringscope_device_span(
    const ringscope_ticket *ticket, uint64_t start_ticks, uint64_t end_ticks, ringscope_clock clock)
{
    (void)ticket, (void)start_ticks, (void)end_ticks, (void)clock;
}
RINGSCOPE_PRIVATE_INLINE uint64_t ringscope_device_tasks(
    const ringscope_ticket *ticket, const ringscope_device_task *tasks, uint64_t count, ringscope_clock clock)
{
    (void)ticket, (void)tasks, (void)count, (void)clock;
    return 0;
}
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on_both(ringscope_writer *writer, ringscope_track track)
{
    ringscope_where where = {writer, track};
    return where;
}
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on(ringscope_writer *writer)
{
    return ringscope_on_both(writer, ringscope_track_of(""));
}
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_here(void) { return ringscope_on(NULL); }
RINGSCOPE_PRIVATE_INLINE ringscope_where ringscope_on_track(ringscope_track track)
{
    return ringscope_on_both(NULL, track);
}
RINGSCOPE_PRIVATE_INLINE void ringscope_span_end(ringscope_span *span) { (void)span; }
RINGSCOPE_PRIVATE_INLINE void ringscope_span_set(ringscope_span *span, const char *key, ringscope_value value)
{
    (void)span, (void)key, (void)value;
}
RINGSCOPE_PRIVATE_INLINE void ringscope_lap_end(ringscope_lap *lap) { (void)lap; }

#define RINGSCOPE_SPAN_AS(variable, where, category, level, ...) \
    ringscope_span variable; \
    (void)variable; \
    RINGSCOPE_PRIVATE_IGNORE_WHERE(where, __VA_ARGS__)
#define RINGSCOPE_SPAN_NAMED(where, category, level, ...) RINGSCOPE_PRIVATE_IGNORE_WHERE(where, __VA_ARGS__)
#define RINGSCOPE_FUNCTION_CAT(category, level) ((void)0)
#define RINGSCOPE_BEGIN(span, where, category, level, ...) \
    ((void)(span), RINGSCOPE_PRIVATE_IGNORE_WHERE(where, __VA_ARGS__))
#define RINGSCOPE_SPAN_SET(variable, key, value) RINGSCOPE_PRIVATE_IGNORE(&(variable), value)
#define RINGSCOPE_INSTANT_ON(where, category, level, ...) RINGSCOPE_PRIVATE_IGNORE_WHERE(where, __VA_ARGS__)
#define RINGSCOPE_INSTANT_NAMED(where, category, level, ...) RINGSCOPE_PRIVATE_IGNORE_WHERE(where, __VA_ARGS__)
#define RINGSCOPE_COUNTER_ON(where, category, level, name, value) RINGSCOPE_PRIVATE_IGNORE_WHERE(where, name, value)
#define RINGSCOPE_COUNTER_NAMED(where, category, level, name, value) \
    RINGSCOPE_PRIVATE_IGNORE_WHERE(where, name, value)
#define RINGSCOPE_COMPLETE_ON(where, category, level, name, ...) \
    RINGSCOPE_PRIVATE_IGNORE_WHERE(where, name, __VA_ARGS__)
#define RINGSCOPE_COMPLETE_NAMED(where, category, level, name, ...) \
    RINGSCOPE_PRIVATE_IGNORE_WHERE(where, name, __VA_ARGS__)
#define RINGSCOPE_LAP_ON(variable, where, category, level, name) \
    ringscope_lap variable; \
    (void)variable; \
    RINGSCOPE_PRIVATE_IGNORE_WHERE(where, name)
#define RINGSCOPE_LAP_NEXT(variable, name) RINGSCOPE_PRIVATE_IGNORE(&(variable), name)
#define RINGSCOPE_PRIVATE_HERE(name) RINGSCOPE_PRIVATE_JOIN(name, __LINE__)

#endif /* RINGSCOPE_DISABLE */

/* The default settings. */
RINGSCOPE_PRIVATE_INLINE ringscope_config ringscope_config_new(void)
{
    ringscope_config config;
    memset(&config, 0, sizeof config);
    config.size_bytes = sizeof config;
    config.rank = -1;
    return config;
}

#define RINGSCOPE_SPAN(...) RINGSCOPE_SPAN_CAT(RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E, __VA_ARGS__)
#define RINGSCOPE_SPAN_CAT(category, level, ...) RINGSCOPE_SPAN_ON(ringscope_here(), category, level, __VA_ARGS__)
#define RINGSCOPE_SPAN_ON(where, category, level, ...) \
    RINGSCOPE_SPAN_AS(RINGSCOPE_PRIVATE_HERE(ringscope_private_span_), where, category, level, __VA_ARGS__)
#define RINGSCOPE_FUNCTION() RINGSCOPE_FUNCTION_CAT(RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E)
#define RINGSCOPE_INSTANT(...) RINGSCOPE_INSTANT_CAT(RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E, __VA_ARGS__)
#define RINGSCOPE_INSTANT_CAT(category, level, ...) \
    RINGSCOPE_INSTANT_ON(ringscope_here(), category, level, __VA_ARGS__)
#define RINGSCOPE_COUNTER(name, value) RINGSCOPE_COUNTER_CAT(RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E, name, value)
#define RINGSCOPE_COUNTER_CAT(category, level, name, value) \
    RINGSCOPE_COUNTER_ON(ringscope_here(), category, level, name, value)
#define RINGSCOPE_COMPLETE(name, ...) \
    RINGSCOPE_COMPLETE_CAT(RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E, name, __VA_ARGS__)
#define RINGSCOPE_COMPLETE_CAT(category, level, name, ...) \
    RINGSCOPE_COMPLETE_ON(ringscope_here(), category, level, name, __VA_ARGS__)
#define RINGSCOPE_LAP(variable, name) RINGSCOPE_LAP_CAT(variable, RINGSCOPE_DEFAULT_CATEGORY, RINGSCOPE_E2E, name)
#define RINGSCOPE_LAP_CAT(variable, category, level, name) \
    RINGSCOPE_LAP_ON(variable, ringscope_here(), category, level, name)

#endif /* RINGSCOPE_H */
