/*
 * libFuzzer: bytes to the daemon's socket, through the real server, routes and store (world.h).
 * Each input is one connection. A new world comes after LIFE inputs, so that one input's jobs do
 * not reach far.
 */

#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LIFE     2000
#define SEND_MAX (100u << 10)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return atexit(dwb_world_close);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned n_inputs;
    static char text[SEND_MAX];
    const char *answer;

    if (n_inputs++ % LIFE == 0) {
        dwb_world_close();
        dwb_world_open();
    }
    size_t n = dwb_world_fill_in((const char *)data, size, text, sizeof(text));
    n = dwb_world_exchange(text, n, NULL, &answer);
    dwb_target_must(n == 0 || (n >= 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0 && answer[9] >= '1' &&
                               answer[9] <= '5'),
                    "an answer is HTTP");
    return 0;
}
