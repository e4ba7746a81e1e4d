#include "daemon/analyst.h"

/* See analyst.h. The eventfd is written once, by the thread, as its last act. */

#include "common/cleanup.h"
#include "common/json_memory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct dwb_analyst {
    const struct dwb_spec *spec;
    json_t *job;
    struct dwb_record *const *records;
    const uint32_t *layer_of;
    size_t n_records;
    dwb_analyst_done_fn *fn;
    void *userdata;
    pthread_t thread;
    bool has_thread;
    int event_fd;
    struct dwb_loop_source *source;
    int r; /* of the thread, from here on; read after it is joined */
    json_t *document;
    char *text;
};

static void *run(void *userdata)
{
    struct dwb_analyst *analyst = userdata;

    dwb_json_memory_begin();
    analyst->r = dwb_result_build(analyst->spec, analyst->job, analyst->records, analyst->layer_of,
                                  analyst->n_records, &analyst->document);
    if (analyst->r == 0) {
        analyst->text = dwb_json_memory_dump(analyst->document);
        if (!analyst->text)
            analyst->r = -ENOMEM;
    }
    eventfd_write(analyst->event_fd, 1);
    return NULL;
}

static int on_event(struct dwb_loop_source *source, uint32_t revents, void *userdata)
{
    struct dwb_analyst *analyst = userdata;

    (void)source;
    (void)revents;
    pthread_join(analyst->thread, NULL);
    analyst->has_thread = false;
    analyst->fn(analyst->r, analyst->document, analyst->text, analyst->userdata);
    dwb_analyst_free(analyst);
    return 0;
}

/* Signals are the loop's: the thread takes none. */
static int start_thread(struct dwb_analyst *analyst)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&analyst->thread, NULL, run, analyst);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    analyst->has_thread = r == 0;
    return -r;
}

int dwb_analyst_start(struct dwb_loop *loop, const struct dwb_spec *spec, json_t *job,
                      struct dwb_record *const *records, const uint32_t *layer_of, size_t n_records,
                      dwb_analyst_done_fn *fn, void *userdata, struct dwb_analyst **ret_analyst)
{
    struct dwb_analyst *analyst = calloc(1, sizeof(*analyst));
    int r;

    if (!analyst || !job) {
        json_decref(job);
        free(analyst);
        return -ENOMEM;
    }
    *analyst = (struct dwb_analyst){.spec = spec,
                                    .job = job,
                                    .records = records,
                                    .layer_of = layer_of,
                                    .n_records = n_records,
                                    .fn = fn,
                                    .userdata = userdata};
    analyst->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = analyst->event_fd < 0 ? -errno : 0;
    if (r == 0)
        r = dwb_loop_add_poll(loop, analyst->event_fd, POLLIN, on_event, analyst, &analyst->source);
    if (r == 0)
        r = start_thread(analyst);
    if (r < 0) {
        dwb_analyst_free(analyst);
        return r;
    }
    *ret_analyst = analyst;
    return 0;
}

void dwb_analyst_free(struct dwb_analyst *analyst)
{
    if (!analyst)
        return;
    if (analyst->has_thread)
        pthread_join(analyst->thread, NULL);
    dwb_loop_remove(analyst->source);
    dwb_closep(&analyst->event_fd);
    json_decref(analyst->job);
    json_decref(analyst->document);
    free(analyst->text);
    free(analyst);
}
