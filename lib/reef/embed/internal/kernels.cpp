#include "reef/embed/internal/kernels.h"

#include <cstdlib>
#include <new>
#include <string_view>

namespace reef::embed::internal {
namespace {

const Kernels& choose() {
  const char* forced = std::getenv("REEF_ISA");
  const std::string_view limit = forced != nullptr ? forced : "";
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  const bool vnni = avx2 && __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                    __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
  if (limit == "baseline" || !avx2) return kBaselineKernels;
  return vnni && limit != "avx2" ? kAvx512Kernels : kAvx2Kernels;
}

}  // namespace

void Workspace::Free::operator()(std::byte* memory) const noexcept { std::free(memory); }

std::byte* Workspace::reserve(std::size_t bytes) {
  if (bytes > bytes_) {
    memory_.reset();
    bytes_ = 0;
    const std::size_t whole = round_up(bytes, 64);
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, whole)));
    if (!memory_) throw std::bad_alloc();
    bytes_ = whole;
  }
  return memory_.get();
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace reef::embed::internal
