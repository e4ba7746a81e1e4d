/*
 * Depthwise strip kernels of one ISA (contract: kernels/depthwise.h). An ISA file includes its
 * *_vec.h, then this, and makes kernels with DEPTHWISE_SHAPE, kernel size and stride known to the
 * compiler. Any other shape: kernels/depthwise_line_template.h.
 *
 * A shape's strip goes step by step from left to right. An input column t, counted from the
 * window's corner, belongs to output column c with tap kx = t - c s. Step c takes the s input
 * columns from t = c s on, for the L = ceil(k / s) outputs c - d, 0 <= d < L, that are under way.
 * Output c - L + 1 is complete then and stored; of the others the sums so far wait for the next
 * step in `partial`, in L1. Within a step the loop runs over the channels. So each input is loaded
 * once a strip, each output stored once, and both are read and written in the order of memory, in
 * as few streams as there are rows: the maps of most networks have pixels and rows a power of two
 * apart, and any order that jumps between pixels uses few sets of the L1 cache (docs/kernels.md).
 */

#include "kernels/depthwise.h"

#define DEPTHWISE_UNROLL _Pragma("GCC unroll 32")
#define DEPTHWISE_INLINE static inline __attribute__((always_inline))

/* Hides a value's origin, so that no pointer is kept for each row. */
#define DEPTHWISE_OPAQUE(value_) __asm__("" : "+r"(value_))

/* Rows that are addressed from one pointer, 0 to 4 times their distance away. An ISA that has
 * registers enough, or no such addresses, gives each row its own. */
#ifndef DEPTHWISE_BASE_ROWS
#define DEPTHWISE_BASE_ROWS 5
#endif

#define DEPTHWISE_BASES(n_rows_) (((n_rows_) + DEPTHWISE_BASE_ROWS - 1) / DEPTHWISE_BASE_ROWS)

enum {
    DEPTHWISE_WINDOW_MAX = 12, /* rows of a window */
    DEPTHWISE_BASES_MAX = DEPTHWISE_BASES(DEPTHWISE_WINDOW_MAX),
    DEPTHWISE_OUTPUTS_MAX = 11, /* columns of them that are under way */
    DEPTHWISE_STRIDE_MAX = 3,
};

/* The operands of a vector of channels. Places in bytes, for rows and columns that do not exist
 * have a place but no pointer. */
struct depthwise_cursor {
    uintptr_t in[DEPTHWISE_STRIDE_MAX][DEPTHWISE_BASES_MAX], out[DEPTHWISE_BASES_MAX];
    intptr_t in_row, in_row3, out_row, out_row3, out_pixel;
    const float *weights;
    float *partial;
    int32_t row_first, row_end;
};

#define DEPTHWISE_ROW(bases_, row_, row3_, i_)                                                     \
    ((bases_)[(i_) / DEPTHWISE_BASE_ROWS] +                                                        \
     (uintptr_t)((i_) % DEPTHWISE_BASE_ROWS == 3   ? (row3_)                                       \
                 : (i_) % DEPTHWISE_BASE_ROWS == 4 ? 4 * (row_)                                    \
                                                   : (i_) % DEPTHWISE_BASE_ROWS * (row_)))

/* What a step does; constants for the steps that have a loop of their own. */
struct depthwise_step {
    int d_first, d_end; /* outputs under way */
    int j_first, j_end; /* its columns that exist */
    bool fresh;         /* no column before it exists: nothing in `partial` */
    bool final;         /* no column after it exists: all outputs are complete */
};

/* Which rows of the window are missing: the first, the last, of (k - 1) / 2 each; or to be asked.
 */
enum { DEPTHWISE_INSIDE = 0, DEPTHWISE_TOP = 1, DEPTHWISE_BOTTOM = 2, DEPTHWISE_ASK = 4 };

DEPTHWISE_INLINE bool depthwise_misses(const struct depthwise_cursor *at, const int i,
                                       const int n_window, const int k, const int border)
{
    const bool top = i < (k - 1) / 2, bottom = i >= n_window - (k - 1) / 2;

    if (border == DEPTHWISE_ASK)
        return (top && i < at->row_first) || (bottom && i >= at->row_end);
    return (top && (border & DEPTHWISE_TOP)) || (bottom && (border & DEPTHWISE_BOTTOM));
}

/* What the column of inputs adds to an output's sums at tap kx; `opens`: they begin with it. */
DEPTHWISE_INLINE void depthwise_taps(const struct depthwise_cursor *at, const vec *x, vec *acc,
                                     const int kx, const bool opens, const int n_rows, const int k,
                                     const int s, const int border)
{
    const int n_window = (n_rows - 1) * s + k;

    DEPTHWISE_UNROLL
    for (int ky = 0; ky < k; ky++) {
        const vec w = vec_pinned(vec_load(at->weights + (kx * k + ky) * VL));
        DEPTHWISE_UNROLL
        for (int r = 0; r < n_rows; r++) {
            const bool misses = depthwise_misses(at, r * s + ky, n_window, k, border);
            if (opens && ky == 0)
                acc[r] = misses ? vec_zero() : vec_mul(x[r * s], w);
            else if (!misses)
                acc[r] = vec_fma_vec(acc[r], x[r * s + ky], w);
        }
    }
}

DEPTHWISE_INLINE void depthwise_open(const struct depthwise_cursor *at,
                                     const struct depthwise_step step, const int d,
                                     const int n_rows, vec *acc)
{
    DEPTHWISE_UNROLL
    for (int r = 0; r < n_rows; r++)
        acc[r] =
            d == 0 || step.fresh ? vec_zero() : vec_load(at->partial + ((d - 1) * n_rows + r) * VL);
}

DEPTHWISE_INLINE void depthwise_close(const struct depthwise_cursor *at,
                                      const struct depthwise_step step, const int d,
                                      const int n_rows, const int n_outputs, const vec *acc)
{
    DEPTHWISE_UNROLL
    for (int r = 0; r < n_rows; r++)
        if (d == n_outputs - 1 || step.final)
            vec_store((float *)(DEPTHWISE_ROW(at->out, at->out_row, at->out_row3, r) +
                                (uintptr_t)((n_outputs - 1 - d) * at->out_pixel)),
                      acc[r]);
        else
            vec_store(at->partial + (d * n_rows + r) * VL, acc[r]);
}

/*
 * A step for one vector of channels. An output is opened for its first column of the step and
 * closed after its last, so that the registers hold the inputs of one column and few sums.
 */
DEPTHWISE_INLINE void depthwise_vector(const struct depthwise_cursor *at,
                                       const struct depthwise_step step, const int n_rows,
                                       const int k, const int s, const int border)
{
    const int n_outputs = (k + s - 1) / s, n_window = (n_rows - 1) * s + k;
    vec acc[DEPTHWISE_OUTPUTS_MAX][DWB_DEPTHWISE_ROWS_MAX], x[DEPTHWISE_WINDOW_MAX];

    /* For the compiler, which cannot tell in the steps that ask as they go. */
    DEPTHWISE_UNROLL
    for (int i = 0; i < n_outputs * n_rows; i++)
        acc[i / n_rows][i % n_rows] = vec_zero();
    DEPTHWISE_UNROLL
    for (int j = 0; j < s; j++) {
        if (j < step.j_first || j >= step.j_end)
            continue;
        DEPTHWISE_UNROLL
        for (int i = 0; i < n_window; i++)
            x[i] =
                depthwise_misses(at, i, n_window, k, border)
                    ? vec_zero()
                    : vec_load((const float *)DEPTHWISE_ROW(at->in[j], at->in_row, at->in_row3, i));
        DEPTHWISE_UNROLL
        for (int d = n_outputs - 1; d >= 0; d--) {
            const bool meets = j + d * s < k, last = j + 1 == step.j_end || j + 1 + d * s >= k;
            if (d < step.d_first || d >= step.d_end || (!meets && j > step.j_first))
                continue;
            const bool first = j == step.j_first, opens = first && (d == 0 || step.fresh);
            if (first && !(opens && meets))
                depthwise_open(at, step, d, n_rows, acc[d]);
            if (meets)
                depthwise_taps(at, x, acc[d], j + d * s, opens, n_rows, k, s, border);
            if (last)
                depthwise_close(at, step, d, n_rows, n_outputs, acc[d]);
        }
    }
}

/* n steps: after the last of a step's channels comes the first of the next. */
struct depthwise_run {
    int n;
    const float *weights, *weights_end; /* of the first vector; behind the last */
    float *partial;
    intptr_t in_wrap, out_wrap; /* bytes from the last vector to the first of the next step, */
    intptr_t overlap;           /* of the last vector with the one before it */
};

DEPTHWISE_INLINE void depthwise_move(struct depthwise_cursor *at, const uintptr_t in,
                                     const uintptr_t out, const int n_rows, const int k,
                                     const int s)
{
    DEPTHWISE_UNROLL
    for (int j = 0; j < s; j++)
        DEPTHWISE_UNROLL
    for (int i = 0; i < DEPTHWISE_BASES((n_rows - 1) * s + k); i++) {
        at->in[j][i] += in;
        DEPTHWISE_OPAQUE(at->in[j][i]);
    }
    DEPTHWISE_UNROLL
    for (int i = 0; i < DEPTHWISE_BASES(n_rows); i++) {
        at->out[i] += out;
        DEPTHWISE_OPAQUE(at->out[i]);
    }
}

/* To the next vector; true where it is the first of a step. What is rare is a jump, not a
 * conditional move: the addresses of the loads must not wait for it (moves cost 15 to 20 % on
 * 14x14x512). */
DEPTHWISE_INLINE bool depthwise_next(struct depthwise_cursor *at, const struct depthwise_run *run,
                                     const int n_rows, const int k, const int s)
{
    const int n_taps = k * k, n_partial = ((k + s - 1) / s - 1) * n_rows;
    const uintptr_t vector = VL * sizeof(float);

    at->weights += n_taps * VL;
    at->partial += n_partial * VL;
    depthwise_move(at, vector, vector, n_rows, k, s);
    if (at->weights < run->weights_end - n_taps * VL)
        return false;
    if (at->weights < run->weights_end) {
        depthwise_move(at, 0 - (uintptr_t)run->overlap, 0 - (uintptr_t)run->overlap, n_rows, k, s);
        return false;
    }
    at->weights = run->weights;
    at->partial = run->partial;
    depthwise_move(at, (uintptr_t)run->in_wrap - vector, (uintptr_t)run->out_wrap - vector, n_rows,
                   k, s);
    return true;
}

DEPTHWISE_INLINE void depthwise_steps(struct depthwise_cursor at, const struct depthwise_run *run,
                                      const struct depthwise_step step, const int n_rows,
                                      const int k, const int s, const int border)
{
    for (int n = run->n; n > 0; n--) {
        bool ends;
        do {
            depthwise_vector(&at, step, n_rows, k, s, border);
            ends = depthwise_next(&at, run, n_rows, k, s);
        } while (!ends);
    }
}

/* The steps of `same` and those between get loops of their own, any other asks as it goes. */
DEPTHWISE_INLINE void depthwise_dispatch(const struct depthwise_cursor *at,
                                         const struct depthwise_run *run,
                                         const struct depthwise_step step, const int n_rows,
                                         const int k, const int s, const int border)
{
    const int n_outputs = (k + s - 1) / s;
    const struct depthwise_step inner = {0, n_outputs, 0, s, false, false};
    const struct depthwise_step first = {0, s == 1 ? (k + 1) / 2 : 1, 0, s, true, false};
    const struct depthwise_step last = {s == 1 ? (k - 1) / 2 : 0, n_outputs, 0, s, false, true};

#define DEPTHWISE_TRY(step_)                                                                       \
    if (step.d_first == (step_).d_first && step.d_end == (step_).d_end &&                          \
        step.j_first == (step_).j_first && step.j_end == (step_).j_end &&                          \
        step.fresh == (step_).fresh && step.final == (step_).final)                                \
        depthwise_steps(*at, run, step_, n_rows, k, s, border);                                    \
    else

    DEPTHWISE_TRY(inner)
    DEPTHWISE_TRY(first)
    DEPTHWISE_TRY(last)
    depthwise_steps(*at, run, step, n_rows, k, s, DEPTHWISE_ASK);
#undef DEPTHWISE_TRY
}

DEPTHWISE_INLINE void depthwise_strip(const struct dwb_depthwise_strip *strip, const int n_rows,
                                      const int k, const int s)
{
    const intptr_t bytes = sizeof(float), pixel = strip->pixel * bytes;
    const int n_outputs = (k + s - 1) / s, n_window = (n_rows - 1) * s + k;
    const int n_vectors = (int)((strip->n_channels + VL - 1) / VL), n = strip->n_columns;
    const intptr_t span = (intptr_t)(strip->n_channels - VL) * bytes; /* to the last vector */
    const int border = (strip->row_first > 0 ? DEPTHWISE_TOP : 0) |
                       (strip->row_end < n_window ? DEPTHWISE_BOTTOM : 0);
    const int first = strip->column_first / s, end = (strip->column_end + s - 1) / s;
    _Alignas(64) float partial[DWB_DEPTHWISE_PARTIAL_MAX];
    struct depthwise_run run = {
        .weights = strip->weights,
        .weights_end = strip->weights + n_vectors * k * k * VL,
        .partial = partial,
        .in_wrap = s * pixel - span,
        .out_wrap = strip->output_pixel * bytes - span,
        .overlap = n_vectors * VL * bytes - (intptr_t)strip->n_channels * bytes,
    };

    for (int c = first, next; c < end; c = next) {
        struct depthwise_cursor at = {
            .in_row = strip->input_row * bytes,
            .in_row3 = 3 * strip->input_row * bytes,
            .out_row = strip->output_row * bytes,
            .out_row3 = 3 * strip->output_row * bytes,
            .out_pixel = strip->output_pixel * bytes,
            .weights = strip->weights,
            .partial = partial,
            .row_first = strip->row_first,
            .row_end = strip->row_end,
        };
        const struct depthwise_step step = {
            .d_first = c < n ? 0 : c - n + 1,
            .d_end = c < n_outputs ? c + 1 : n_outputs,
            .j_first = strip->column_first > c * s ? strip->column_first - c * s : 0,
            .j_end = strip->column_end < (c + 1) * s ? strip->column_end - c * s : s,
            .fresh = c == first,
            .final = c == end - 1,
        };
        const bool inner = step.d_first == 0 && step.d_end == n_outputs && !step.final &&
                           !step.fresh && step.j_first == 0 && step.j_end == s;
        const uintptr_t in =
            (uintptr_t)strip->input + (uintptr_t)(strip->origin * bytes + c * s * pixel);

        next = inner && end - 1 < n ? end - 1 : inner ? n : c + 1;
        run.n = next - c;
        const uintptr_t out =
            (uintptr_t)strip->output + (uintptr_t)((c - n_outputs + 1) * at.out_pixel);
        for (int i = 0; i < DEPTHWISE_BASES_MAX; i++) {
            for (int j = 0; j < s; j++)
                at.in[j][i] = in + (uintptr_t)(DEPTHWISE_BASE_ROWS * i * at.in_row + j * pixel);
            at.out[i] = out + (uintptr_t)(DEPTHWISE_BASE_ROWS * i * at.out_row);
        }
        if (border == DEPTHWISE_INSIDE)
            depthwise_dispatch(&at, &run, step, n_rows, k, s, DEPTHWISE_INSIDE);
        else if (k > 3)
            depthwise_dispatch(&at, &run, step, n_rows, k, s, DEPTHWISE_ASK);
        else if (border == DEPTHWISE_TOP)
            depthwise_dispatch(&at, &run, step, n_rows, k, s, DEPTHWISE_TOP);
        else if (border == DEPTHWISE_BOTTOM)
            depthwise_dispatch(&at, &run, step, n_rows, k, s, DEPTHWISE_BOTTOM);
        else
            depthwise_dispatch(&at, &run, step, n_rows, k, s, DEPTHWISE_TOP | DEPTHWISE_BOTTOM);
    }
}

#define DEPTHWISE_STRIP_FN(tag_, rows_, k_, s_)                                                    \
    static void tag_##_strip_##rows_(const struct dwb_depthwise_strip *strip)                      \
    {                                                                                              \
        depthwise_strip(strip, rows_, k_, s_);                                                     \
    }

/* Strips of up to 2, 3, ... rows. */
#define DEPTHWISE_STRIPS_2(tag_, k_, s_)                                                           \
    DEPTHWISE_STRIP_FN(tag_, 1, k_, s_) DEPTHWISE_STRIP_FN(tag_, 2, k_, s_)
#define DEPTHWISE_STRIPS_3(tag_, k_, s_)                                                           \
    DEPTHWISE_STRIPS_2(tag_, k_, s_) DEPTHWISE_STRIP_FN(tag_, 3, k_, s_)
#define DEPTHWISE_STRIPS_4(tag_, k_, s_)                                                           \
    DEPTHWISE_STRIPS_3(tag_, k_, s_) DEPTHWISE_STRIP_FN(tag_, 4, k_, s_)
#define DEPTHWISE_STRIPS_5(tag_, k_, s_)                                                           \
    DEPTHWISE_STRIPS_4(tag_, k_, s_) DEPTHWISE_STRIP_FN(tag_, 5, k_, s_)
#define DEPTHWISE_STRIPS_7(tag_, k_, s_)                                                           \
    DEPTHWISE_STRIPS_5(tag_, k_, s_)                                                               \
    DEPTHWISE_STRIP_FN(tag_, 6, k_, s_) DEPTHWISE_STRIP_FN(tag_, 7, k_, s_)

#define DEPTHWISE_ROW_2(tag_) tag_##_strip_1, tag_##_strip_2
#define DEPTHWISE_ROW_3(tag_) DEPTHWISE_ROW_2(tag_), tag_##_strip_3
#define DEPTHWISE_ROW_4(tag_) DEPTHWISE_ROW_3(tag_), tag_##_strip_4
#define DEPTHWISE_ROW_5(tag_) DEPTHWISE_ROW_4(tag_), tag_##_strip_5
#define DEPTHWISE_ROW_7(tag_) DEPTHWISE_ROW_5(tag_), tag_##_strip_6, tag_##_strip_7

/* Sums under way of a channel; channels of a group, whose weights and sums under way stay in L1. */
#define DEPTHWISE_PARTIAL(rows_, k_, s_) (((k_ + s_ - 1) / s_ - 1) * rows_)
#define DEPTHWISE_FIT(rows_, k_, s_)                                                               \
    (DWB_DEPTHWISE_GROUP_FLOATS / (k_ * k_ + DEPTHWISE_PARTIAL(rows_, k_, s_)))
#define DEPTHWISE_CHANNELS(rows_, k_, s_)                                                          \
    (DEPTHWISE_FIT(rows_, k_, s_) < DWB_DEPTHWISE_CHANNELS_MAX ? DEPTHWISE_FIT(rows_, k_, s_)      \
                                                               : DWB_DEPTHWISE_CHANNELS_MAX)

/* Family of strips of up to rows_ for kernel size k_ (odd) and stride s_, and its kernel; maps
 * narrower than the outputs under way and fewer channels than a vector are left to the general
 * kernel. */
#define DEPTHWISE_SHAPE(tag_, id_, rows_, aliased_, k_, s_, isa_, flags_, priority_)               \
    DEPTHWISE_STRIPS_##rows_(tag_, k_,                                                             \
                             s_) static const struct dwb_depthwise_family tag_##_family = {        \
        .lanes = VL,                                                                               \
        .n_channels_max = DEPTHWISE_CHANNELS(rows_, k_, s_),                                       \
        .n_rows_max = rows_,                                                                       \
        .n_rows_aliased = aliased_,                                                                \
        .run = {DEPTHWISE_ROW_##rows_(tag_)},                                                      \
    };                                                                                             \
    _Static_assert(DEPTHWISE_PARTIAL(rows_, k_, s_) * DEPTHWISE_CHANNELS(rows_, k_, s_) <=         \
                       DWB_DEPTHWISE_PARTIAL_MAX,                                                  \
                   "the sums under way of a group");                                               \
    _Static_assert((rows_ - 1) * s_ + k_ <= DEPTHWISE_WINDOW_MAX, "a window's rows");              \
    _Static_assert((k_ + s_ - 1) / s_ <= DEPTHWISE_OUTPUTS_MAX, "outputs under way");              \
    _Static_assert(s_ <= DEPTHWISE_STRIDE_MAX, "columns of a step");                               \
    static bool tag_##_supports(const struct dwb_conv *conv)                                       \
    {                                                                                              \
        return conv->kernel_size == k_ && conv->stride == s_ && conv->in_channels >= VL &&         \
               conv->output_size >= (k_ + s_ - 1) / s_;                                            \
    }                                                                                              \
    DEPTHWISE_KERNEL(tag_, id_, tag_##_supports, isa_, flags_, priority_)

#define DEPTHWISE_KERNEL(tag_, id_, supports_, isa_, flags_, priority_)                            \
    static size_t tag_##_packed_bytes(const struct dwb_conv *conv)                                 \
    {                                                                                              \
        return dwb_depthwise_packed_bytes(&tag_##_family, conv);                                   \
    }                                                                                              \
    static void tag_##_pack(const struct dwb_conv *conv, const float *weights, float *packed)      \
    {                                                                                              \
        dwb_depthwise_pack(&tag_##_family, conv, weights, packed);                                 \
    }                                                                                              \
    static void tag_##_run(const struct dwb_kernel_args *args)                                     \
    {                                                                                              \
        dwb_depthwise_run(&tag_##_family, args);                                                   \
    }                                                                                              \
    DWB_KERNEL_DEFINE(id_) = {                                                                     \
        .name = #id_,                                                                              \
        .op = DWB_KERNEL_DEPTHWISE,                                                                \
        .isa = isa_,                                                                               \
        .algorithm = "direct",                                                                     \
        .cpu_flags = flags_,                                                                       \
        .skips_padding = true,                                                                     \
        .priority = priority_,                                                                     \
        .supports = supports_,                                                                     \
        .packed_bytes = tag_##_packed_bytes,                                                       \
        .pack = tag_##_pack,                                                                       \
        .run = tag_##_run,                                                                         \
        .depthwise_tiles = &tag_##_family,                                                         \
    }
