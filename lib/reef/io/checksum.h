#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace reef::io {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// SHA-256 (FIPS 180-4), with the CPU's SHA instructions where it has them, two messages at once, else with OpenSSL's
/// code for blocks, linked into the command: the shared libcrypto costs 1.5 ms of start-up. The tests compare it with
/// coreutils' sha256sum.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::uint8_t> bytes);
  void update(std::string_view text) { update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }
  /// Takes the bytes in, and returns the digest of them alone: both in the time of one, as sha256_pair() does.
  Sha256Digest update_and_digest(std::span<const std::uint8_t> bytes);
  /// The digest of everything so far; the object is then spent.
  Sha256Digest finish();

 private:
  friend std::array<Sha256Digest, 2> sha256_pair(std::span<const std::uint8_t> first,
                                                 std::span<const std::uint8_t> second);

  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, 64> block_{};
  std::uint64_t length_ = 0;
};

Sha256Digest sha256(std::string_view bytes);
Sha256Digest sha256(std::span<const std::uint8_t> bytes);
/// The digests of two messages of one length, in the time of about one: a core with SHA instructions works on both at
/// once. Precondition: first.size() == second.size().
std::array<Sha256Digest, 2> sha256_pair(std::span<const std::uint8_t> first, std::span<const std::uint8_t> second);
/// Streams the file; `on_bytes` is told of each piece (for progress), and may throw to stop.
Sha256Digest sha256_file(const std::filesystem::path& path, const std::function<void(std::uint64_t)>& on_bytes = {});

std::string to_hex(const Sha256Digest& digest);
/// Reads what to_hex() writes. Anything else is the digest of zeros, which nothing has.
Sha256Digest digest_from_hex(std::string_view digits);

/// XXH3, 64 bits: finds torn and flipped bytes, proves nothing against an adversary.
std::uint64_t xxh3(std::span<const std::uint8_t> bytes);
/// XXH64, whose lower half is the checksum of zstd's frames.
std::uint64_t xxh64(std::span<const std::uint8_t> bytes);

}  // namespace reef::io
