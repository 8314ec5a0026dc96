#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reef::io::internal {

inline constexpr std::size_t kSha256BlockBytes = 64;
using Sha256State = std::array<std::uint32_t, 8>;

/// Takes `count` blocks of 64 bytes into `state` (FIPS 180-4, section 6.2.2).
using Sha256Blocks = void (*)(Sha256State& state, const std::uint8_t* blocks, std::size_t count);
/// The same for two messages at once.
using Sha256PairBlocks = void (*)(Sha256State& first, const std::uint8_t* first_blocks, Sha256State& second,
                                  const std::uint8_t* second_blocks, std::size_t count);

/// Through OpenSSL, which has code for the vectors of most processors.
void sha256_blocks_library(Sha256State& state, const std::uint8_t* blocks, std::size_t count);

/// Through the SHA extensions of x86; nullptr where this CPU has none.
Sha256Blocks sha256_blocks_native();
Sha256PairBlocks sha256_pair_blocks_native();

}  // namespace reef::io::internal
