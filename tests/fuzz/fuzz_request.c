/* libFuzzer: what a worker reads on standard input. See target.h. */

#include "tests/fuzz/target.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dwb_diags diags;

    dwb_target_request((const char *)data, size, &diags);
    return 0;
}
