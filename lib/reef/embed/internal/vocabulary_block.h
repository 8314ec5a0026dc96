#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The block that compile_vocabulary() makes and Tokenizer reads in place. All numbers are
/// little-endian; sections follow each other in this order, each at a multiple of 4:
///
///   header    64 bytes, BlockHeader
///   specials  {u32 id, u32 end of its text} for each token that is recognised in raw text
///   their text, padded to 4
///   slots     u32[header.slots], a power of two: open addressing with linear probing.
///             kEmptySlot, or 12 bits of the hash above the 20 bits of an id
///   ends      u32[header.words]: 2 * end of the piece's text + 1 when it continues a word ("##")
///   text      the pieces, one behind the other, without "##"; padded so that the block is a multiple of 8
///
/// Most probes of a longest-match search miss, and a miss ends in the slot: text is only read when
/// 12 bits of the hash agree. The hash of a prefix is a step towards the hash of the whole, so all
/// prefixes of a word cost one pass.
namespace reef::embed::internal {

static_assert(std::endian::native == std::endian::little, "blocks are used in place");

inline constexpr char kBlockMagic[8] = {'R', 'E', 'E', 'F', 'V', 'O', 'C', '1'};
inline constexpr std::uint32_t kEmptySlot = 0xffffffff;
inline constexpr std::uint32_t kIdBits = 20;
inline constexpr std::uint32_t kIdMask = (1u << kIdBits) - 1;
inline constexpr std::uint32_t kMaxWords = kIdMask;  ///< no id has all bits set, so no slot is kEmptySlot
inline constexpr std::uint32_t kMaxWordChars = 1000;
inline constexpr std::uint32_t kMaxSpecials = 4096;

enum BlockFlags : std::uint32_t { kCleanText = 1, kSpaceCjk = 2, kStripAccents = 4, kLowercase = 8 };

struct BlockHeader {
  char magic[8];
  std::uint32_t block_bytes;
  std::uint32_t flags;          ///< BlockFlags
  std::uint32_t specials;       ///< count
  std::uint32_t special_bytes;  ///< of their text, without padding
  std::uint32_t slots;
  std::uint32_t words;                 ///< highest id + 1
  std::uint32_t text_bytes;            ///< of the pieces, without padding
  std::uint32_t unknown, start, stop;  ///< ids of [UNK], [CLS], [SEP]
  std::uint32_t max_word_chars;        ///< a longer word is [UNK]
  std::uint32_t longest_piece;         ///< bytes
  std::uint32_t longest_probe;         ///< slots looked at to find any piece, which bounds every search
  std::uint32_t reserved;              ///< 0
};
static_assert(sizeof(BlockHeader) == 64);

struct SpecialEntry {
  std::uint32_t id;
  std::uint32_t end;  ///< of its text, among the specials' text
};

inline constexpr std::uint64_t kStartSeed = 0xcbf29ce484222325u;     ///< FNV-1a's offset basis
inline constexpr std::uint64_t kContinueSeed = 0x84222325cbf29ce4u;  ///< keeps "##s" and "s" apart

constexpr std::uint64_t hash_step(std::uint64_t hash, char byte) {
  return (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3u;
}
/// FNV leaves its low bits weak: one more multiplication, and slot and tag from the upper half.
constexpr std::uint64_t hash_end(std::uint64_t hash) { return (hash ^ hash >> 32) * 0x9e3779b97f4a7c15u; }
constexpr std::uint32_t slot_of(std::uint64_t hash, std::uint32_t slots) {
  return static_cast<std::uint32_t>(hash >> 32) & (slots - 1);
}
constexpr std::uint32_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> (32 - kIdBits)) << kIdBits;
}

/// Everything that decides a text's ids, as read from a model's files.
struct VocabularySource {
  std::string name;                               ///< the file, for messages
  std::map<std::string, std::uint32_t> words;     ///< "##" still in front of continuing pieces
  std::map<std::string, std::uint32_t> specials;  ///< recognised in raw text before anything else
  std::string unknown, start, stop;               ///< their texts
  std::uint32_t start_id = 0, stop_id = 0;
  std::uint32_t flags = kCleanText | kSpaceCjk | kStripAccents | kLowercase;
  std::uint32_t max_word_chars = 100;
};

/// Throws Error{corrupt} naming the file and the token that cannot be.
std::vector<std::uint8_t> build_block(const VocabularySource& source);

/// A block whose sections were found to lie inside of it. What a damaged section holds is checked
/// where it is used, so that opening reads 64 bytes and the specials, not 300 KB.
struct BlockView {
  BlockHeader header{};
  const SpecialEntry* specials = nullptr;
  const char* special_text = nullptr;
  const std::uint32_t* slots = nullptr;
  const std::uint32_t* ends = nullptr;
  const char* text = nullptr;

  /// Throws Error{corrupt}.
  static BlockView check(std::span<const std::uint8_t> block);
  /// For a block that check() has accepted.
  static BlockView of(std::span<const std::uint8_t> block);

  std::string_view special(std::uint32_t index) const {
    const std::uint32_t begin = index == 0 ? 0 : specials[index - 1].end;
    return {special_text + begin, specials[index].end - begin};
  }

  /// The piece with that text, kEmptySlot when there is none. `hash` is hash_end() of it.
  std::uint32_t find(std::uint64_t hash, std::string_view piece, bool continues) const {
    const std::uint32_t mask = header.slots - 1;
    std::uint32_t at = slot_of(hash, header.slots);
    for (std::uint32_t probe = 0; probe < header.longest_probe; ++probe, at = (at + 1) & mask) {
      const std::uint32_t slot = slots[at];
      if (slot == kEmptySlot) return kEmptySlot;
      if ((slot ^ tag_of(hash)) > kIdMask) continue;
      const std::uint32_t id = slot & kIdMask;
      if (is_piece(id, piece, continues)) return id;
    }
    return kEmptySlot;
  }

 private:
  bool is_piece(std::uint32_t id, std::string_view piece, bool continues) const {
    if (id >= header.words) return false;
    const std::uint32_t begin = id == 0 ? 0 : ends[id - 1] >> 1;
    const std::uint32_t end = ends[id] >> 1;
    if (begin > end || end > header.text_bytes || (ends[id] & 1) != (continues ? 1u : 0u)) return false;
    return std::string_view(text + begin, end - begin) == piece;
  }
};

}  // namespace reef::embed::internal
