/* Preloaded into a server, moves its wall clock by the seconds that a file says.
 *
 * The first eight bytes of the file named by CLOCK_SHIFT are the shift, in this machine's order.
 * They are mapped, so that whoever writes them makes the clock jump. The kernel's own clock stays
 * where it is: moments by the wall clock that are waited for are moved back before it is told. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *shift;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("CLOCK_SHIFT");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) shift = page;
}

static time_t moved(void) { return shift ? (time_t)*shift : 0; }

static struct timespec kernels(const struct timespec *moment) {
    struct timespec own = *moment;
    own.tv_sec -= moved();
    return own;
}

#define REAL(name)                   \
    static __typeof__(&name) real;   \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int status = real(clock, now);
    if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += moved();
    return status;
}

int gettimeofday(struct timeval *now, void *zone) {
    REAL(gettimeofday);
    int status = real(now, zone);
    now->tv_sec += moved();
    return status;
}

time_t time(time_t *now) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (now) *now = moment.tv_sec;
    return moment.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *end) {
    REAL(pthread_cond_timedwait);
    struct timespec own = *end;
    /* Conditions by the monotonic clock count from the machine's start, not from 1970. */
    struct timespec since_start;
    clock_gettime(CLOCK_MONOTONIC, &since_start);
    if (own.tv_sec > since_start.tv_sec + 10 * 365 * 86400L) own = kernels(end);
    return real(condition, mutex, &own);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *end) {
    REAL(sem_timedwait);
    struct timespec own = kernels(end);
    return real(semaphore, &own);
}
