#include "daemon/jobid.h"

/*
 * See jobid.h. Each half is 10 characters of 5 bits, the most significant first: 50 bits, of which
 * the time uses 48, so the first character is 0..7 and ids stay sorted until the year 10889.
 */

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void format_half(uint64_t bits, char *out)
{
    for (int i = 9; i >= 0; i--) {
        out[i] = alphabet[bits & 31];
        bits >>= 5;
    }
}

void dwb_jobid_format(uint64_t milliseconds, uint64_t random, char ret_id[DWB_JOBID_LENGTH + 1])
{
    format_half(milliseconds & ((UINT64_C(1) << 48) - 1), ret_id);
    format_half(random, ret_id + 10);
    ret_id[DWB_JOBID_LENGTH] = '\0';
}

int dwb_jobid_new(char ret_id[DWB_JOBID_LENGTH + 1])
{
    struct timespec now;
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return errno ? -errno : -EIO;
    clock_gettime(CLOCK_REALTIME, &now);
    dwb_jobid_format((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, random, ret_id);
    return 0;
}

bool dwb_jobid_valid(const char *text)
{
    return strlen(text) == DWB_JOBID_LENGTH && strspn(text, alphabet) == DWB_JOBID_LENGTH;
}
