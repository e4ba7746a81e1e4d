#pragma once

/*
 * What the paper says a layer costs, in multiply-adds (Howard et al. 2017, section 3.1), with the
 * output size Dy in place of Dx where there is a stride:
 *
 *   standard   Dk^2 M N Dy^2      depthwise  Dk^2 M Dy^2      pointwise  M N Dy^2
 *   ratio = (depthwise + pointwise) / standard = 1/N + 1/Dk^2
 *
 * `nominal` is the formula, taps on padding included. `executed` counts only taps that fall on the
 * input: along one axis T = sum over outputs of the taps inside [0, Dx), so Dk^2 Dy^2 becomes T^2.
 * One multiply-add is 2 FLOP. Dead SIMD lanes are not counted in either.
 */

#include "common/layer.h"

struct dwb_macs {
    uint64_t standard;
    uint64_t depthwise;
    uint64_t pointwise;
    uint64_t separable; /* depthwise + pointwise */
};

struct dwb_theory {
    struct dwb_macs nominal;
    struct dwb_macs executed;
    uint64_t standard_parameters;  /* Dk^2 M N; no biases, no batch norm */
    uint64_t separable_parameters; /* Dk^2 M + M N */
    double ratio;                  /* 1/N + 1/Dk^2, nominal */
};

/* 0, or -EOVERFLOW when a count does not fit 63 bits, -EINVAL when the layer has no output. */
int dwb_theory_of(const struct dwb_layer *layer, struct dwb_theory *ret_theory);
