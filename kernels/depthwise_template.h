/*
 * Depthwise tile kernels of one ISA (contract: kernels/depthwise.h). An ISA file includes its
 * *_vec.h, then this, and makes families with DEPTHWISE_FAMILY (kernel size and stride known to
 * the compiler: everything unrolls, weights and outputs live in registers) and DEPTHWISE_GENERAL.
 */

#include "kernels/depthwise.h"

#define DEPTHWISE_UNROLL _Pragma("GCC unroll 32")

/* Hides a pointer's origin: what was read through it is read again, not kept in a register. */
#define DEPTHWISE_OPAQUE(pointer_) __asm__("" : "+r"(pointer_))

/* A partial vector when `partial`, of n lanes. */
static inline __attribute__((always_inline)) vec depthwise_load(const float *p, const int partial,
                                                                uint32_t n)
{
    return partial ? vec_load_n(p, n) : vec_load(p);
}

static inline __attribute__((always_inline)) void depthwise_store(float *p, vec v,
                                                                  const int partial, uint32_t n)
{
    if (partial)
        vec_store_n(p, v, n);
    else
        vec_store(p, v);
}

/*
 * One vector of channels from `channel` on. keep: all weights fit in registers beside the outputs;
 * if not, they are read again for each row of the window.
 */
static inline __attribute__((always_inline)) void
depthwise_block(const struct dwb_depthwise_tile *tile, const float *weights, uint32_t channel,
                const int n_rows, const int n_columns, const int k, const int s, const int border,
                const int partial, const int keep)
{
    vec acc[DWB_DEPTHWISE_ROWS_MAX][DWB_DEPTHWISE_COLUMNS_MAX];
    const float *input = tile->input;
    const ptrdiff_t origin = tile->origin + channel;

    DEPTHWISE_UNROLL
    for (int r = 0; r < n_rows; r++)
        DEPTHWISE_UNROLL
    for (int c = 0; c < n_columns; c++)
        acc[r][c] = vec_zero();
    DEPTHWISE_UNROLL
    for (int iy = 0; iy < (n_rows - 1) * s + k; iy++) {
        if (border && (iy < tile->row_first || iy >= tile->row_end))
            continue;
        const float *row = input + (origin + iy * tile->input_row);
        if (!keep)
            DEPTHWISE_OPAQUE(weights);
        DEPTHWISE_UNROLL
        for (int ix = 0; ix < (n_columns - 1) * s + k; ix++) {
            if (border && (ix < tile->column_first || ix >= tile->column_end))
                continue;
            const vec x = depthwise_load(row + ix * tile->pixel, partial, tile->n_channels);
            DEPTHWISE_UNROLL
            for (int r = 0; r < n_rows; r++)
                DEPTHWISE_UNROLL
            for (int c = 0; c < n_columns; c++) {
                const int ky = iy - r * s, kx = ix - c * s;
                if (ky >= 0 && ky < k && kx >= 0 && kx < k)
                    acc[r][c] = vec_fma_vec(acc[r][c], x, vec_load(weights + (ky * k + kx) * VL));
            }
        }
    }
    DEPTHWISE_UNROLL
    for (int r = 0; r < n_rows; r++)
        DEPTHWISE_UNROLL
    for (int c = 0; c < n_columns; c++)
        depthwise_store(tile->output + r * tile->output_row + c * tile->pixel + channel, acc[r][c],
                        partial, tile->n_channels);
}

/* Any kernel size and stride, one row of outputs. */
static inline __attribute__((always_inline)) void
depthwise_general_block(const struct dwb_depthwise_tile *tile, const float *weights,
                        uint32_t channel, const int n_columns, const int border, const int partial)
{
    const int32_t k = (int32_t)tile->kernel_size, s = (int32_t)tile->stride;
    const ptrdiff_t step = s * tile->pixel;
    vec acc[DWB_DEPTHWISE_COLUMNS_MAX];

    DEPTHWISE_UNROLL
    for (int c = 0; c < n_columns; c++)
        acc[c] = vec_zero();
    for (int32_t ky = tile->row_first; ky < tile->row_end; ky++)
        for (int32_t kx = 0; kx < k; kx++) {
            const vec w = vec_load(weights + (ky * k + kx) * VL);
            const ptrdiff_t tap =
                tile->origin + ky * tile->input_row + kx * tile->pixel + (ptrdiff_t)channel;
            DEPTHWISE_UNROLL
            for (int c = 0; c < n_columns; c++) {
                const int32_t ix = c * s + kx;
                if (border && (ix < tile->column_first || ix >= tile->column_end))
                    continue;
                acc[c] = vec_fma_vec(
                    acc[c],
                    depthwise_load(tile->input + (tap + c * step), partial, tile->n_channels), w);
            }
        }
    DEPTHWISE_UNROLL
    for (int c = 0; c < n_columns; c++)
        depthwise_store(tile->output + c * tile->pixel + channel, acc[c], partial,
                        tile->n_channels);
}

#define DEPTHWISE_FN(tag_, rows_, columns_, k_, s_, keep_)                                         \
    static void tag_##_inner_##rows_##_##columns_(const struct dwb_depthwise_tile *tile)           \
    {                                                                                              \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_block(tile, tile->weights + m * k_ * k_, m, rows_, columns_, k_, s_, 0, 0,   \
                            keep_);                                                                \
    }                                                                                              \
    static void tag_##_border_##rows_##_##columns_(const struct dwb_depthwise_tile *tile)          \
    {                                                                                              \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_block(tile, tile->weights + m * k_ * k_, m, rows_, columns_, k_, s_, 1, 0,   \
                            keep_);                                                                \
    }

#define DEPTHWISE_TAIL_FN(tag_, columns_, k_, s_)                                                  \
    static void tag_##_tail_##columns_(const struct dwb_depthwise_tile *tile)                      \
    {                                                                                              \
        depthwise_block(tile, tile->weights, 0, 1, columns_, k_, s_, 1, 1, 0);                     \
    }

#define DEPTHWISE_GENERAL_FN(columns_)                                                             \
    static void general_inner_1_##columns_(const struct dwb_depthwise_tile *tile)                  \
    {                                                                                              \
        const uint32_t taps = tile->kernel_size * tile->kernel_size;                               \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_general_block(tile, tile->weights + (size_t)m * taps, m, columns_, 0, 0);    \
    }                                                                                              \
    static void general_border_1_##columns_(const struct dwb_depthwise_tile *tile)                 \
    {                                                                                              \
        const uint32_t taps = tile->kernel_size * tile->kernel_size;                               \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_general_block(tile, tile->weights + (size_t)m * taps, m, columns_, 1, 0);    \
    }                                                                                              \
    static void general_tail_##columns_(const struct dwb_depthwise_tile *tile)                     \
    {                                                                                              \
        depthwise_general_block(tile, tile->weights, 0, columns_, 1, 1);                           \
    }

#define DEPTHWISE_ROW_4(tag_, part_)                                                               \
    tag_##_##part_##_1, tag_##_##part_##_2, tag_##_##part_##_3, tag_##_##part_##_4
#define DEPTHWISE_ROW_7(tag_, part_)                                                               \
    DEPTHWISE_ROW_4(tag_, part_), tag_##_##part_##_5, tag_##_##part_##_6, tag_##_##part_##_7
#define DEPTHWISE_ROW_8(tag_, part_) DEPTHWISE_ROW_7(tag_, part_), tag_##_##part_##_8

#define DEPTHWISE_FNS_4(tag_, rows_, k_, s_, keep_)                                                \
    DEPTHWISE_FN(tag_, rows_, 1, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 2, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 3, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 4, k_, s_, keep_)
#define DEPTHWISE_FNS_7(tag_, rows_, k_, s_, keep_)                                                \
    DEPTHWISE_FNS_4(tag_, rows_, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 5, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 6, k_, s_, keep_)                                                    \
    DEPTHWISE_FN(tag_, rows_, 7, k_, s_, keep_)
#define DEPTHWISE_TAIL_FNS_4(tag_, k_, s_)                                                         \
    DEPTHWISE_TAIL_FN(tag_, 1, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 2, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 3, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 4, k_, s_)
#define DEPTHWISE_TAIL_FNS_7(tag_, k_, s_)                                                         \
    DEPTHWISE_TAIL_FNS_4(tag_, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 5, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 6, k_, s_)                                                             \
    DEPTHWISE_TAIL_FN(tag_, 7, k_, s_)

/* Family of 2 rows x columns_ (4 or 7) for one kernel size and stride, and its kernel. */
#define DEPTHWISE_SHAPE(tag_, id_, columns_, k_, s_, keep_, isa_, flags_, priority_)               \
    DEPTHWISE_FNS_##columns_(tag_, 1, k_, s_, keep_)                                               \
        DEPTHWISE_FNS_##columns_(tag_, 2, k_, s_, keep_) DEPTHWISE_TAIL_FNS_##columns_(            \
            tag_, k_, s_) static const struct dwb_depthwise_family tag_##_family = {               \
            .lanes = VL,                                                                           \
            .n_rows_max = 2,                                                                       \
            .n_columns_max = columns_,                                                             \
            .inner = {{DEPTHWISE_ROW_##columns_(tag_, inner_1)},                                   \
                      {DEPTHWISE_ROW_##columns_(tag_, inner_2)}},                                  \
            .border = {{DEPTHWISE_ROW_##columns_(tag_, border_1)},                                 \
                       {DEPTHWISE_ROW_##columns_(tag_, border_2)}},                                \
            .tail = {DEPTHWISE_ROW_##columns_(tag_, tail)},                                        \
    };                                                                                             \
    static bool tag_##_supports(const struct dwb_conv *conv)                                       \
    {                                                                                              \
        return conv->kernel_size == k_ && conv->stride == s_;                                      \
    }                                                                                              \
    DEPTHWISE_KERNEL(tag_, id_, tag_##_supports, isa_, flags_, priority_)

/* Family of 1 row x columns_ (4 or 8) for any kernel size and stride, and its kernel. */
#define DEPTHWISE_GENERAL(id_, columns_, isa_, flags_, priority_)                                  \
    DEPTHWISE_GENERAL_FNS_##columns_ static const struct dwb_depthwise_family general_family = {   \
        .lanes = VL,                                                                               \
        .n_rows_max = 1,                                                                           \
        .n_columns_max = columns_,                                                                 \
        .inner = {{DEPTHWISE_ROW_##columns_(general, inner_1)}},                                   \
        .border = {{DEPTHWISE_ROW_##columns_(general, border_1)}},                                 \
        .tail = {DEPTHWISE_ROW_##columns_(general, tail)},                                         \
    };                                                                                             \
    DEPTHWISE_KERNEL(general, id_, NULL, isa_, flags_, priority_)

#define DEPTHWISE_GENERAL_FNS_4                                                                    \
    DEPTHWISE_GENERAL_FN(1)                                                                        \
    DEPTHWISE_GENERAL_FN(2) DEPTHWISE_GENERAL_FN(3) DEPTHWISE_GENERAL_FN(4)
#define DEPTHWISE_GENERAL_FNS_8                                                                    \
    DEPTHWISE_GENERAL_FNS_4                                                                        \
    DEPTHWISE_GENERAL_FN(5)                                                                        \
    DEPTHWISE_GENERAL_FN(6) DEPTHWISE_GENERAL_FN(7) DEPTHWISE_GENERAL_FN(8)

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
    }
