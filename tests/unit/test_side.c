/* The words of a side: each of them, in any order, once; and that everything else is refused with
 * a sentence that names it. */

#include "common/side.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_63 "a12345678901234567890123456789012345678901234567890123456789012"

static struct dwb_side parse(const char *text)
{
    char message[DWB_SIDE_MESSAGE_MAX] = "";
    struct dwb_side side;

    ck_assert_msg(dwb_side_parse(text, message, &side) == 0, "%s: %s", text, message);
    return side;
}

static const struct {
    const char *text, *shortest;
    enum dwb_side_kind kind;
    const char *name;
    enum dwb_isa isa;
    int form; /* -1 = none */
    uint32_t extra_every;
} good[] = {
    {"native", "native", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, -1, 0},
    {"onednn", "onednn", DWB_SIDE_ONEDNN, "", DWB_ISA_AUTO, -1, 0},
    {"xnnpack", "xnnpack", DWB_SIDE_XNNPACK, "", DWB_ISA_AUTO, -1, 0},
    {"plugin:my-k_1.so", "plugin:my-k_1.so", DWB_SIDE_PLUGIN, "my-k_1.so", DWB_ISA_AUTO, -1, 0},
    {"worker:a", "worker:a", DWB_SIDE_WORKER, "a", DWB_ISA_AUTO, -1, 0},
    {"kernel:f32_nhwc__avx2", "kernel:f32_nhwc__avx2", DWB_SIDE_KERNEL, "f32_nhwc__avx2",
     DWB_ISA_AUTO, -1, 0},
    {"kernel:" NAME_63, "kernel:" NAME_63, DWB_SIDE_KERNEL, NAME_63, DWB_ISA_AUTO, -1, 0},
    {"auto", "native", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, -1, 0},
    {"portable", "native,portable", DWB_SIDE_NATIVE, "", DWB_ISA_PORTABLE, -1, 0},
    {"avx2", "native,avx2", DWB_SIDE_NATIVE, "", DWB_ISA_AVX2, -1, 0},
    {"avx512", "native,avx512", DWB_SIDE_NATIVE, "", DWB_ISA_AVX512, -1, 0},
    {"neon", "native,neon", DWB_SIDE_NATIVE, "", DWB_ISA_NEON, -1, 0},
    {"standard", "native,standard", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, DWB_OPERATION_STANDARD, 0},
    {"depthwise", "native,depthwise", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, DWB_OPERATION_DEPTHWISE,
     0},
    {"pointwise", "native,pointwise", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, DWB_OPERATION_POINTWISE,
     0},
    {"separable", "native,separable", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, DWB_OPERATION_SEPARABLE,
     0},
    {"separable_fused", "native,separable_fused", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO,
     DWB_OPERATION_SEPARABLE_FUSED, 0},
    {"fused", "native,separable_fused", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO,
     DWB_OPERATION_SEPARABLE_FUSED, 0},
    {"+1/1", "native,+1/1", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, -1, 1},
    {"+1/1000", "native,+1/1000", DWB_SIDE_NATIVE, "", DWB_ISA_AUTO, -1, 1000},
    {"onednn,avx2,standard,+1/50", "onednn,avx2,standard,+1/50", DWB_SIDE_ONEDNN, "", DWB_ISA_AVX2,
     DWB_OPERATION_STANDARD, 50},
    {"+1/50,standard,avx2,onednn", "onednn,avx2,standard,+1/50", DWB_SIDE_ONEDNN, "", DWB_ISA_AVX2,
     DWB_OPERATION_STANDARD, 50},
    {"fused,auto,kernel:x", "kernel:x,separable_fused", DWB_SIDE_KERNEL, "x", DWB_ISA_AUTO,
     DWB_OPERATION_SEPARABLE_FUSED, 0},
    /* The longest there is. */
    {"plugin:" NAME_63 ",portable,separable_fused,+1/1000",
     "plugin:" NAME_63 ",portable,separable_fused,+1/1000", DWB_SIDE_PLUGIN, NAME_63,
     DWB_ISA_PORTABLE, DWB_OPERATION_SEPARABLE_FUSED, 1000},
};

START_TEST(test_words)
{
    struct dwb_side side = parse(good[_i].text), again;
    char text[DWB_SIDE_TEXT_MAX];

    ck_assert_int_eq(side.kind, good[_i].kind);
    ck_assert_str_eq(side.name, good[_i].name);
    ck_assert_int_eq(side.isa, good[_i].isa);
    ck_assert_int_eq(side.has_form ? (int)side.form : -1, good[_i].form);
    ck_assert_uint_eq(side.extra_every, good[_i].extra_every);
    dwb_side_to_text(&side, text);
    ck_assert_str_eq(text, good[_i].shortest);
    again = parse(text);
    ck_assert_int_eq(again.kind, side.kind);
    ck_assert_str_eq(again.name, side.name);
    ck_assert_int_eq(again.isa, side.isa);
    ck_assert_int_eq(again.has_form, side.has_form);
    ck_assert_uint_eq(again.extra_every, side.extra_every);
    if (side.has_form)
        ck_assert_int_eq(again.form, side.form);
}
END_TEST

static const struct {
    const char *text, *part; /* of the sentence */
} bad[] = {
    {"", "`'"},
    {",", "`'"},
    {"native,", "`'"},
    {",native", "`'"},
    {"native,,avx2", "`'"},
    {"mkl", "`mkl'"},
    {"Native", "`Native'"},
    {"native ", "`native '"},
    {" native", "` native'"},
    {"natives", "`natives'"},
    {"canary", "`canary'"},
    {"fma_peak", "`fma_peak'"},
    {"read", "`read'"},
    {"native,native", "second"},
    {"native,onednn", "`onednn' is a second"},
    {"worker:a,kernel:x", "`kernel:x' is a second"},
    {"avx2,avx512", "`avx512' is a second ISA"},
    {"avx2,auto", "second ISA"},
    {"standard,fused", "`fused' is a second form"},
    {"fused,separable_fused", "second form"},
    {"+1/5,+1/5", "second planted slowdown"},
    {"plugin", "`plugin'"},
    {"plugin:", "needs a name"},
    {"worker:", "needs a name"},
    {"kernel:.hidden", "needs a name"},
    {"kernel:..", "needs a name"},
    {"kernel:a b", "needs a name"},
    {"kernel:\xc3\xa9", "needs a name"},
    {"kernel:a:b", "needs a name"},
    {"kernel:" NAME_63 "x", "needs a name"},
    {"plugin:/tmp/x.so", "is a path"},
    {"worker:./x", "is a path"},
    {"worker:../x", "is a path"},
    {"kernel:a/b", "is a path"},
    {"+1", "`+1'"},
    {"+1/", "1 to 1000"},
    {"+1/0", "1 to 1000"},
    {"+1/05", "1 to 1000"},
    {"+1/1001", "1 to 1000"},
    {"+1/18446744073709551617", "1 to 1000"},
    {"+1/x", "1 to 1000"},
    {"+1/5x", "1 to 1000"},
    {"+1/ 5", "1 to 1000"},
    {"+1/-5", "1 to 1000"},
    {"+2/5", "`+2/5'"},
};

START_TEST(test_refused)
{
    char message[DWB_SIDE_MESSAGE_MAX] = "";
    struct dwb_side side = {.extra_every = 77};

    ck_assert_msg(dwb_side_parse(bad[_i].text, message, &side) == -EINVAL, "%s was taken",
                  bad[_i].text);
    ck_assert_uint_eq(side.extra_every, 77); /* untouched */
    ck_assert_msg(strstr(message, bad[_i].part) != NULL, "%s: %s", bad[_i].text, message);
    ck_assert_uint_lt(strlen(message), DWB_SIDE_MESSAGE_MAX - 1); /* nothing was cut off */
}
END_TEST

START_TEST(test_too_long)
{
    char text[4 * DWB_SIDE_TEXT_MAX], message[DWB_SIDE_MESSAGE_MAX] = "";
    struct dwb_side side;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert_int_eq(dwb_side_parse(text, message, &side), -EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "too long"));
    memcpy(text, "kernel:", 7); /* one byte too many for a word's room, and one less */
    text[DWB_SIDE_TEXT_MAX] = '\0';
    ck_assert_int_eq(dwb_side_parse(text, message, &side), -EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "too long"));
    text[DWB_SIDE_TEXT_MAX - 1] = '\0';
    ck_assert_int_eq(dwb_side_parse(text, message, &side), -EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "needs a name"));
}
END_TEST

static const struct {
    const char *a, *b;
    char side; /* 0 = they can be compared */
    const char *part;
} pairs[] = {
    {"native", "native", 0, NULL},
    {"native", "plugin:x.so,avx2,+1/5", 0, NULL},
    {"standard", "onednn,separable", 0, NULL},
    {"worker:a", "worker:b", 0, NULL},
    {"worker:a,standard", "worker:b,separable", 0, NULL},
    {"worker:a", "worker:a", 0, NULL},
    {"standard", "native", 'b', "form"},
    {"native", "standard", 'a', "form"},
    {"worker:a", "native", 'b', "worker"},
    {"native", "worker:b", 'a', "worker"},
    {"worker:a,avx2", "worker:b", 'a', "isa"},
    {"worker:a", "worker:b,avx2", 'b', "isa"},
    {"worker:a,+1/2", "worker:b", 'a', "plant"},
    {"worker:a", "worker:b,+1/2", 'b', "plant"},
};

START_TEST(test_pairs)
{
    struct dwb_side a = parse(pairs[_i].a), b = parse(pairs[_i].b);
    char side = 0;
    const char *sentence = dwb_sides_refuse(&a, &b, &side);

    if (!pairs[_i].side) {
        ck_assert_ptr_null(sentence);
        return;
    }
    ck_assert_ptr_nonnull(sentence);
    ck_assert_int_eq(side, pairs[_i].side);
    ck_assert_msg(strstr(sentence, pairs[_i].part) != NULL, "%s", sentence);
}
END_TEST

START_TEST(test_operations)
{
    static const char *const wrong[] = {
        "",      ",",     "standard,",          ",standard", "standard,standard", "canary",
        "fused", "stand", "standard depthwise", "Standard",  "standardx"};
    char text[DWB_OPERATIONS_TEXT_MAX];
    uint32_t mask;

    for (uint32_t every = 1; every < 2u << DWB_OPERATION_SEPARABLE_FUSED; every++) {
        dwb_operations_to_text(every, text);
        ck_assert_int_eq(dwb_operations_from_text(text, &mask), 0);
        ck_assert_uint_eq(mask, every);
    }
    ck_assert_str_eq(text, "standard,depthwise,pointwise,separable,separable_fused");
    dwb_operations_to_text(0, text);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(dwb_operations_from_text("pointwise,standard", &mask), 0); /* any order */
    ck_assert_uint_eq(mask, 1u << DWB_OPERATION_POINTWISE | 1u << DWB_OPERATION_STANDARD);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(dwb_operations_from_text(wrong[i], &mask) == -EINVAL, "%s was taken",
                      wrong[i]);
    ck_assert_uint_eq(mask, 1u << DWB_OPERATION_POINTWISE | 1u << DWB_OPERATION_STANDARD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("side");
    TCase *tests = tcase_create("side");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_loop_test(tests, test_words, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(tests, test_refused, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tests, test_too_long);
    tcase_add_loop_test(tests, test_pairs, 0, sizeof(pairs) / sizeof(pairs[0]));
    tcase_add_test(tests, test_operations);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
