/* Probes: GNU vectors at the baseline of the ISA; 10 chains leave registers for the products. */

#include "kernels/portable_vec.h"

#include "kernels/internal.h"
#include "kernels/probe_template.h"

PROBES(portable, 10)
