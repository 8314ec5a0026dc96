#include "reef/io/checksum.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/io/internal/sha256_blocks.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // of its ways to SHA-256 the one that costs a command no start-up
#include <openssl/sha.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace reef::io {
namespace internal {

void sha256_blocks_library(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  SHA256_CTX context{};
  std::copy(state.begin(), state.end(), context.h);
  ::SHA256_Update(&context, blocks, kSha256BlockBytes * count);
  std::copy(context.h, context.h + state.size(), state.begin());
}

}  // namespace internal

namespace {

constexpr std::size_t kBlockBytes = internal::kSha256BlockBytes;

/// REEF_ISA=baseline leaves the blocks to OpenSSL, as a CPU without SHA instructions does, so that tests cover both
/// ways.
bool keeps_to_baseline() {
  const char* isa = std::getenv("REEF_ISA");
  return isa != nullptr && std::string_view(isa) == "baseline";
}

internal::Sha256Blocks choose_blocks() {
  const internal::Sha256Blocks native = keeps_to_baseline() ? nullptr : internal::sha256_blocks_native();
  return native != nullptr ? native : internal::sha256_blocks_library;
}

/// nullptr where two messages at once are no faster than one after the other.
internal::Sha256PairBlocks pair_blocks() {
  static const internal::Sha256PairBlocks chosen =
      keeps_to_baseline() ? nullptr : internal::sha256_pair_blocks_native();
  return chosen;
}

void take_blocks(internal::Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  static const internal::Sha256Blocks chosen = choose_blocks();
  if (count > 0) chosen(state, blocks, count);
}

}  // namespace

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}

void Sha256::update(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  const std::size_t waiting = length_ % kBlockBytes;
  length_ += bytes.size();
  if (waiting > 0) {
    const std::size_t taken = std::min(bytes.size(), kBlockBytes - waiting);
    std::memcpy(block_.data() + waiting, bytes.data(), taken);
    bytes = bytes.subspan(taken);
    if (waiting + taken < kBlockBytes) return;
    take_blocks(state_, block_.data(), 1);
  }
  const std::size_t whole = bytes.size() / kBlockBytes;
  take_blocks(state_, bytes.data(), whole);
  bytes = bytes.subspan(whole * kBlockBytes);
  if (!bytes.empty()) std::memcpy(block_.data(), bytes.data(), bytes.size());
}

Sha256Digest Sha256::update_and_digest(std::span<const std::uint8_t> bytes) {
  Sha256 alone;
  const std::size_t taken = bytes.size() / kBlockBytes * kBlockBytes;
  if (const internal::Sha256PairBlocks pair = pair_blocks(); pair != nullptr && length_ % kBlockBytes == 0) {
    pair(state_, bytes.data(), alone.state_, bytes.data(), taken / kBlockBytes);
    length_ += taken;
    alone.length_ = taken;
    bytes = bytes.subspan(taken);
  }
  update(bytes);
  alone.update(bytes);
  return alone.finish();
}

Sha256Digest Sha256::finish() {
  // One bit, zeros up to 8 bytes before the end of a block, the length in bits (section 5.1.1).
  const std::uint64_t bits = length_ * 8;
  std::array<std::uint8_t, kBlockBytes + 8> padding{0x80};
  const std::size_t waiting = length_ % kBlockBytes;
  const std::size_t zeros_end = (waiting < 56 ? 56 : 120) - waiting;
  for (std::size_t i = 0; i < 8; ++i) padding[zeros_end + i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
  update(std::span<const std::uint8_t>(padding).first(zeros_end + 8));
  Sha256Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

Sha256Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Sha256Digest sha256(std::span<const std::uint8_t> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::array<Sha256Digest, 2> sha256_pair(std::span<const std::uint8_t> first, std::span<const std::uint8_t> second) {
  Sha256 a, b;
  if (const internal::Sha256PairBlocks pair = pair_blocks(); pair != nullptr) {
    const std::size_t blocks = first.size() / kBlockBytes;
    const std::size_t taken = blocks * kBlockBytes;
    pair(a.state_, first.data(), b.state_, second.data(), blocks);
    a.length_ = b.length_ = taken;
    first = first.subspan(taken);
    second = second.subspan(taken);
  }
  a.update(first);
  b.update(second);
  return {a.finish(), b.finish()};
}

Sha256Digest sha256_file(const std::filesystem::path& path, const std::function<void(std::uint64_t)>& on_bytes) {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  const UniqueFd fd = open_file(path, O_RDONLY);
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<std::uint8_t> buffer(kPieceBytes);
  Sha256 hash;
  while (true) {
    check_interrupt();
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read", shown(path));
    if (count == 0) return hash.finish();
    hash.update(std::span<const std::uint8_t>(buffer).first(static_cast<std::size_t>(count)));
    if (on_bytes) on_bytes(static_cast<std::uint64_t>(count));
  }
}

std::string to_hex(const Sha256Digest& digest) { return reef::to_hex(digest); }

Sha256Digest digest_from_hex(std::string_view digits) {
  Sha256Digest digest{};
  const auto bytes = from_hex(digits);
  if (bytes && bytes->size() == digest.size()) std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

std::uint64_t xxh3(std::span<const std::uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint64_t xxh64(std::span<const std::uint8_t> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

}  // namespace reef::io
