#pragma once

/* The verbs, one file each (verb_NAME.c); main.c has the table. */

#include "client/cli.h"

extern const struct dwb_verb dwb_verb_run;
extern const struct dwb_verb dwb_verb_gate;
extern const struct dwb_verb dwb_verb_submit;
extern const struct dwb_verb dwb_verb_status;
extern const struct dwb_verb dwb_verb_watch;
extern const struct dwb_verb dwb_verb_result;
extern const struct dwb_verb dwb_verb_list;
extern const struct dwb_verb dwb_verb_cancel;
extern const struct dwb_verb dwb_verb_compare;
extern const struct dwb_verb dwb_verb_baseline;
extern const struct dwb_verb dwb_verb_suites;
extern const struct dwb_verb dwb_verb_doctor;
extern const struct dwb_verb dwb_verb_metrics;
extern const struct dwb_verb dwb_verb_version;
