/*
 * Register-tile kernels of one ISA (contract: kernels/tile.h). An ISA file includes its *_vec.h,
 * then this, and instantiates TILE(first half, second half, vectors) for each size it can hold in
 * registers. Everything about the size is a constant after inlining, so the accumulators become
 * registers; check the disassembly for spills when a size is added.
 */

#include "kernels/tile.h"

/* Makes a value opaque to the optimiser, which would otherwise keep one induction variable a pixel
 * and run out of general registers. */
#define TILE_OPAQUE(value_) __asm__("" : "+r"(value_))

/* Pixel i of a half: four from one pointer (steps 0-3 are one address each), three from the next.
 */
#define TILE_PIXEL(low_, high_, i_)                                                                \
    ((const float *)((i_) < 4 ? (low_) + (i_)*step : (high_) + ((i_)-4) * step))

#define TILE_UNROLL _Pragma("GCC unroll 32")

#define TILE_INLINE static inline __attribute__((always_inline))

TILE_INLINE void tile_load(const char *low, const char *high, const ptrdiff_t step, const int n,
                           const int n_vectors, const uint32_t tail, vec *acc)
{
    TILE_UNROLL
    for (int i = 0; i < n; i++) {
        const float *output = TILE_PIXEL(low, high, i);
        TILE_UNROLL
        for (int v = 0; v < n_vectors; v++)
            acc[i * n_vectors + v] = v < n_vectors - 1 || tail == VL
                                         ? vec_load(output + v * VL)
                                         : vec_load_n(output + v * VL, tail);
    }
}

TILE_INLINE void tile_store(char *low, char *high, const ptrdiff_t step, const int n,
                            const int n_vectors, const uint32_t tail, const vec *acc)
{
    TILE_UNROLL
    for (int i = 0; i < n; i++) {
        float *output = (float *)TILE_PIXEL(low, high, i);
        TILE_UNROLL
        for (int v = 0; v < n_vectors; v++)
            if (v < n_vectors - 1 || tail == VL)
                vec_store(output + v * VL, acc[i * n_vectors + v]);
            else
                vec_store_n(output + v * VL, acc[i * n_vectors + v], tail);
    }
}

/* An ISA file may name a template of its own for a row of taps. A tile has the weights that it has
 * just read prefetched once there is nothing else to; such a row gets NULL then, and leaves it. */
#ifdef TILE_ROW_TEMPLATE
#define TILE_PREFETCH_IDLE(weights_) NULL
#include TILE_ROW_TEMPLATE
#else
#define TILE_PREFETCH_IDLE(weights_) ((const char *)(weights_))

/* One row of taps: `length` steps from the inputs of the halves and the weights on. */
TILE_INLINE const char *tile_row(const char *a0, const char *b0, ptrdiff_t step,
                                 const float *weights, uint32_t length, const char *prefetch,
                                 const ptrdiff_t prefetch_step, const int n0, const int n1,
                                 const int n_vectors, vec *acc)
{
    const char *a4 = a0 + 4 * step, *b4 = b0 + 4 * step;

    for (; length; length--) {
        vec w[DWB_TILE_VECTORS_MAX];

        TILE_OPAQUE(a0);
        TILE_OPAQUE(a4);
        TILE_OPAQUE(b0);
        TILE_OPAQUE(b4);
        __builtin_prefetch(prefetch, 0, 2);
        prefetch += prefetch_step;
        TILE_UNROLL
        for (int v = 0; v < n_vectors; v++)
            w[v] = vec_load(weights + v * VL);
        weights += n_vectors * VL;
        TILE_UNROLL
        for (int i = 0; i < n0 + n1; i++) {
            const bcast x = vec_bcast(
                (const float *)(i < n0 ? TILE_PIXEL(a0, a4, i) : TILE_PIXEL(b0, b4, i - n0)));
            TILE_UNROLL
            for (int v = 0; v < n_vectors; v++)
                acc[i * n_vectors + v] = vec_fma(acc[i * n_vectors + v], w[v], x);
        }
        a0 += sizeof(float);
        a4 += sizeof(float);
        b0 += sizeof(float);
        b4 += sizeof(float);
    }
    return prefetch;
}
#endif

/* The fields are copied first: stores to the output could change them, for all the compiler knows.
 */
TILE_INLINE void tile_body(const struct dwb_tile *tile, const int n0, const int n1,
                           const int n_vectors)
{
    const ptrdiff_t bytes = sizeof(float);
    const char *in0 = (const char *)tile->input[0], *in1 = (const char *)tile->input[1];
    char *out0 = (char *)tile->output[0], *out1 = (char *)tile->output[1];
    const char *prefetch = (const char *)tile->prefetch;
    const char *const prefetch_end = (const char *)tile->prefetch_end;
    const ptrdiff_t prefetch_step = tile->prefetch_step;
    const ptrdiff_t input_row = tile->input_row * bytes, weights_row = tile->weights_row;
    const ptrdiff_t input_advance = tile->input_advance * bytes;
    const ptrdiff_t output_advance = tile->output_advance * bytes;
    ptrdiff_t input_step = tile->input_step * bytes, output_step = tile->output_step * bytes;
    const uint32_t tail = tile->n_channels - (uint32_t)(n_vectors - 1) * VL;
    const uint32_t n_rows = tile->n_rows, length = tile->length;
    const bool accumulate = tile->accumulate;

    TILE_OPAQUE(input_step);
    TILE_OPAQUE(output_step);
    for (uint32_t left = tile->n_tiles; left; left--) {
        char *out4 = out0 + 4 * output_step, *out5 = out1 + 4 * output_step;
        vec acc[DWB_TILE_PIXELS_MAX * DWB_TILE_VECTORS_MAX];

        if (accumulate) {
            tile_load(out0, out4, output_step, n0, n_vectors, tail, acc);
            tile_load(out1, out5, output_step, n1, n_vectors, tail, acc + n0 * n_vectors);
        } else {
            TILE_UNROLL
            for (int i = 0; i < (n0 + n1) * n_vectors; i++)
                acc[i] = vec_zero();
        }
        if (prefetch >= prefetch_end)
            prefetch = TILE_PREFETCH_IDLE(tile->weights);
        for (uint32_t row = 0; row < n_rows; row++)
            prefetch = tile_row(in0 + row * input_row, in1 + row * input_row, input_step,
                                tile->weights + row * weights_row, length, prefetch, prefetch_step,
                                n0, n1, n_vectors, acc);
        tile_store(out0, out4, output_step, n0, n_vectors, tail, acc);
        tile_store(out1, out5, output_step, n1, n_vectors, tail, acc + n0 * n_vectors);
        in0 += input_advance;
        in1 += input_advance;
        out0 += output_advance;
        out1 += output_advance;
    }
}

#define TILE(n0_, n1_, vectors_)                                                                   \
    static void tile_##n0_##_##n1_##_##vectors_(const struct dwb_tile *tile)                       \
    {                                                                                              \
        tile_body(tile, n0_, n1_, vectors_);                                                       \
    }

/* All sizes up to 4, 6, 7, 8, 10, 12, 14 pixels, and their row of the family's table. */
#define TILES_4(v_)  TILE(1, 0, v_) TILE(1, 1, v_) TILE(2, 1, v_) TILE(2, 2, v_)
#define TILES_6(v_)  TILES_4(v_) TILE(3, 2, v_) TILE(3, 3, v_)
#define TILES_7(v_)  TILES_6(v_) TILE(4, 3, v_)
#define TILES_8(v_)  TILES_7(v_) TILE(4, 4, v_)
#define TILES_10(v_) TILES_8(v_) TILE(5, 4, v_) TILE(5, 5, v_)
#define TILES_12(v_) TILES_10(v_) TILE(6, 5, v_) TILE(6, 6, v_)
#define TILES_14(v_) TILES_12(v_) TILE(7, 6, v_) TILE(7, 7, v_)

#define TILE_ROW_4(v_)  NULL, tile_1_0_##v_, tile_1_1_##v_, tile_2_1_##v_, tile_2_2_##v_
#define TILE_ROW_6(v_)  TILE_ROW_4(v_), tile_3_2_##v_, tile_3_3_##v_
#define TILE_ROW_7(v_)  TILE_ROW_6(v_), tile_4_3_##v_
#define TILE_ROW_8(v_)  TILE_ROW_7(v_), tile_4_4_##v_
#define TILE_ROW_10(v_) TILE_ROW_8(v_), tile_5_4_##v_, tile_5_5_##v_
#define TILE_ROW_12(v_) TILE_ROW_10(v_), tile_6_5_##v_, tile_6_6_##v_
#define TILE_ROW_14(v_) TILE_ROW_12(v_), tile_7_6_##v_, tile_7_7_##v_

/* The standard and the pointwise kernel over `family`. */
#define TILE_KERNELS(conv_id_, pwconv_id_, isa_, flags_, priority_)                                \
    static size_t packed_bytes(const struct dwb_conv *conv)                                        \
    {                                                                                              \
        return dwb_tile_packed_bytes(&family, conv);                                               \
    }                                                                                              \
    static void pack(const struct dwb_conv *conv, const float *weights, float *packed)             \
    {                                                                                              \
        dwb_tile_pack(&family, conv, weights, packed);                                             \
    }                                                                                              \
    static void run(const struct dwb_kernel_args *args)                                            \
    {                                                                                              \
        dwb_tile_run(&family, args);                                                               \
    }                                                                                              \
    TILE_KERNEL(conv_id_, DWB_KERNEL_STANDARD, isa_, flags_, priority_);                           \
    TILE_KERNEL(pwconv_id_, DWB_KERNEL_POINTWISE, isa_, flags_, priority_)

#define TILE_KERNEL(id_, op_, isa_, flags_, priority_)                                             \
    DWB_KERNEL_DEFINE(id_) = {                                                                     \
        .name = #id_,                                                                              \
        .op = op_,                                                                                 \
        .isa = isa_,                                                                               \
        .algorithm = "direct",                                                                     \
        .cpu_flags = flags_,                                                                       \
        .skips_padding = true,                                                                     \
        .priority = priority_,                                                                     \
        .packed_bytes = packed_bytes,                                                              \
        .pack = pack,                                                                              \
        .scratch_bytes = dwb_tile_scratch_bytes,                                                   \
        .run = run,                                                                                \
        .tiles = &family,                                                                          \
    }
