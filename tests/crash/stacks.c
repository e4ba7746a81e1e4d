#include "tests/crash/stacks.h"

/*
 * See stacks.h. An address counts as its distance from the start of its module; modules that came
 * after dwb_stacks_prepare (none in dwbenchd but the unwinder) all count as one place.
 */

#include <execinfo.h>
#include <link.h>
#include <stddef.h>

#define DEPTH_MAX   64
#define MODULES_MAX 64
#define OWN_FRAMES  1 /* dwb_stacks_count itself */

struct module {
    uintptr_t start, end;
};

static struct module modules[MODULES_MAX];
static size_t n_modules;

static int note_module(struct dl_phdr_info *info, size_t size, void *userdata)
{
    struct module module = {UINTPTR_MAX, 0};

    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD)
            continue;
        module.start = start < module.start ? start : module.start;
        module.end = start + segment->p_memsz > module.end ? start + segment->p_memsz : module.end;
    }
    if (n_modules < MODULES_MAX)
        modules[n_modules++] = module;
    return 0;
}

void dwb_stacks_prepare(void)
{
    void *frames[1];

    backtrace(frames, 1); /* loads the unwinder */
    dl_iterate_phdr(note_module, NULL);
}

static uint64_t place_of(uintptr_t address)
{
    for (size_t i = 0; i < n_modules; i++)
        if (address >= modules[i].start && address < modules[i].end)
            return (uint64_t)(i + 1) << 48 | (address - modules[i].start);
    return 0;
}

static uint64_t hash_stack(void)
{
    void *frames[DEPTH_MAX];
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, by words */
    int n = backtrace(frames, DEPTH_MAX);

    for (int i = OWN_FRAMES; i < n; i++)
        hash = (hash ^ place_of((uintptr_t)frames[i])) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

uint64_t dwb_stacks_count(struct dwb_stacks *stacks, uint64_t wanted)
{
    uint64_t hash = hash_stack();

    for (size_t i = 0; i < DWB_STACKS_MAX; i++) {
        uint64_t found = 0;
        size_t row = (hash + i) % DWB_STACKS_MAX;
        if (atomic_compare_exchange_strong(&stacks->rows[row].hash, &found, hash) ||
            found == hash) {
            uint64_t n = ++stacks->rows[row].n;
            return hash == wanted ? n : 0;
        }
    }
    return 0;
}
