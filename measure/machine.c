/*
 * Questions to /proc, /sys and CPUID. See the header. On ARM the CPU is named from MIDR_EL1, which
 * the kernel (and qemu-user) let a program read when HWCAP_CPUID is set, because /proc/cpuinfo may
 * be that of another machine under an emulator.
 */

#include "measure/machine.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define HWCAP_CPUID_BIT (1ul << 11)
#endif

int dwb_machine_read(const char *path, char *buffer, size_t size)
{
    dwb_cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[4096];
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0')
        return -ENODATA;
    snprintf(buffer, size, "%s", text);
    return 0;
}

int dwb_machine_read_int(const char *path, int64_t *ret_value)
{
    char text[64], *end;
    long long value;
    int r = dwb_machine_read(path, text, sizeof text);

    if (r < 0)
        return r;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text)
        return -ENODATA;
    *ret_value = value;
    return 0;
}

bool dwb_machine_list_has(const char *list, uint32_t cpu)
{
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (end == list)
            return false;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (cpu >= first && cpu <= last)
            return true;
        list = *end == ',' ? end + 1 : "";
    }
    return false;
}

static uint32_t list_length(const char *list)
{
    uint32_t n = 0;

    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (end == list)
            break;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        n += last >= first ? (uint32_t)(last - first + 1) : 0;
        list = *end == ',' ? end + 1 : "";
    }
    return n;
}

static int read_cache_file(const char *root, uint32_t cpu, int index, const char *name,
                           char *buffer, size_t size)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%u/cache/index%d/%s", root, cpu,
             index, name);
    return dwb_machine_read(path, buffer, size);
}

void dwb_machine_caches(const char *root, uint32_t cpu, struct dwb_caches *ret_caches)
{
    *ret_caches = (struct dwb_caches){0};
    for (int i = 0; i < 8; i++) {
        char level[16], type[32], text[64], *end;
        struct dwb_cache_level *at;
        unsigned long n;

        if (read_cache_file(root, cpu, i, "level", level, sizeof level) < 0 ||
            read_cache_file(root, cpu, i, "type", type, sizeof type) < 0 ||
            read_cache_file(root, cpu, i, "size", text, sizeof text) < 0)
            continue;
        n = strtoul(level, NULL, 10);
        if (n < 1 || n > 4 || (strcmp(type, "Instruction") == 0 && n > 1))
            continue;
        at = strcmp(type, "Instruction") == 0 ? &ret_caches->instruction
                                              : &ret_caches->levels[n - 1];
        at->bytes = strtoull(text, &end, 10);
        at->bytes <<= *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        if (read_cache_file(root, cpu, i, "coherency_line_size", text, sizeof text) == 0)
            at->line_bytes = (uint32_t)strtoul(text, NULL, 10);
        if (read_cache_file(root, cpu, i, "ways_of_associativity", text, sizeof text) == 0)
            at->ways = (uint32_t)strtoul(text, NULL, 10);
        if (read_cache_file(root, cpu, i, "shared_cpu_list", text, sizeof text) == 0)
            at->n_sharing = list_length(text);
    }
}

int dwb_machine_cpuinfo(const char *root, const char *key, char *buffer, size_t size)
{
    char path[4096];
    dwb_cleanup_file FILE *file = NULL;
    dwb_cleanup_free char *line = NULL;
    size_t room = 0, length = strlen(key);

    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    file = fopen(path, "re");
    if (!file)
        return -errno;
    while (getline(&line, &room, file) > 0) {
        char *value = line + length;

        if (strncmp(line, key, length) != 0 || !strchr("\t:", *value))
            continue;
        value += strspn(value, "\t :");
        value[strcspn(value, "\n")] = '\0';
        if (*value == '\0')
            return -ENODATA;
        snprintf(buffer, size, "%s", value);
        return 0;
    }
    return -ENODATA;
}

#if defined(__x86_64__)

int dwb_machine_hypervisor(char *buffer, size_t size)
{
    static const struct {
        const char *vendor, *name;
    } known[] = {
        {"KVMKVMKVM", "KVM"},        {"Linux KVM Hv", "KVM"}, {"VMwareVMware", "VMware"},
        {"Microsoft Hv", "Hyper-V"}, {"XenVMMXenVMM", "Xen"}, {"TCGTCGTCGTCG", "QEMU TCG"},
        {"bhyve bhyve ", "bhyve"},
    };
    unsigned eax, ebx, ecx, edx;
    char vendor[13] = "";

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return -ENODATA;
    if (!(ecx & (1u << 31))) {
        snprintf(buffer, size, "none");
        return 0;
    }
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    memcpy(vendor, &ebx, 4);
    memcpy(vendor + 4, &ecx, 4);
    memcpy(vendor + 8, &edx, 4);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(vendor, known[i].vendor) == 0) {
            snprintf(buffer, size, "%s", known[i].name);
            return 0;
        }
    for (char *c = vendor; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    snprintf(buffer, size, "%s", vendor[0] ? vendor : "unknown");
    return 0;
}

#else

int dwb_machine_hypervisor(char *buffer, size_t size)
{
    char text[128];

    if (dwb_machine_read("/sys/hypervisor/type", text, sizeof text) == 0 ||
        dwb_machine_read("/proc/device-tree/hypervisor/compatible", text, sizeof text) == 0) {
        snprintf(buffer, size, "%s", text);
        return 0;
    }
    if (dwb_machine_read("/sys/class/dmi/id/sys_vendor", text, sizeof text) == 0 &&
        strstr(text, "QEMU")) {
        snprintf(buffer, size, "QEMU");
        return 0;
    }
    return -ENODATA; /* no sign of one is no proof of none */
}

#endif

#if defined(__aarch64__)

int dwb_machine_midr(uint64_t *ret_midr)
{
    uint64_t midr;

    if (!(getauxval(AT_HWCAP) & HWCAP_CPUID_BIT))
        return -ENODATA;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    *ret_midr = midr;
    return 0;
}

int dwb_machine_cpu_model(const char *root, char *buffer, size_t size)
{
    static const struct {
        unsigned implementer, part;
        const char *name;
    } known[] = {
        {0x41, 0xd03, "Cortex-A53"},  {0x41, 0xd07, "Cortex-A57"},  {0x41, 0xd08, "Cortex-A72"},
        {0x41, 0xd0b, "Cortex-A76"},  {0x41, 0xd0c, "Neoverse-N1"}, {0x41, 0xd40, "Neoverse-V1"},
        {0x41, 0xd49, "Neoverse-N2"}, {0x41, 0xd4f, "Neoverse-V2"}, {0x46, 0x001, "A64FX"},
    };
    uint64_t midr;
    unsigned implementer, part;
    int r = dwb_machine_midr(&midr);

    if (r < 0)
        return r;
    implementer = (unsigned)(midr >> 24) & 0xff;
    part = (unsigned)(midr >> 4) & 0xfff;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].implementer == implementer && known[i].part == part) {
            snprintf(buffer, size, "%s", known[i].name);
            return 0;
        }
    snprintf(buffer, size, "ARM implementer 0x%02x part 0x%03x", implementer, part);
    return 0;
}

#else

int dwb_machine_midr(uint64_t *ret_midr)
{
    return -ENODATA;
}

int dwb_machine_cpu_model(const char *root, char *buffer, size_t size)
{
    return dwb_machine_cpuinfo(root, "model name", buffer, size);
}

#endif

int dwb_machine_steal(int stat_fd, uint32_t cpu, uint64_t *ret_ticks)
{
    char text[16384], key[24], *line;
    uint64_t steal;
    ssize_t n;

    n = pread(stat_fd, text, sizeof text - 1, 0);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    snprintf(key, sizeof key, "\ncpu%u ", cpu);
    line = strstr(text, key);
    if (!line || sscanf(line, " %*s %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &steal) != 1)
        return -ENODATA;
    *ret_ticks = steal;
    return 0;
}
