/* libFuzzer: layer and suite documents, and --layer texts (after a leading '='). See target.h. */

#include "tests/fuzz/target.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dwb_diags diags;

    if (size > 0 && data[0] == '=')
        dwb_target_flag((const char *)data + 1, size - 1, &diags);
    else
        dwb_target_spec((const char *)data, size, &diags);
    return 0;
}
