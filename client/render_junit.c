/*
 * JUnit XML, as Jenkins, GitLab and the actions for GitHub read it. What was compared is a test
 * case, so that a CI system shows it by name and keeps its history. Only what is known to be bad is
 * a failure: wrong outputs, a comparison that is slower. What could not be decided is skipped, with
 * the reason as its message; counting it as a failure would blame a change for a noisy machine.
 *
 * The time of a test case is that of one call: the floor of the separable form, or of side b. The
 * time of the suite is the job's own, from its start to its end, where the document has both.
 */

#include "client/render.h"

#include "client/compared.h"
#include "client/figures.h"
#include "client/markup.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum outcome { PASSED, FAILED, SKIPPED, N_OUTCOMES };

static void attribute(FILE *out, const char *name, const char *text)
{
    fprintf(out, " %s=\"", name);
    dwb_markup_xml(out, text);
    fputc('"', out);
}

/* What is not known is left out: the format has no null. */
static void property(FILE *out, const char *name, const char *text)
{
    if (!text)
        return;
    fputs("        <property", out);
    attribute(out, "name", name);
    attribute(out, "value", text);
    fputs("/>\n", out);
}

static void property_number(FILE *out, const char *name, double value)
{
    char text[32];

    if (!isfinite(value))
        return;
    snprintf(text, sizeof(text), "%.9g", value);
    property(out, name, text);
}

static void property_value(FILE *out, const char *name, const json_t *value)
{
    char text[512];

    if (value && !json_is_null(value))
        property(out, name, dwb_figure_value(value, text, sizeof(text)));
}

static void seconds(FILE *out, double value, int decimals)
{
    if (isfinite(value))
        fprintf(out, " time=\"%.*f\"", decimals, value);
}

static double seconds_of(const char *timestamp)
{
    struct tm tm = {0};
    const char *rest = timestamp ? strptime(timestamp, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    return rest ? (double)timegm(&tm) + (*rest == '.' ? strtod(rest, NULL) : 0) : NAN;
}

/* Both elements that hold others have the same counts: a file is one suite. */
static void open_suites(FILE *out, const char *name, const size_t counts[N_OUTCOMES],
                        const json_t *job)
{
    const char *started = json_string_value(json_object_get(job, "started_at"));
    const char *finished = json_string_value(json_object_get(job, "finished_at"));
    double duration = seconds_of(finished) - seconds_of(started);

    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    for (int is_inner = 0; is_inner < 2; is_inner++) {
        fputs(is_inner ? "  <testsuite" : "<testsuites", out);
        attribute(out, "name", name);
        fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\"",
                counts[PASSED] + counts[FAILED] + counts[SKIPPED], counts[FAILED], counts[SKIPPED]);
        seconds(out, duration >= 0 ? duration : NAN, 3); /* as exact as its ends */
        if (is_inner && isfinite(seconds_of(started)))
            fprintf(out, " timestamp=\"%.19s\"", started);
        fputs(">\n", out);
    }
}

static void open_case(FILE *out, const char *name, const char *group, const char *backend,
                      double time_ns)
{
    fputs("    <testcase name=\"", out);
    dwb_markup_xml(out, name);
    fputs("\" classname=\"", out);
    dwb_markup_xml(out, group);
    fputc('.', out);
    dwb_markup_xml(out, backend ? backend : "none");
    fputc('"', out);
    seconds(out, time_ns / 1e9, 9);
    fputs(">\n", out);
}

static void close_case(FILE *out, enum outcome outcome, const char *type, const char *message,
                       const char *text)
{
    if (outcome != PASSED) { /* twice: some readers show the attribute, some the text */
        fputs(outcome == FAILED ? "      <failure" : "      <skipped", out);
        if (outcome == FAILED)
            attribute(out, "type", type);
        attribute(out, "message", message);
        fputc('>', out);
        dwb_markup_xml(out, message);
        fputs(outcome == FAILED ? "</failure>\n" : "</skipped>\n", out);
    }
    fputs("      <system-out>", out);
    dwb_markup_xml(out, text);
    fputs("</system-out>\n    </testcase>\n", out);
}

static enum outcome outcome_of(const struct dwb_report_row *row)
{
    if (row->outputs_wrong)
        return FAILED;
    return isfinite(row->ratio) && row->verdict && strcmp(row->verdict, "stable") == 0 ? PASSED
                                                                                       : SKIPPED;
}

/* Names are those of the columns of CSV. */
static void layer_properties(FILE *out, const struct dwb_report_row *row)
{
    static const char *const names[DWB_REPORT_N_OPERATIONS] = {"standard", "depthwise", "pointwise",
                                                               "separable"};
    char name[64];

    fputs("      <properties>\n", out);
    property(out, "isa", row->isa);
    property_number(out, "ratio", row->ratio);
    property_number(out, "ratio_ci_low", row->ratio_low);
    property_number(out, "ratio_ci_high", row->ratio_high);
    property_number(out, "ratio_theory", row->theory);
    property_number(out, "saving_delivered", row->saving_delivered);
    property_number(out, "ratio_fused", row->ratio_fused);
    for (size_t k = 0; k < DWB_REPORT_N_OPERATIONS; k++) {
        const struct dwb_report_figures *figures = &row->operations[k];

        snprintf(name, sizeof(name), "%s_ns", names[k]);
        property_number(out, name, figures->floor_ns);
        snprintf(name, sizeof(name), "%s_gflops", names[k]);
        property_number(out, name, figures->gflops);
        snprintf(name, sizeof(name), "%s_percent_of_peak", names[k]);
        property_number(out, name, figures->percent_of_peak);
        snprintf(name, sizeof(name), "%s_kernel", names[k]);
        property(out, name, figures->kernel);
    }
    property_number(out, "replicates", row->n_replicates);
    property_number(out, "dropped_share", row->dropped_share);
    property(out, "verdict", row->verdict);
    fputs("      </properties>\n", out);
}

static void layer_case(FILE *out, const char *suite, const struct dwb_report_row *row)
{
    char reasons[2048], why[1024], message[3200], text[4096], shape[96], ratio[48], theory[48],
        share[32];
    bool has_ratio = isfinite(row->ratio);

    dwb_figure_reasons(row->verdict_reasons, reasons, sizeof(reasons));
    dwb_figure_why(row, why, sizeof(why));
    if (row->outputs_wrong)
        snprintf(message, sizeof(message),
                 "outputs wrong: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                 " positions differ from the reference",
                 json_integer_value(
                     json_object_get(json_object_get(row->entry, "verification"), "mismatched")),
                 json_integer_value(
                     json_object_get(json_object_get(row->entry, "verification"), "positions")));
    else
        snprintf(message, sizeof(message), "%s%s%s%s%s", has_ratio ? "" : why,
                 has_ratio ? "" : "; ", row->verdict ? row->verdict : "no verdict",
                 reasons[0] ? ": " : "", reasons);
    snprintf(text, sizeof(text), "%s; ratio %s, theory %s, %s of the saving; %s%s%s%s%s",
             dwb_figure_shape(row, shape, sizeof(shape)),
             dwb_figure_ratio(row->ratio, row->half_width, true, ratio, sizeof(ratio)),
             dwb_figure_ratio(row->theory, NAN, true, theory, sizeof(theory)),
             dwb_figure_share(row->saving_delivered, share, sizeof(share)), why, why[0] ? "; " : "",
             row->verdict ? row->verdict : "no verdict", reasons[0] ? ": " : "", reasons);
    open_case(out, row->name, suite, row->backend, row->operations[DWB_REPORT_SEPARABLE].floor_ns);
    layer_properties(out, row);
    close_case(out, outcome_of(row), "outputs", message, text);
}

int dwb_render_junit(const struct dwb_report *report, FILE *out)
{
    const json_t *job = json_object_get(report->document, "job"), *value;
    const char *name = json_string_value(json_object_get(job, "name")), *key;
    size_t counts[N_OUTCOMES] = {0};
    char machine[1024];

    if (!name || !name[0])
        name = "dwbench";
    for (size_t i = 0; i < report->n_rows; i++)
        counts[outcome_of(&report->rows[i])]++;
    open_suites(out, name, counts, job);
    fputs("    <properties>\n", out);
    property_value(out, "job", json_object_get(job, "id"));
    property(out, "machine", dwb_figure_machine(report, machine, sizeof(machine)));
    json_object_foreach((json_t *)json_object_get(job, "options"), key, value)
    {
        property_value(out, key, value);
    }
    fputs("    </properties>\n", out);
    for (size_t i = 0; i < report->n_rows; i++)
        layer_case(out, name, &report->rows[i]);
    fputs("  </testsuite>\n</testsuites>\n", out);
    return ferror(out) ? -ENOMEM : 0;
}

static enum outcome outcome_of_compared(const struct dwb_compared_row *row)
{
    return row->verdict == DWB_COMPARED_SLOWER         ? FAILED
           : row->verdict == DWB_COMPARED_NOT_RESOLVED ? SKIPPED
                                                       : PASSED;
}

static void compared_properties(FILE *out, const struct dwb_compared_row *row)
{
    static const char *const names[DWB_COMPARED_N_SIDES] = {"a", "b"};
    char name[32];

    fputs("      <properties>\n", out);
    property_number(out, "change", row->change);
    property_number(out, "change_ci_low", row->change_low);
    property_number(out, "change_ci_high", row->change_high);
    property_number(out, "delta", row->delta);
    property_number(out, "confidence", row->confidence);
    for (size_t i = 0; i < DWB_COMPARED_N_SIDES; i++) {
        const struct dwb_compared_side *side = &row->sides[i];

        snprintf(name, sizeof(name), "%s_what", names[i]);
        property(out, name, side->what);
        snprintf(name, sizeof(name), "%s_isa", names[i]);
        property(out, name, side->isa);
        snprintf(name, sizeof(name), "%s_kernel", names[i]);
        property(out, name, side->kernel);
        snprintf(name, sizeof(name), "%s_ns", names[i]);
        property_number(out, name, side->floor_ns);
        snprintf(name, sizeof(name), "%s_median_ns", names[i]);
        property_number(out, name, side->median_ns);
    }
    property_number(out, "processes", row->processes);
    property_number(out, "pairs", row->pairs);
    property_number(out, "dropped_share", row->dropped_share);
    property_value(out, "confirmed", row->confirmed);
    property(out, "method", row->method);
    property(out, "verdict", dwb_compared_verdict_names[row->verdict]);
    fputs("      </properties>\n", out);
}

static void compared_case(FILE *out, const char *suite, const struct dwb_compared_row *row)
{
    char change[256], reason[1024], name[512], text[1400];
    enum outcome outcome = outcome_of_compared(row);

    dwb_compared_change(row, change, sizeof(change));
    dwb_compared_reason(row, reason, sizeof(reason));
    snprintf(name, sizeof(name), "%.250s %.250s", row->layer, row->operation);
    snprintf(text, sizeof(text), "%s: %s%s%s", dwb_compared_verdict_names[row->verdict], change,
             reason[0] ? "; " : "", reason);
    open_case(out, name, suite, row->backend, row->sides[DWB_COMPARED_B].floor_ns);
    compared_properties(out, row);
    close_case(out, outcome, "slower", outcome == SKIPPED ? reason : change, text);
}

/* What the sides' machines do not have in common. */
static void difference_property(FILE *out, const json_t *difference)
{
    char member[128], a[256], b[256], name[160], text[544];

    dwb_figure_value(json_object_get(difference, "member"), member, sizeof(member));
    snprintf(name, sizeof(name), "difference.%s", member);
    snprintf(text, sizeof(text), "%s -> %s",
             dwb_figure_value(json_object_get(difference, "a"), a, sizeof(a)),
             dwb_figure_value(json_object_get(difference, "b"), b, sizeof(b)));
    property(out, name, text);
}

int dwb_render_comparison_junit(const json_t *document, FILE *out)
{
    DWB_CLEANUP(dwb_compared_freep) struct dwb_compared *compared = NULL;
    size_t counts[N_OUTCOMES] = {0}, i;
    const json_t *difference;
    char suite[64], text[1024];
    int r = dwb_compared_new(document, &compared);

    if (r < 0)
        return r;
    for (i = 0; i < compared->n_rows; i++)
        counts[outcome_of_compared(&compared->rows[i])]++;
    snprintf(suite, sizeof(suite), "dwbench %s", compared->kind);
    open_suites(out, suite, counts, NULL);
    fputs("    <properties>\n", out);
    property(out, "a", compared->labels[DWB_COMPARED_A]);
    property(out, "b", compared->labels[DWB_COMPARED_B]);
    property(out, "overall", compared->overall);
    if (dwb_compared_machine(compared, text, sizeof(text))[0])
        property(out, "machine", text);
    json_array_foreach(json_object_get(document, "differences"), i, difference)
    {
        difference_property(out, difference);
    }
    fputs("    </properties>\n", out);
    for (i = 0; i < compared->n_rows; i++)
        compared_case(out, compared->kind, &compared->rows[i]);
    fputs("  </testsuite>\n</testsuites>\n", out);
    return ferror(out) ? -ENOMEM : 0;
}
