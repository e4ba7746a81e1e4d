/* Sums and one quotient; see the header for what they are of. */

#include "analysis/measuring.h"

#include "analysis/json.h"

static json_t *to_json(double wall_ns, double kernel_ns, const char *reason)
{
    return json_pack("{s:o, s:o, s:o, s:s}", "wall_ns", dwb_json_number(wall_ns), "kernel_ns",
                     dwb_json_number(kernel_ns), "share", dwb_json_number(kernel_ns / wall_ns),
                     "reason", reason);
}

json_t *dwb_measuring_of_records(struct dwb_record *const *records, size_t n_records)
{
    double wall_ns = 0, kernel_ns = 0;

    if (n_records == 0)
        return to_json(NAN, NAN, "no replicate was measured");
    for (size_t i = 0; i < n_records; i++) {
        wall_ns += (double)records[i]->elapsed_ns;
        kernel_ns += (double)records[i]->kernel_ns;
    }
    return to_json(wall_ns, kernel_ns, wall_ns > 0 ? "" : "the records have no times of their own");
}

json_t *dwb_measuring_of_job(const json_t *clock)
{
    double wall_ns = json_number_value(json_object_get(clock, "wall_ns"));
    double kernel_ns = json_number_value(json_object_get(clock, "kernel_ns"));
    json_t *replicates = json_object_get(clock, "replicates");
    bool known = wall_ns > 0 && json_integer_value(replicates) > 0;
    json_t *object = known ? to_json(wall_ns, kernel_ns, "")
                           : to_json(NAN, NAN, "no replicate was measured on a clock of the job");

    if (object && json_object_set_new(object, "replicates",
                                      known ? json_deep_copy(replicates) : json_null()) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
