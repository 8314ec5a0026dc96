#include "reef/embed/internal/vocabulary_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/error.h"

namespace reef::embed::internal {
namespace {

constexpr std::string_view kContinues = "##";

[[noreturn]] void damaged(const char* what) {
  throw Error(Errc::corrupt, fmt::format("compiled vocabulary: {}", what),
              "delete the compiled encoder in the cache; it is made again from the model's own files");
}

constexpr std::uint64_t padded(std::uint64_t size, std::uint64_t step) { return (size + step - 1) / step * step; }

/// Where the sections begin.
struct Layout {
  std::uint64_t specials, special_text, slots, ends, text, block;

  explicit Layout(const BlockHeader& header) {
    specials = sizeof(BlockHeader);
    special_text = specials + sizeof(SpecialEntry) * std::uint64_t{header.specials};
    slots = special_text + padded(header.special_bytes, 4);
    ends = slots + 4 * std::uint64_t{header.slots};
    text = ends + 4 * std::uint64_t{header.words};
    block = padded(text + header.text_bytes, 8);
  }
};

struct Piece {
  std::string_view text;  ///< without "##"
  bool continues = false;
};

Piece piece_of(std::string_view token) {
  // "##" alone is two punctuation marks, not an empty continuation.
  if (token.starts_with(kContinues) && token.size() > kContinues.size()) return {token.substr(2), true};
  return {token, false};
}

/// Pieces by id; ids that no token has stay empty.
std::vector<Piece> pieces_by_id(const VocabularySource& source) {
  std::uint32_t highest = std::max(source.start_id, source.stop_id);
  for (const auto* tokens : {&source.words, &source.specials}) {
    for (const auto& [token, id] : *tokens) {
      if (id >= kMaxWords) {
        throw Error(Errc::corrupt,
                    fmt::format("{}: id {} of \"{}\" is above {}", source.name, id, token, kMaxWords - 1),
                    "this is no WordPiece vocabulary that reef can read");
      }
      highest = std::max(highest, id);
    }
  }
  std::vector<Piece> pieces(highest + 1);
  for (const auto& [token, id] : source.words) {
    if (!pieces[id].text.empty()) {
      throw Error(Errc::corrupt,
                  fmt::format("{}: id {} belongs to two tokens, one of them \"{}\"", source.name, id, token),
                  "bring the model's files again; this one was edited or damaged");
    }
    pieces[id] = piece_of(token);
  }
  return pieces;
}

struct HashTable {
  std::vector<std::uint32_t> slots;
  std::uint32_t longest_probe = 0;
};

HashTable hash_pieces(const std::vector<Piece>& pieces) {
  const std::size_t count = std::max<std::size_t>(pieces.size(), 8);
  HashTable table;
  table.slots.assign(std::bit_ceil(2 * count), kEmptySlot);  // at most half full
  const auto mask = static_cast<std::uint32_t>(table.slots.size() - 1);
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    const Piece& piece = pieces[id];
    if (piece.text.empty()) continue;
    std::uint64_t hash = piece.continues ? kContinueSeed : kStartSeed;
    for (const char byte : piece.text) hash = hash_step(hash, byte);
    hash = hash_end(hash);
    std::uint32_t at = slot_of(hash, mask + 1);
    std::uint32_t probe = 1;
    for (; table.slots[at] != kEmptySlot; ++probe) at = (at + 1) & mask;
    table.slots[at] = tag_of(hash) | id;
    table.longest_probe = std::max(table.longest_probe, probe);
  }
  return table;
}

std::uint32_t id_of(const VocabularySource& source, const std::string& token) {
  const auto found = source.words.find(token);
  if (found == source.words.end()) {
    throw Error(Errc::corrupt, fmt::format("{}: the vocabulary lacks \"{}\"", source.name, token),
                "a BERT vocabulary has [UNK], [CLS] and [SEP]; bring the model's files again");
  }
  return found->second;
}

void put(std::vector<std::uint8_t>& block, std::uint64_t at, const void* bytes, std::size_t count) {
  if (count != 0) std::memcpy(block.data() + at, bytes, count);
}

}  // namespace

std::vector<std::uint8_t> build_block(const VocabularySource& source) {
  const std::vector<Piece> pieces = pieces_by_id(source);
  const HashTable table = hash_pieces(pieces);

  BlockHeader header{};
  std::memcpy(header.magic, kBlockMagic, sizeof header.magic);
  header.flags = source.flags;
  header.unknown = id_of(source, source.unknown);
  header.start = source.start_id;
  header.stop = source.stop_id;
  header.max_word_chars = source.max_word_chars;
  header.slots = static_cast<std::uint32_t>(table.slots.size());
  header.longest_probe = table.longest_probe;
  header.words = static_cast<std::uint32_t>(pieces.size());

  std::string text;
  std::vector<std::uint32_t> ends;
  ends.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    text += piece.text;
    ends.push_back(static_cast<std::uint32_t>(text.size()) << 1 | (piece.continues ? 1u : 0u));
    header.longest_piece = std::max(header.longest_piece, static_cast<std::uint32_t>(piece.text.size()));
  }
  std::string special_text;
  std::vector<SpecialEntry> specials;
  for (const auto& [token, id] : source.specials) {
    special_text += token;
    specials.push_back({id, static_cast<std::uint32_t>(special_text.size())});
  }
  if (specials.size() > kMaxSpecials || text.size() + special_text.size() > (1u << 30)) {
    throw Error(Errc::corrupt, fmt::format("{}: {} added tokens and {} bytes of pieces are more than reef reads",
                                           source.name, specials.size(), text.size()));
  }
  header.specials = static_cast<std::uint32_t>(specials.size());
  header.special_bytes = static_cast<std::uint32_t>(special_text.size());
  header.text_bytes = static_cast<std::uint32_t>(text.size());

  const Layout layout(header);
  header.block_bytes = static_cast<std::uint32_t>(layout.block);
  std::vector<std::uint8_t> block(layout.block);
  put(block, 0, &header, sizeof header);
  put(block, layout.specials, specials.data(), specials.size() * sizeof(SpecialEntry));
  put(block, layout.special_text, special_text.data(), special_text.size());
  put(block, layout.slots, table.slots.data(), table.slots.size() * sizeof(std::uint32_t));
  put(block, layout.ends, ends.data(), ends.size() * sizeof(std::uint32_t));
  put(block, layout.text, text.data(), text.size());
  return block;
}

BlockView BlockView::of(std::span<const std::uint8_t> block) {
  BlockView view;
  std::memcpy(&view.header, block.data(), sizeof view.header);
  const Layout layout(view.header);
  view.specials = reinterpret_cast<const SpecialEntry*>(block.data() + layout.specials);
  view.special_text = reinterpret_cast<const char*>(block.data() + layout.special_text);
  view.slots = reinterpret_cast<const std::uint32_t*>(block.data() + layout.slots);
  view.ends = reinterpret_cast<const std::uint32_t*>(block.data() + layout.ends);
  view.text = reinterpret_cast<const char*>(block.data() + layout.text);
  return view;
}

BlockView BlockView::check(std::span<const std::uint8_t> block) {
  BlockHeader header;
  if (block.size() < sizeof header || reinterpret_cast<std::uintptr_t>(block.data()) % 8 != 0) {
    damaged("too short, or at an odd address");
  }
  std::memcpy(&header, block.data(), sizeof header);
  if (std::memcmp(header.magic, kBlockMagic, sizeof header.magic) != 0) damaged("not of this version");
  if (header.block_bytes != block.size() || Layout(header).block != block.size()) damaged("sections exceed the block");
  if (header.specials > kMaxSpecials || header.max_word_chars > kMaxWordChars) damaged("limits exceeded");
  if (!std::has_single_bit(header.slots) || header.words > kMaxWords) damaged("impossible table size");
  if (std::max({header.unknown, header.start, header.stop}) >= header.words) damaged("special id out of range");
  const BlockView view = of(block);
  std::uint32_t begin = 0;
  for (std::uint32_t i = 0; i < header.specials; ++i) {
    const auto [id, end] = view.specials[i];
    if (id >= header.words || end <= begin || end > header.special_bytes) damaged("special token out of range");
    begin = end;
  }
  return view;
}

}  // namespace reef::embed::internal
