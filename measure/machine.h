#pragma once

/*
 * Small questions to /proc, /sys and CPUID about the machine under the measurement. Each answer may
 * be missing (a container, an emulator, another architecture): then the call says so, and nobody
 * guesses. `root` is what stands before /proc and /sys: "" but in a test.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line of a small text file, without the newline. 0, -errno, -ENODATA when empty. */
int dwb_machine_read(const char *path, char *buffer, size_t size);
int dwb_machine_read_int(const char *path, int64_t *ret_value);

/* Does a list such as "0-3,8" name cpu? */
bool dwb_machine_list_has(const char *list, uint32_t cpu);

struct dwb_cache_level {
    uint64_t bytes;
    uint32_t line_bytes;
    uint32_t ways;
    uint32_t n_sharing; /* CPUs that share it */
};

struct dwb_caches {
    struct dwb_cache_level instruction; /* of the first level */
    struct dwb_cache_level levels[4];   /* [0] = L1 data, [1] = L2, ...; bytes 0 = none known */
};

/* Caches of one CPU, from sysfs; what is unknown stays 0. */
void dwb_machine_caches(const char *root, uint32_t cpu, struct dwb_caches *ret_caches);

/* "KVM", "VMware", ... into buffer; "none" on bare metal. 0, or -ENODATA when it cannot be told. */
int dwb_machine_hypervisor(char *buffer, size_t size);

/* Marketing name or part of the CPU. 0, -ENODATA. */
int dwb_machine_cpu_model(const char *root, char *buffer, size_t size);

/* Value of the first "key : value" line of /proc/cpuinfo. 0, -ENODATA, -errno. */
int dwb_machine_cpuinfo(const char *root, const char *key, char *buffer, size_t size);

/* Ticks (1/USER_HZ s) that the hypervisor took from one CPU. 0, -errno, -ENODATA. stat_fd: an open
 * /proc/stat; costs about 5 us. */
int dwb_machine_steal(int stat_fd, uint32_t cpu, uint64_t *ret_ticks);

/* MIDR_EL1 of the CPU (ARM). 0, -ENODATA elsewhere. */
int dwb_machine_midr(uint64_t *ret_midr);
