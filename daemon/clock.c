#include "daemon/clock.h"

/* See clock.h. */

#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t dwb_clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t dwb_clock_real_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

json_t *dwb_clock_to_json(uint64_t real_ns)
{
    time_t seconds = (time_t)(real_ns / 1000000000);
    char text[64];
    struct tm utc;

    if (real_ns == 0)
        return json_null();
    gmtime_r(&seconds, &utc);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(real_ns / 1000000 % 1000));
    return json_string(text);
}
