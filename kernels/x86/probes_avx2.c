/* Probes: AVX2 + FMA; 12 chains where 8 (latency 4, two ports) are needed. */

#include "kernels/x86/avx2_vec.h"

#include "kernels/internal.h"
#include "kernels/probe_template.h"

PROBES(avx2, 12)
