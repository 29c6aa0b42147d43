/* What NVTX's header does in a program that it annotates, written by hand: loads the library that the environment names, lets it
   fill the tables of functions, and calls some. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*function)(void);
enum { CORE = 1, CORE2 = 5, SIZE = 16, MARK_A = 2, START_A = 5, END = 7, PUSH_A = 9, POP = 11 };

static function core[SIZE], core2[SIZE];
static function *core_table[SIZE], *core2_table[SIZE];
/* An old header: the last functions of its second table are missing. */
static const unsigned core2_size = 8;

static int module_functions(int module, function ***table, unsigned *size)
{
    if (module != CORE && module != CORE2)
        return 0;
    *table = module == CORE ? core_table : core2_table;
    *size = module == CORE ? SIZE : core2_size;
    return 1;
}

static struct { size_t struct_size; int (*get)(int, function ***, unsigned *); } callbacks = { sizeof callbacks, module_functions };

static const void *export_table(uint32_t number)
{
    return number == 1 ? &callbacks : NULL;
}

static const void *no_table(uint32_t number)
{
    (void)number;
    return NULL;
}

/* Pushes more than are kept, of two depths, and pops them all but the first. */
static int deep(void)
{
    int (*push)(const char *) = (int (*)(const char *))core[PUSH_A];
    int (*pop)(void) = (int (*)(void))core[POP];
    enum { DEPTH = 5000 };
    for (int i = 0; i < DEPTH; i++)
        if (push("deep") != i)
            return 6;
    for (int i = DEPTH - 1; i > 4000; i--)
        if (pop() != i)
            return 7;
    if (push("again") != 4001 || pop() != 4001)
        return 8;
    for (int i = 4000; i > 0; i--)
        if (pop() != i)
            return 9;
    return pop() == 0 && pop() < 0 ? 5 : 10;
}

int main(int count, char **arguments)
{
    (void)arguments;
    const char *path = getenv("NVTX_INJECTION64_PATH");
    void *library = path ? dlopen(path, RTLD_LAZY) : NULL;
    if (!library)
        return fprintf(stderr, "no library: %s\n", path ? dlerror() : "not set"), 3;
    for (int i = 1; i < SIZE; i++)
        core_table[i] = &core[i], core2_table[i] = &core2[i];
    int (*initialize)(const void *(*)(uint32_t));
    *(void **)&initialize = dlsym(library, "InitializeInjectionNvtx2");
    if (!initialize || initialize(no_table) != 0 || initialize(export_table) != 1 || core2[core2_size])
        return 4;
    if (count > 1)
        return deep();
    ((int (*)(const char *))core[PUSH_A])("outer");
    for (int i = 0; i < 10; i++) {
        ((int (*)(const char *))core[PUSH_A])("inner");
        ((int (*)(void))core[POP])();
    }
    ((void (*)(const char *))core[MARK_A])(NULL);
    uint64_t id = ((uint64_t (*)(const char *))core[START_A])("request");
    ((void (*)(uint64_t))core[END])(id + 1);
    ((void (*)(uint64_t))core[END])(id);
    ((int (*)(void))core[POP])();
    ((int (*)(const char *))core[PUSH_A])("never popped");
    return 5;
}
