/* Probes: NEON; 24 chains where 8 to 16 (latency 4, two to four pipes) are needed. */

#include "kernels/arm/neon_vec.h"

#include "kernels/internal.h"
#include "kernels/probe_template.h"

PROBES(neon, 24)
