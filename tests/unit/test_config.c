/* The daemon's configuration: defaults, types, ranges, places of findings, the shipped file. */

#include "daemon/config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *shipped;

/* Parses over the defaults; returns what dwb_config_parse does. diags may be NULL. */
static int parse(const char *text, struct dwb_config *config, struct dwb_diags *diags)
{
    struct dwb_diags *own = dwb_diags_new();

    dwb_config_init(config);
    int r = dwb_config_parse(config, text, strlen(text), diags ? diags : own);
    dwb_diags_free(own);
    return r;
}

START_TEST(defaults_are_the_documented_ones)
{
    struct dwb_config config;

    dwb_config_init(&config);
    ck_assert_str_eq(config.socket, "");
    ck_assert_uint_eq(config.socket_mode, 0660);
    ck_assert_uint_eq(config.measure_cpu, DWB_CONFIG_CPU_AUTO);
    ck_assert_uint_eq(config.loop, DWB_LOOP_AUTO);
    ck_assert_uint_eq(config.log_level, DWB_LOG_INFO);
    ck_assert_uint_eq(config.drain_timeout_ns, UINT64_C(10000000000));
    ck_assert_uint_eq(config.n_admins, 0);
    ck_assert_uint_eq(config.connections_per_uid, 32);
    ck_assert_uint_eq(config.queued_jobs_per_uid, 64);
    ck_assert_uint_eq(config.memory_bytes, 0);
    ck_assert_uint_eq(config.header_deadline_ns, UINT64_C(5000000000));
    ck_assert_uint_eq(config.head_bytes_max, 8192);
    ck_assert_uint_eq(config.body_bytes_max, 65536);
}
END_TEST

START_TEST(values_of_every_type)
{
    struct dwb_config config;

    ck_assert_int_eq(parse("socket: /s\nsocket_mode: 0600\nmeasure_cpu: 3\nloop: epoll\n"
                           "log_level: error\ndrain_timeout: 1500ms\nadmins: [0, 1000]\n"
                           "quotas: {connections_per_uid: 7}\nlimits: {memory: 2GiB}\n",
                           &config, NULL),
                     0);
    ck_assert_str_eq(config.socket, "/s");
    ck_assert_uint_eq(config.socket_mode, 0600);
    ck_assert_uint_eq(config.measure_cpu, 3);
    ck_assert_uint_eq(config.loop, DWB_LOOP_EPOLL);
    ck_assert_uint_eq(config.log_level, DWB_LOG_ERROR);
    ck_assert_uint_eq(config.drain_timeout_ns, UINT64_C(1500000000));
    ck_assert_uint_eq(config.n_admins, 2);
    ck_assert_uint_eq(config.admins[1], 1000);
    ck_assert_uint_eq(config.connections_per_uid, 7);
    ck_assert_uint_eq(config.memory_bytes, UINT64_C(2) << 30);
    ck_assert_uint_eq(config.queued_jobs_per_uid, 64);
}
END_TEST

static const struct {
    const char *text, *field;
    unsigned line, column;
} bad[] = {
    {"frob: 1", "frob", 1, 7},
    {"quotas:\n  frob: 1", "quotas.frob", 2, 9},
    {"quotas.connections_per_uid: 1", "quotas.connections_per_uid", 1, 29},
    {"socket: relative", "socket", 1, 9},
    {"socket: [/a]", "socket", 1, 9},
    {"socket_mode: 0888", "socket_mode", 1, 14},
    {"socket_mode: 01000", "socket_mode", 1, 14},
    {"loop: kqueue", "loop", 1, 7},
    {"log_level: 3", "log_level", 1, 12},
    {"measure_cpu: -1", "measure_cpu", 1, 14},
    {"measure_cpu: 1x", "measure_cpu", 1, 14},
    {"drain_timeout: 10", "drain_timeout", 1, 16},
    {"drain_timeout: 1h", "drain_timeout", 1, 16},
    {"admins: 0", "admins", 1, 9},
    {"admins: [4294967295]", "admins", 1, 10},
    {"quotas: 7", "quotas", 1, 9},
    {"quotas: {connections_per_uid: 0}", "quotas.connections_per_uid", 1, 31},
    {"quotas: {connections_per_uid: auto}", "quotas.connections_per_uid", 1, 31},
    {"limits: {memory: 99999999999TiB}", "limits.memory", 1, 18},
    {"limits: {memory: 1KB}", "limits.memory", 1, 18},
    {"limits: {memory: 18446744073709551616}", "limits.memory", 1, 18},
    {"http: {body_max: auto}", "http.body_max", 1, 18},
    {"http: {body_max: 65KiB}", "http.body_max", 1, 18},
};

START_TEST(bad_values_have_a_place)
{
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_config config;

    int r = parse(bad[_i].text, &config, diags);
    ck_assert_int_eq(r, -EINVAL);
    ck_assert_uint_eq(diags->n, 1);
    ck_assert_str_eq(diags->items[0].field, bad[_i].field);
    ck_assert_uint_eq(diags->items[0].line, bad[_i].line);
    ck_assert_uint_eq(diags->items[0].column, bad[_i].column);
    dwb_diags_free(diags);
}
END_TEST

START_TEST(all_findings_at_once)
{
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_config config;

    ck_assert_int_eq(parse("loop: x\nlog_level: y\nlimits: {memory: z}\nw: 1\n", &config, diags),
                     -EINVAL);
    ck_assert_uint_eq(diags->n, 4);
    dwb_diags_free(diags);
}
END_TEST

START_TEST(flags)
{
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_config config;

    dwb_config_init(&config);
    ck_assert_int_eq(dwb_config_set(&config, "socket", "/x", diags), 0);
    ck_assert_str_eq(config.socket, "/x");
    ck_assert_uint_eq(diags->n, 0);
    ck_assert_int_eq(dwb_config_set(&config, "socket", "x", diags), -EINVAL);
    ck_assert_int_eq(dwb_config_set(&config, "admins", "1", diags), -EINVAL);
    ck_assert_int_eq(dwb_config_set(&config, "no", "1", diags), -EINVAL);
    ck_assert_uint_eq(diags->n, 3);
    ck_assert_uint_eq(diags->items[0].line, 0);
    dwb_diags_free(diags);
}
END_TEST

START_TEST(the_shipped_file_has_every_key_with_its_default)
{
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_config defaults, config;
    const char *initial, *key;
    char *text = calloc(1, 65536);
    FILE *file = fopen(shipped, "re");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, 65535, file), 0);
    fclose(file);
    for (size_t i = 0; (key = dwb_config_key(i, &initial)); i++) {
        char line[128];
        const char *dot = strchr(key, '.');
        snprintf(line, sizeof(line), "\n%s%s: %s", dot ? "  " : "", dot ? dot + 1 : key,
                 initial ? initial : "[]");
        ck_assert_msg(strstr(text, line) != NULL, "%s is not in %s as%s", key, shipped, line);
    }
    dwb_config_init(&defaults);
    dwb_config_init(&config);
    ck_assert_int_eq(dwb_config_read(&config, shipped, diags), 0);
    ck_assert_mem_eq(&config, &defaults, sizeof(config));
    free(text);
    dwb_diags_free(diags);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    struct dwb_diags *diags = dwb_diags_new();
    struct dwb_config config;

    dwb_config_init(&config);
    ck_assert_int_eq(dwb_config_read(&config, "/nonexistent/dwbenchd.yaml", diags), -ENOENT);
    ck_assert_int_eq(dwb_config_read(&config, "/", diags), -EISDIR);
    ck_assert_uint_eq(diags->n, 2);
    ck_assert_ptr_nonnull(strstr(diags->items[0].message, "cannot be opened"));
    ck_assert_ptr_nonnull(strstr(diags->items[1].message, "cannot be read"));
    dwb_diags_free(diags);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");

    shipped = argc > 1 ? argv[1] : "";
    tcase_add_test(tcase, defaults_are_the_documented_ones);
    tcase_add_test(tcase, values_of_every_type);
    tcase_add_loop_test(tcase, bad_values_have_a_place, 0, (int)(sizeof(bad) / sizeof(bad[0])));
    tcase_add_test(tcase, all_findings_at_once);
    tcase_add_test(tcase, flags);
    tcase_add_test(tcase, the_shipped_file_has_every_key_with_its_default);
    tcase_add_test(tcase, files_that_cannot_be_read);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
