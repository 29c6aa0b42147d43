/* Loads plug-ins that record, though it does not know the library itself; a thread runs before they are loaded. */
#define _DEFAULT_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef void (*record_function)(int);

static record_function records[2];
static pthread_barrier_t loaded;

static void *early_thread(void *unused)
{
    pthread_barrier_wait(&loaded);
    records[0](100);
    records[1](200);
    return unused;
}

static int is_mapped(const char *library)
{
    char line[1024];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, library) != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    pthread_t thread;
    pthread_barrier_init(&loaded, NULL, 2);
    if (is_mapped("libringscope") || pthread_create(&thread, NULL, early_thread, NULL) != 0)
        return 3;
    for (int round = 0; round < 2; round++) {
        void *plugins[2];
        for (int i = 0; i < 2; i++) {
            plugins[i] = dlopen(argv[1 + i], RTLD_NOW | RTLD_LOCAL);
            if (plugins[i] == NULL) {
                fprintf(stderr, "%s\n", dlerror());
                return 4;
            }
            void *symbol = dlsym(plugins[i], "plugin_record");
            memcpy(&records[i], &symbol, sizeof symbol);
            records[i](round);
        }
        if (round == 0) {
            pthread_barrier_wait(&loaded);
            pthread_join(thread, NULL);
        }
        dlclose(plugins[0]);
        dlclose(plugins[1]);
        if (is_mapped(argv[1]) || is_mapped(argv[2]) || !is_mapped("libringscope"))
            return 5;
    }
    return 0;
}
