/*
 * One list of kernels and the choice among them. The choice is a pure function of CPU flags, the
 * ISA asked for and the shape, so that a result can say which kernel ran and a test can ask for
 * machines it does not run on.
 */

#include "kernels/kernels.h"

#include "kernels/internal.h"

#include <string.h>

#define KERNEL_ADDRESS(id_) &dwb_##id_,

static const struct dwb_kernel *const kernels[] = {DWB_KERNELS_ANY(KERNEL_ADDRESS)
                                                       DWB_KERNELS_ARCH(KERNEL_ADDRESS)};

enum { N_KERNELS = sizeof(kernels) / sizeof(kernels[0]) };

const struct dwb_kernel *const *dwb_kernels(size_t *ret_n)
{
    *ret_n = N_KERNELS;
    return kernels;
}

const struct dwb_kernel *dwb_kernel_by_name(const char *name)
{
    for (size_t i = 0; i < N_KERNELS; i++)
        if (!strcmp(kernels[i]->name, name))
            return kernels[i];
    return NULL;
}

const struct dwb_kernel *dwb_kernel_select(uint32_t flags, enum dwb_isa isa, enum dwb_kernel_op op,
                                           const struct dwb_conv *conv)
{
    const struct dwb_kernel *best = NULL;

    for (size_t i = 0; i < N_KERNELS; i++) {
        const struct dwb_kernel *kernel = kernels[i];
        if (kernel->op != op || kernel->priority == DWB_PRIORITY_REFERENCE)
            continue;
        if ((kernel->cpu_flags & flags) != kernel->cpu_flags)
            continue;
        if (isa != DWB_ISA_AUTO && kernel->isa != isa)
            continue;
        if (kernel->supports && !kernel->supports(conv))
            continue;
        if (!best || kernel->priority > best->priority)
            best = kernel;
    }
    return best;
}
