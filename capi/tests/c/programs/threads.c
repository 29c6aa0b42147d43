/* Threads that the library never saw begin; one records while it ends. */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <ringscope.h>
#include <stdio.h>

static pthread_key_t at_end;

static void record_late(void *unused)
{
    (void)unused;
    RINGSCOPE_INSTANT("too late");
}

static void *work(void *argument)
{
    int number = (int)(intptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "worker %d", number);
    ringscope_set_thread_name(name);
    for (int i = 0; i < 1000; i++)
        RINGSCOPE_INSTANT("work", "thread", number, "i", i);
    if (number == 0)
        pthread_setspecific(at_end, &at_end);
    return NULL;
}

int main(void)
{
    pthread_t threads[8];
    RINGSCOPE_SPAN("main");
    pthread_key_create(&at_end, record_late);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    /* One more, which gets the ring of another. */
    pthread_create(&threads[0], NULL, work, (void *)(intptr_t)8);
    pthread_join(threads[0], NULL);
    return 0;
}
