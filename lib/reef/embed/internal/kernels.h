#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "reef/embed/internal/network.h"

namespace reef::embed::internal {

/// How exactly a matrix product sees its input: rounded anew for each row (token), with one scale.
enum class Activations {
  kBits14,  ///< Questions: only the rounding of the weights is left.
  kBits8,   ///< Passages: twice the speed on VNNI.
};

/// Memory for intermediate results that a thread keeps between calls. Never cleared: a question's
/// fresh pages cost a fault each.
class Workspace {
 public:
  /// At least `bytes`, aligned to a line; the content of earlier calls is lost.
  std::byte* reserve(std::size_t bytes);

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_ = 0;
};

/// The forward pass for one instruction set. Every set gives the same bytes: the integer products
/// are exact and float additions happen in one order everywhere (never fused; the build says
/// -ffp-contract=off). Texts go through together, row by row and without padding; nothing but a
/// text's own rows enters its vector, so a batch changes nothing either.
struct Kernels {
  /// texts[i] are the tokens of one text, 1 to network.positions of them with ids under
  /// network.words; `out` gets one unit vector of `hidden` floats per text.
  void (*forward)(const Network& network, std::span<const Tokens> texts, Activations activations, Workspace& workspace,
                  float* out);
  const char* name;
};

/// The fastest set that this CPU has, chosen once; REEF_ISA=avx2|baseline forces a lower one.
const Kernels& kernels();

extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kBaselineKernels;

}  // namespace reef::embed::internal
