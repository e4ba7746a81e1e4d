#pragma once

/*
 * What the API of the open world (tests/fuzz/world.h) is told by the parts below it. The program
 * links api_fixture.c with --wrap for each function there; what is not said is as it is.
 */

#include "daemon/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define API_TEN(text) text text text text text text text text text text

#define API_200_BYTES  API_TEN(API_TEN("12"))
#define API_9000_BYTES API_TEN(API_TEN(API_TEN("123456789")))
/* More names than a sentence has room for. */
#define API_MANY_ISAS "{'isas':[" API_TEN(API_TEN("'an_isa',")) "'last']}"

struct api_says { /* zero: nothing */
    /* The errno or DWB_JOBS_E_* that a call returns in place of what it would do. */
    int get_job, get_result, list_jobs, store_failed, metrics, listen, cancel, submit, fallback;
    int list_replicates[2]; /* of the first call, of the second */
    int submitted;          /* with which a submission ends */
    bool key_comes_late;    /* the first search for a key finds none */
    bool replicates;        /* a job has two: of a layer it has, and of one it has not */
    bool running;           /* every job is measured just now */
    bool stalls;            /* no answer ends: it is cut soon */
    const char *spec;       /* of every job that is read, which is another user's */
    bool draining;
    uid_t uid, admin; /* 0 = the real one; none */
    bool by_root;
    enum dwb_http_refusal refusal;
    const char *machine, *probe_error; /* JSON with ' for "; NULL = no probe */
    const char *plugin_dir;            /* @ = the one of api_make_plugins */
    const char *worker_a;
    uint64_t memory_bytes, job_time_ns; /* limits */
};

/* From now on; NULL = nothing any more. */
void api_let(const struct api_says *says);

/* Copies text with " for '. */
void api_unquote(const char *text, char *buffer, size_t size);

/* A directory with good.so, which is as much of an ELF file as is looked at, and text.so; none in
 * it is empty, many has more than a sentence has room for. */
void api_make_plugins(void);
void api_remove_plugins(void);
