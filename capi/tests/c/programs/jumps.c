/* A timer's handler jumps out of whatever it interrupts, recording included: 500 times. */
#define _DEFAULT_SOURCE
#include <ringscope.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#define JUMPS 500

static sigjmp_buf before;
static volatile sig_atomic_t may_jump;
static volatile int jump;

static void on_alarm(int signal)
{
    (void)signal;
    if (may_jump) {
        may_jump = 0;
        siglongjmp(before, 1);
    }
}

static void land(int number)
{
    RINGSCOPE_INSTANT("landed", "jump", number);
}

static void leave(int i)
{
    RINGSCOPE_SPAN("left", "i", i, "text", "of some length, so that it takes a continuation");
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval period = {{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &period, NULL);
    sigsetjmp(before, 1);
    while (jump < JUMPS) {
        land(jump);
        jump = jump + 1;
        may_jump = 1;
        for (int i = 0;; i++)
            leave(i);
    }
    return 0;
}
