#include "reef/backup/internal/block_codec.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

constexpr int kLevel = 1;
constexpr std::size_t kLeastGain = 8;  ///< compressed bytes must be fewer by this part
constexpr unsigned kMostSkipped = 63;  ///< a segment of a file without a try

struct FreeDecoder {
  void operator()(ZSTD_DCtx* context) const { ::ZSTD_freeDCtx(context); }
};

ZSTD_DCtx& decoder() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecoder> context(::ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  return *context;
}

std::uint32_t sum_of(std::span<const std::uint8_t> stored) { return static_cast<std::uint32_t>(io::xxh3(stored)); }

bool decode(const StoredBlock& block, std::span<const std::uint8_t> stored, std::span<std::uint8_t> into) {
  if (block.stored_sum != sum_of(stored)) return false;
  if (block.codec == Codec::raw) {
    if (stored.size() != into.size()) return false;
    if (stored.data() != into.data()) std::memcpy(into.data(), stored.data(), stored.size());
    return true;
  }
  if (block.codec != Codec::zstd) return false;
  const std::size_t got = ::ZSTD_decompressDCtx(&decoder(), into.data(), into.size(), stored.data(), stored.size());
  return ::ZSTD_isError(got) == 0U && got == into.size();
}

}  // namespace

struct BlockEncoder::Context {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ::ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> zstd{::ZSTD_createCCtx()};
};

BlockEncoder::BlockEncoder() : context_(std::make_unique<Context>()) {
  if (!context_->zstd) throw std::bad_alloc();
}
BlockEncoder::~BlockEncoder() = default;
BlockEncoder::BlockEncoder(BlockEncoder&&) noexcept = default;

void BlockEncoder::encode(std::span<const std::uint8_t> bytes, StoredBlock& block, std::vector<std::uint8_t>& out) {
  const std::size_t begin = out.size();
  block.bytes = static_cast<std::uint32_t>(bytes.size());
  block.codec = Codec::raw;
  if (skip_ > 0) {
    --skip_;
  } else {
    out.resize(begin + ::ZSTD_compressBound(bytes.size()));
    const std::size_t packed = ::ZSTD_compressCCtx(context_->zstd.get(), out.data() + begin, out.size() - begin,
                                                   bytes.data(), bytes.size(), kLevel);
    if (::ZSTD_isError(packed) == 0U && packed < bytes.size() - bytes.size() / kLeastGain) {
      block.codec = Codec::zstd;
      out.resize(begin + packed);
      next_skip_ = 0;
    } else {
      skip_ = next_skip_;
      next_skip_ = std::min(next_skip_ * 2 + 1, kMostSkipped);
    }
  }
  if (block.codec == Codec::raw) {
    out.resize(begin);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  const auto stored = std::span<const std::uint8_t>(out).subspan(begin);
  block.stored = static_cast<std::uint32_t>(stored.size());
  block.stored_sum = sum_of(stored);
}

void name_blocks(std::span<const std::span<const std::uint8_t>> contents, std::span<StoredBlock> blocks) {
  std::size_t i = 0;
  for (; i + 1 < contents.size(); ++i) {
    if (contents[i].size() != contents[i + 1].size()) {
      blocks[i].name = io::sha256(contents[i]);
      continue;
    }
    const auto names = io::sha256_pair(contents[i], contents[i + 1]);
    blocks[i].name = names[0];
    blocks[++i].name = names[1];
  }
  if (i < contents.size()) blocks[i].name = io::sha256(contents[i]);
}

void decode_blocks(std::span<const StoredBlock> blocks, std::span<const std::uint8_t> stored,
                   std::span<std::uint8_t> into, const std::function<void(std::size_t)>& bad) {
  std::vector<std::span<const std::uint8_t>> contents;
  std::vector<StoredBlock> found(blocks.size());
  std::vector<std::size_t> which;
  contents.reserve(blocks.size());
  which.reserve(blocks.size());
  for (std::size_t i = 0, from = 0, to = 0; i < blocks.size(); ++i) {
    const auto target = into.subspan(to, blocks[i].bytes);
    if (decode(blocks[i], stored.subspan(from, blocks[i].stored), target)) {
      contents.push_back(target);
      which.push_back(i);
    } else {
      bad(i);
    }
    from += blocks[i].stored;
    to += blocks[i].bytes;
  }
  name_blocks(contents, found);
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (found[i].name != blocks[which[i]].name) bad(which[i]);
  }
}

bool is_zero(std::span<const std::uint8_t> bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace reef::backup::internal
