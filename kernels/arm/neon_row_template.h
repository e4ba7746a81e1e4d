/*
 * A row of taps on NEON, in place of the one in kernels/tile_template.h, which includes this.
 *
 * Four steps at a time: one load brings the next four input floats of a pixel, and each of the four
 * steps multiplies by one element of it. So n pixels and v vectors take n + 4 v vectors of loads,
 * the weights in pairs, for 4 n v multiply-adds. The last steps of a row, fewer than four, load
 * single floats: nothing past the run is read. A size fits when its sums, n vectors of input and
 * two of weights are at most 32 registers; that there is no room for more is why the compiler must
 * leave the order of the loads alone (-fno-schedule-insns, kernels/meson.build).
 */

enum { ROW_STEPS = 4 };

/* Four steps: the floats of the pixels `at` bytes past their pointers, four lines of weights. */
TILE_INLINE void row_block(const char *const *pixels, const ptrdiff_t at, const float *weights,
                           const int n, const int n_vectors, vec *acc)
{
    vec x[DWB_TILE_PIXELS_MAX];

    TILE_UNROLL
    for (int i = 0; i < n; i++)
        x[i] = vec_load((const float *)(pixels[i] + at));
    TILE_UNROLL
    for (int k = 0; k < ROW_STEPS * n_vectors; k += 2) {
        const vec w[2] = {vec_load(weights + k * VL), vec_load(weights + (k + 1) * VL)};

        TILE_UNROLL
        for (int i = 0; i < 2 * n; i++) {
            const int pixel = i % n, line = k + i / n;
            vec *sum = acc + pixel * n_vectors + line % n_vectors;

            *sum = vec_fma_element(*sum, w[i / n], x[pixel], line / n_vectors);
        }
    }
}

/* Steps four at a time from `at` < 0, of which the pixels' pointers are the end; each time n_lines
 * from `prefetch` on are prefetched. Returns the weights that follow. */
TILE_INLINE const float *row_blocks(const char *const *pixels, ptrdiff_t at, const float *weights,
                                    const char *prefetch, const ptrdiff_t prefetch_step,
                                    const int n_lines, const int n, const int n_vectors, vec *acc)
{
    for (; at; at += ROW_STEPS * (ptrdiff_t)sizeof(float)) {
        TILE_UNROLL
        for (int line = 0; line < n_lines; line++)
            __builtin_prefetch(prefetch + 64 * line, 0, 2);
        prefetch += n_lines ? ROW_STEPS * prefetch_step : 0;
        TILE_OPAQUE(at);
        TILE_OPAQUE(weights);
        row_block(pixels, at, weights, n, n_vectors, acc);
        weights += ROW_STEPS * n_vectors * VL;
    }
    return weights;
}

TILE_INLINE const char *tile_row(const char *a0, const char *b0, const ptrdiff_t step,
                                 const float *weights, const uint32_t length, const char *prefetch,
                                 const ptrdiff_t prefetch_step, const int n0, const int n1,
                                 const int n_vectors, vec *acc)
{
    const uint32_t n_single = length % ROW_STEPS, n_blocked = length - n_single;
    const ptrdiff_t bytes = (ptrdiff_t)(n_blocked * sizeof(float));
    const char *pixels[DWB_TILE_PIXELS_MAX];

    TILE_UNROLL
    for (int i = 0; i < n0 + n1; i++) {
        pixels[i] = (i < n0 ? a0 + i * step : b0 + (i - n0) * step) + bytes;
        TILE_OPAQUE(pixels[i]);
    }
#define ROW_BLOCKS(n_lines_)                                                                       \
    row_blocks(pixels, -bytes, weights, prefetch, prefetch_step, n_lines_, n0 + n1, n_vectors, acc)
    if (!prefetch)
        weights = ROW_BLOCKS(0);
    else if (ROW_STEPS * prefetch_step <= 64)
        weights = ROW_BLOCKS(1);
    else
        weights = ROW_BLOCKS(ROW_STEPS);
#undef ROW_BLOCKS
    if (prefetch)
        prefetch += (ptrdiff_t)length * prefetch_step;
    for (uint32_t i = 0; i < n_single; i++, weights += n_vectors * VL) {
        TILE_UNROLL
        for (int k = 0; k < (n0 + n1) * n_vectors; k++) {
            const float x = ((const float *)pixels[k / n_vectors])[i];

            acc[k] = vec_fma(acc[k], vec_load(weights + k % n_vectors * VL), vec_bcast(&x));
        }
    }
    return prefetch;
}
