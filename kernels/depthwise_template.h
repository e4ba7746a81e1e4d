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
 * One vector of channels from `channel` on. left, right: columns of the window that are missing;
 * left < 0: any, to be looked up. keep: all weights fit in registers beside the outputs;
 * if not, they are read again for each row of the window.
 */
static inline __attribute__((always_inline)) void
depthwise_block(const struct dwb_depthwise_tile *tile, const float *weights, uint32_t channel,
                const int n_rows, const int n_columns, const int k, const int s, const int left,
                const int right, const int partial, const int keep)
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
        if (iy < tile->row_first || iy >= tile->row_end)
            continue;
        const float *row = input + (origin + iy * tile->input_row);
        if (!keep)
            DEPTHWISE_OPAQUE(weights);
        DEPTHWISE_UNROLL
        for (int ix = 0; ix < (n_columns - 1) * s + k; ix++) {
            if (left >= 0 ? ix < left || ix >= (n_columns - 1) * s + k - right
                          : ix < tile->column_first || ix >= tile->column_end)
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
        depthwise_store(tile->output + r * tile->output_row + c * tile->output_pixel + channel,
                        acc[r][c], partial, tile->n_channels);
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
        depthwise_store(tile->output + c * tile->output_pixel + channel, acc[c], partial,
                        tile->n_channels);
}

/* Columns left_ and right_ missing, rows_ x columns_ outputs. The tile is copied, so that its
 * fields stay in registers over the stores. */
#define DEPTHWISE_EDGE_FN(tag_, rows_, columns_, k_, s_, left_, right_, keep_)                     \
    static void tag_##_edge_##left_##right_##_##rows_##_##columns_(                                \
        const struct dwb_depthwise_tile *first)                                                    \
    {                                                                                              \
        struct dwb_depthwise_tile tile = *first;                                                   \
        for (uint32_t left = tile.n_tiles; left; left--) {                                         \
            for (uint32_t m = 0; m + VL <= tile.n_channels; m += VL)                               \
                depthwise_block(&tile, tile.weights + m * k_ * k_, m, rows_, columns_, k_, s_,     \
                                left_, right_, 0, keep_);                                          \
            tile.origin += tile.input_advance;                                                     \
            tile.output += tile.output_advance;                                                    \
        }                                                                                          \
    }

#define DEPTHWISE_BORDER_FN(tag_, columns_, k_, s_)                                                \
    static void tag_##_border_##columns_(const struct dwb_depthwise_tile *tile)                    \
    {                                                                                              \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_block(tile, tile->weights + m * k_ * k_, m, 1, columns_, k_, s_, -1, -1, 0,  \
                            0);                                                                    \
    }                                                                                              \
    static void tag_##_tail_##columns_(const struct dwb_depthwise_tile *tile)                      \
    {                                                                                              \
        depthwise_block(tile, tile->weights, 0, 1, columns_, k_, s_, -1, -1, 1, 0);                \
    }

#define DEPTHWISE_GENERAL_FN(columns_)                                                             \
    static void general_edge_00_1_##columns_(const struct dwb_depthwise_tile *first)               \
    {                                                                                              \
        struct dwb_depthwise_tile tile = *first;                                                   \
        const size_t taps = tile.kernel_size * tile.kernel_size;                                   \
        for (uint32_t left = tile.n_tiles; left; left--) {                                         \
            for (uint32_t m = 0; m + VL <= tile.n_channels; m += VL)                               \
                depthwise_general_block(&tile, tile.weights + m * taps, m, columns_, 0, 0);        \
            tile.origin += tile.input_advance;                                                     \
            tile.output += tile.output_advance;                                                    \
        }                                                                                          \
    }                                                                                              \
    static void general_border_##columns_(const struct dwb_depthwise_tile *tile)                   \
    {                                                                                              \
        const size_t taps = tile->kernel_size * tile->kernel_size;                                 \
        for (uint32_t m = 0; m + VL <= tile->n_channels; m += VL)                                  \
            depthwise_general_block(tile, tile->weights + m * taps, m, columns_, 1, 0);            \
    }                                                                                              \
    static void general_tail_##columns_(const struct dwb_depthwise_tile *tile)                     \
    {                                                                                              \
        depthwise_general_block(tile, tile->weights, 0, columns_, 1, 1);                           \
    }

/* For families of up to 4 columns, edges are made for 3 and 4, for those of 7, for 4 to 7: wider
 * maps are cut into nothing narrower. */
#define DEPTHWISE_EDGE_FNS_4(tag_, rows_, k_, s_, left_, right_, keep_)                            \
    DEPTHWISE_EDGE_FN(tag_, rows_, 3, k_, s_, left_, right_, keep_)                                \
    DEPTHWISE_EDGE_FN(tag_, rows_, 4, k_, s_, left_, right_, keep_)
#define DEPTHWISE_EDGE_FNS_7(tag_, rows_, k_, s_, left_, right_, keep_)                            \
    DEPTHWISE_EDGE_FN(tag_, rows_, 4, k_, s_, left_, right_, keep_)                                \
    DEPTHWISE_EDGE_FN(tag_, rows_, 5, k_, s_, left_, right_, keep_)                                \
    DEPTHWISE_EDGE_FN(tag_, rows_, 6, k_, s_, left_, right_, keep_)                                \
    DEPTHWISE_EDGE_FN(tag_, rows_, 7, k_, s_, left_, right_, keep_)
#define DEPTHWISE_EDGE_ROW_4(tag_) NULL, NULL, tag_##3, tag_##4
#define DEPTHWISE_EDGE_ROW_7(tag_) NULL, NULL, NULL, tag_##4, tag_##5, tag_##6, tag_##7

#define DEPTHWISE_EDGE_FNS(tag_, columns_, k_, s_, left_, right_, keep_)                           \
    DEPTHWISE_EDGE_FNS_##columns_(tag_, 1, k_, s_, left_, right_, keep_)                           \
        DEPTHWISE_EDGE_FNS_##columns_(tag_, 2, k_, s_, left_, right_, keep_)
#define DEPTHWISE_EDGE(tag_, columns_, left_, right_)                                              \
    {                                                                                              \
        left_, right_,                                                                             \
        {                                                                                          \
            {DEPTHWISE_EDGE_ROW_##columns_(tag_##_edge_##left_##right_##_1_)},                     \
                {DEPTHWISE_EDGE_ROW_##columns_(tag_##_edge_##left_##right_##_2_)},                 \
        }                                                                                          \
    }

/* The missing columns that `same` makes: (Dk - 1) / 2 on both sides, less on the left for an even
 * input and stride 2. */
#define DEPTHWISE_EDGES_3(tag_, columns_, s_, keep_)                                               \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 3, s_, 0, 0, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 3, s_, 1, 0, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 3, s_, 0, 1, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 3, s_, 1, 1, keep_)
#define DEPTHWISE_EDGE_TABLE_3(tag_, columns_)                                                     \
    DEPTHWISE_EDGE(tag_, columns_, 0, 0), DEPTHWISE_EDGE(tag_, columns_, 1, 0),                    \
        DEPTHWISE_EDGE(tag_, columns_, 0, 1), DEPTHWISE_EDGE(tag_, columns_, 1, 1)
#define DEPTHWISE_EDGES_5(tag_, columns_, s_, keep_)                                               \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 0, 0, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 2, 0, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 0, 2, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 2, 2, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 1, 0, keep_)                                         \
    DEPTHWISE_EDGE_FNS(tag_, columns_, 5, s_, 1, 2, keep_)
#define DEPTHWISE_EDGE_TABLE_5(tag_, columns_)                                                     \
    DEPTHWISE_EDGE(tag_, columns_, 0, 0), DEPTHWISE_EDGE(tag_, columns_, 2, 0),                    \
        DEPTHWISE_EDGE(tag_, columns_, 0, 2), DEPTHWISE_EDGE(tag_, columns_, 2, 2),                \
        DEPTHWISE_EDGE(tag_, columns_, 1, 0), DEPTHWISE_EDGE(tag_, columns_, 1, 2)

#define DEPTHWISE_BORDER_FNS_4(tag_, k_, s_)                                                       \
    DEPTHWISE_BORDER_FN(tag_, 1, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 2, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 3, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 4, k_, s_)
#define DEPTHWISE_BORDER_FNS_7(tag_, k_, s_)                                                       \
    DEPTHWISE_BORDER_FNS_4(tag_, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 5, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 6, k_, s_)                                                           \
    DEPTHWISE_BORDER_FN(tag_, 7, k_, s_)
#define DEPTHWISE_GENERAL_FNS_4                                                                    \
    DEPTHWISE_GENERAL_FN(1)                                                                        \
    DEPTHWISE_GENERAL_FN(2)                                                                        \
    DEPTHWISE_GENERAL_FN(3)                                                                        \
    DEPTHWISE_GENERAL_FN(4)
#define DEPTHWISE_GENERAL_FNS_8                                                                    \
    DEPTHWISE_GENERAL_FNS_4                                                                        \
    DEPTHWISE_GENERAL_FN(5)                                                                        \
    DEPTHWISE_GENERAL_FN(6)                                                                        \
    DEPTHWISE_GENERAL_FN(7)                                                                        \
    DEPTHWISE_GENERAL_FN(8)

#define DEPTHWISE_ROW_4(tag_) tag_##1, tag_##2, tag_##3, tag_##4
#define DEPTHWISE_ROW_7(tag_) DEPTHWISE_ROW_4(tag_), tag_##5, tag_##6, tag_##7
#define DEPTHWISE_ROW_8(tag_) DEPTHWISE_ROW_7(tag_), tag_##8

/* Family of 2 rows x columns_ (4 or 7) for kernel size k_ (3 or 5) and one stride, and its kernel.
 */
#define DEPTHWISE_SHAPE(tag_, id_, columns_, k_, s_, keep_, isa_, flags_, priority_)               \
    DEPTHWISE_EDGES_##k_(tag_, columns_, s_, keep_) DEPTHWISE_BORDER_FNS_##columns_(               \
        tag_, k_, s_) static const struct dwb_depthwise_family tag_##_family = {                   \
        .lanes = VL,                                                                               \
        .n_rows_max = 2,                                                                           \
        .n_columns_max = columns_,                                                                 \
        .edges = {DEPTHWISE_EDGE_TABLE_##k_(tag_, columns_)},                                      \
        .border = {DEPTHWISE_ROW_##columns_(tag_##_border_)},                                      \
        .tail = {DEPTHWISE_ROW_##columns_(tag_##_tail_)},                                          \
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
        .edges = {{0, 0, {{DEPTHWISE_ROW_##columns_(general_edge_00_1_)}}}},                       \
        .border = {DEPTHWISE_ROW_##columns_(general_border_)},                                     \
        .tail = {DEPTHWISE_ROW_##columns_(general_tail_)},                                         \
    };                                                                                             \
    DEPTHWISE_KERNEL(general, id_, NULL, isa_, flags_, priority_)

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
