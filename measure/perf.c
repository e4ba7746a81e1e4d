/*
 * Groups of perf events. See the header. A window is the difference of two readings, not a reset:
 * PERF_EVENT_IOC_RESET leaves the two times alone, so totals are what the kernel really keeps.
 */

#include "measure/perf.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kernel_open(void *userdata, const struct perf_event_attr *attr, int group_fd)
{
    long fd = syscall(SYS_perf_event_open, attr, 0, -1, group_fd, PERF_FLAG_FD_CLOEXEC);

    return fd < 0 ? -errno : (int)fd;
}

static ssize_t kernel_read(void *userdata, int fd, void *buffer, size_t size)
{
    ssize_t n = read(fd, buffer, size);

    return n < 0 ? -errno : n;
}

static int kernel_ioctl(void *userdata, int fd, unsigned long request, unsigned long argument)
{
    return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

static void kernel_close(void *userdata, int fd)
{
    close(fd);
}

const struct dwb_perf dwb_perf_kernel = {
    .open = kernel_open,
    .read = kernel_read,
    .ioctl = kernel_ioctl,
    .close = kernel_close,
    .root = "",
};

void dwb_perf_group_init(struct dwb_perf_group *group, const struct dwb_perf *perf)
{
    *group = (struct dwb_perf_group){.perf = perf};
}

void dwb_perf_group_drop(struct dwb_perf_group *group, size_t n)
{
    while (n-- > 0) {
        group->n--;
        group->perf->close(group->perf->userdata, group->fds[group->n]);
        group->last[group->n] = 0;
    }
}

void dwb_perf_group_deinit(struct dwb_perf_group *group)
{
    dwb_perf_group_drop(group, group->n);
}

int dwb_perf_group_add(struct dwb_perf_group *group, const struct perf_event_attr *attrs, size_t n)
{
    if (group->n + n > DWB_PERF_GROUP_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        struct perf_event_attr attr = attrs[i];
        bool leads = group->n == 0;
        int fd;

        attr.size = sizeof attr;
        attr.read_format =
            PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
        attr.disabled = leads;
        attr.pinned = leads;
        attr.exclude_kernel = 1;
        attr.exclude_hv = 1;
        fd = group->perf->open(group->perf->userdata, &attr, leads ? -1 : group->fds[0]);
        if (fd < 0) {
            dwb_perf_group_drop(group, i);
            return fd;
        }
        group->last[group->n] = 0;
        group->fds[group->n++] = fd;
    }
    return 0;
}

int dwb_perf_group_start(struct dwb_perf_group *group)
{
    return group->perf->ioctl(group->perf->userdata, group->fds[0], PERF_EVENT_IOC_ENABLE,
                              PERF_IOC_FLAG_GROUP);
}

int dwb_perf_group_stop(struct dwb_perf_group *group, uint64_t *ret_values)
{
    const struct dwb_perf *perf = group->perf;
    uint64_t totals[3 + DWB_PERF_GROUP_MAX], enabled_ns, running_ns;
    ssize_t n;
    int r;

    r = perf->ioctl(perf->userdata, group->fds[0], PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP);
    if (r < 0)
        return r;
    n = perf->read(perf->userdata, group->fds[0], totals, (3 + group->n) * sizeof totals[0]);
    if (n < 0)
        return (int)n;
    if (n == 0) /* a pinned group that the PMU had no room for */
        return DWB_PERF_E_NOT_COUNTED;
    if ((size_t)n != (3 + group->n) * sizeof totals[0] || totals[0] != group->n)
        return -EIO;
    enabled_ns = totals[1] - group->last_enabled_ns;
    running_ns = totals[2] - group->last_running_ns;
    group->last_enabled_ns = totals[1];
    group->last_running_ns = totals[2];
    for (size_t i = 0; i < group->n; i++) {
        uint64_t value = totals[3 + i] - group->last[i];

        group->last[i] = totals[3 + i];
        if (running_ns == enabled_ns && running_ns > 0)
            ret_values[i] = value;
    }
    if (running_ns == 0)
        return DWB_PERF_E_NOT_COUNTED;
    return running_ns == enabled_ns ? 0 : DWB_PERF_E_MULTIPLEXED;
}
