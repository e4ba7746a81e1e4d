#pragma once

/*
 * What this machine is like for measuring, as findings with the command that would change each.
 * Pure on what the daemon's /v1/info says (the probe of dwbench-worker is in it), so that it can be
 * tested.
 */

#include <jansson.h>
#include <stddef.h>

enum dwb_finding_level { DWB_FINDING_OK, DWB_FINDING_NOTE, DWB_FINDING_PROBLEM };

#define DWB_FINDINGS_MAX 48

struct dwb_finding {
    enum dwb_finding_level level;
    const char *subject; /* a literal */
    char text[512];
    char fix[320]; /* a command or an advice; "" = none */
};

struct dwb_findings {
    struct dwb_finding items[DWB_FINDINGS_MAX];
    size_t n;
};

const char *dwb_finding_level_name(enum dwb_finding_level level);

/* Past the cap a finding is dropped. fix may be NULL. */
void dwb_findings_add(struct dwb_findings *findings, enum dwb_finding_level level,
                      const char *subject, const char *fix, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Loop, machine, counters and what disturbs a measurement, from an info object. */
void dwb_doctor_examine(const json_t *info, struct dwb_findings *findings);
