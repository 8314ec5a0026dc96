#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "reef/backup/internal/tar_sparse.h"

namespace reef::backup::internal {

inline constexpr std::size_t kNameBytes = 100;
inline constexpr std::size_t kPrefixBytes = 155;

/// The header of POSIX's ustar format: numbers in octal digits.
struct Ustar {
  std::array<char, kNameBytes> name{};
  std::array<char, 8> mode{}, uid{}, gid{};
  std::array<char, 12> size{}, mtime{};
  std::array<char, 8> checksum{};
  char type = 0;
  std::array<char, kNameBytes> link{};
  std::array<char, 8> magic{};
  std::array<char, 32> user{}, group{};
  std::array<char, 8> major{}, minor{};
  std::array<char, kPrefixBytes> prefix{};
  std::array<char, 12> unused{};
};
static_assert(sizeof(Ustar) == kTarBlock);
inline constexpr std::array<char, 8> kUstarMagic = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

/// The sum of the bytes, those of the checksum itself taken for spaces.
inline std::uint64_t checksum_of(const Ustar& header) {
  Ustar blank = header;
  blank.checksum.fill(' ');
  std::array<std::uint8_t, kTarBlock> bytes{};
  std::memcpy(bytes.data(), &blank, sizeof blank);
  std::uint64_t sum = 0;
  for (const std::uint8_t byte : bytes) sum += byte;
  return sum;
}

}  // namespace reef::backup::internal
