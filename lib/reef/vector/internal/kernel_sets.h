#pragma once

#include <vector>

#include "reef/vector/kernels.h"

namespace reef::vector::internal {

/// Every set that this processor can run, fastest first; the last one is "baseline". All of them
/// give the same bits, and the tests hold them to it.
std::vector<Kernels> supported_kernels();

/// The set that `limit` (the value of REEF_ISA, null when unset) leaves. Throws Error{usage} for a
/// name that is none.
Kernels choose_kernels(const char* limit);

}  // namespace reef::vector::internal
