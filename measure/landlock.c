/*
 * Landlock by its three system calls: the C library has no wrappers, and no library is needed. All
 * rights that the kernel knows are handled, so what no rule grants is denied. Rights and fields
 * that are younger than the headers of Debian 12 (Linux 6.1) are spelled out here.
 */

#include "measure/landlock.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_REFER     (UINT64_C(1) << 13) /* version 2 */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14) /* 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define ACCESS_VERSION_1 (ACCESS_REFER - 1)
#define NET_TCP          UINT64_C(3) /* 4: bind, connect */
#define SCOPED           UINT64_C(3) /* 6: abstract Unix sockets, signals */

/* Of a rule on something that is no directory: the kernel refuses the others there. */
#define ACCESS_OF_FILES                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

struct ruleset {
    uint64_t files, net, scoped;
};

static size_t ruleset_size(int abi)
{
    return abi >= 6   ? sizeof(struct ruleset)
           : abi >= 4 ? offsetof(struct ruleset, scoped)
                      : offsetof(struct ruleset, net);
}

static struct ruleset everything(int abi)
{
    return (struct ruleset){
        .files = ACCESS_VERSION_1 | (abi >= 2 ? ACCESS_REFER : 0) |
                 (abi >= 3 ? ACCESS_TRUNCATE : 0) | (abi >= 5 ? ACCESS_IOCTL_DEV : 0),
        .net = NET_TCP,
        .scoped = SCOPED,
    };
}

static uint64_t rights_of(uint32_t access)
{
    return (access & DWB_LANDLOCK_READ ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
                                       : 0) |
           (access & DWB_LANDLOCK_EXECUTE ? LANDLOCK_ACCESS_FS_EXECUTE : 0) |
           (access & DWB_LANDLOCK_WRITE ? LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE : 0) |
           (access & DWB_LANDLOCK_MAKE
                ? LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE
                : 0);
}

static int add(int ruleset_fd, const struct dwb_landlock_path *path, uint64_t handled)
{
    dwb_cleanup_close int fd = open(path->path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_of(path->access) & handled,
        .parent_fd = fd,
    };
    struct stat status;

    if (fd < 0) /* not there: nothing to grant */
        return 0;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? -errno
               : 0;
}

int dwb_landlock_enter(const struct dwb_landlock_path *paths, size_t n, int *ret_abi)
{
    int abi =
        (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    dwb_cleanup_close int fd = -1;
    struct ruleset ruleset;

    if (abi < 1)
        return abi < 0 ? -errno : -ENOSYS;
    ruleset = everything(abi);
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, ruleset_size(abi), 0);
    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < n; i++) {
        int r = add(fd, &paths[i], ruleset.files);

        if (r < 0)
            return r;
    }
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return -errno;
    *ret_abi = abi;
    return 0;
}
