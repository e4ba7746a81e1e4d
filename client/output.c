#include "client/output.h"

#include "client/cli.h"
#include "common/memstream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int dwb_output_open(const char *path, struct dwb_output *ret_output)
{
    struct dwb_output output = {.path = path, .fd = STDOUT_FILENO};

    if (path) {
        output.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        output.created = output.fd >= 0;
        if (output.fd < 0 && errno == EEXIST)
            output.fd = open(path, O_WRONLY | O_CLOEXEC);
        if (output.fd < 0) {
            dwb_say("-o %s: %s", path, strerror(errno));
            return DWB_EXIT_USAGE;
        }
    }
    *ret_output = output;
    return DWB_EXIT_OK;
}

int dwb_output_write(struct dwb_output *output, const char *text, size_t n)
{
    struct stat status;
    int error = 0;

    if (output->path && fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode) &&
        ftruncate(output->fd, 0) < 0)
        error = errno;
    while (n > 0 && !error) {
        ssize_t written = write(output->fd, text, n);

        if (written >= 0) {
            text += written;
            n -= (size_t)written;
            output->created = false;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    if (error == EPIPE && !output->path) /* whoever reads has had enough (| head) */
        return DWB_EXIT_OK;
    if (error) {
        dwb_say("%s: %s", output->path ? output->path : "standard output", strerror(error));
        return DWB_EXIT_USAGE;
    }
    return DWB_EXIT_OK;
}

int dwb_output_write_stream(struct dwb_output *output, FILE *stream, int r, char *const *text,
                            const size_t *n)
{
    if (dwb_memstream_close(stream, text) < 0 || r < 0) {
        dwb_say("no memory for the answer");
        return DWB_EXIT_FAILED;
    }
    return dwb_output_write(output, *text, *n);
}

void dwb_output_close(struct dwb_output *output)
{
    if (!output->path || output->fd < 0)
        return;
    if (output->created)
        unlink(output->path);
    close(output->fd);
    output->fd = -1;
}
