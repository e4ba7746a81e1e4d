/* Probes: AVX-512; 24 chains where 8 (latency 4, two ports) are needed. */

#include "kernels/x86/avx512_vec.h"

#include "kernels/internal.h"
#include "kernels/probe_template.h"

PROBES(avx512, 24)
