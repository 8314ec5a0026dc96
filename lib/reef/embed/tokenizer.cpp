#include "reef/embed/tokenizer.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstring>
#include <memory>

#include "reef/embed/internal/unicode.h"
#include "reef/embed/internal/utf8.h"
#include "reef/embed/internal/vocabulary_block.h"

namespace reef::embed {
namespace {

using namespace internal;

constexpr std::array<char, 128> ascii_letters(bool lower) {
  std::array<char, 128> letters{};
  for (std::size_t i = 0; i < letters.size(); ++i) {
    letters[i] = static_cast<char>(lower && i >= 'A' && i <= 'Z' ? i + 32 : i);
  }
  return letters;
}
constexpr auto kSameAscii = ascii_letters(false);
constexpr auto kLowerAscii = ascii_letters(true);

/// Finds the tokens that are recognised in raw text, leftmost first, the longest of those there.
class SpecialFinder {
 public:
  explicit SpecialFinder(const BlockView& view) : view_(view) {
    for (std::uint32_t i = 0; i < view.header.specials; ++i) first_bytes_.set(first_byte(i));
  }

  struct Match {
    std::size_t at;  ///< text.size() when there is none
    std::size_t length;
    std::uint32_t id;
  };

  Match find(std::string_view text) const {
    for (std::size_t at = next(text, 0); at < text.size(); at = next(text, at + 1)) {
      Match best{at, 0, 0};
      for (std::uint32_t i = 0; i < view_.header.specials; ++i) {
        const std::string_view token = view_.special(i);
        if (token.size() > best.length && text.substr(at).starts_with(token)) {
          best = {at, token.size(), view_.specials[i].id};
        }
      }
      if (best.length > 0) return best;
    }
    return {text.size(), 0, 0};
  }

 private:
  std::uint8_t first_byte(std::uint32_t index) const { return static_cast<std::uint8_t>(view_.special(index)[0]); }

  /// Where one of them may begin. BERT's all begin with "[", which memchr finds fastest.
  std::size_t next(std::string_view text, std::size_t from) const {
    if (first_bytes_.none()) return text.size();
    if (first_bytes_.count() == 1) return std::min(text.find(view_.special(0)[0], from), text.size());
    while (from < text.size() && !first_bytes_.test(static_cast<std::uint8_t>(text[from]))) ++from;
    return from;
  }

  const BlockView& view_;
  std::bitset<256> first_bytes_;
};

/// One pass over one text: normalises, splits and looks up as it goes, so that a long text is only
/// read up to its last token that counts, and nothing is allocated for a word.
class Pass {
 public:
  /// ids: where they go, or null to count. Stops once there are `limit`.
  Pass(const BlockView& view, std::vector<std::uint32_t>* ids, std::size_t limit)
      : view_(view),
        ids_(ids),
        limit_(limit),
        clean_((view.header.flags & kCleanText) != 0),
        space_cjk_((view.header.flags & kSpaceCjk) != 0),
        strip_((view.header.flags & kStripAccents) != 0),
        lower_((view.header.flags & kLowercase) != 0),
        letters_(lower_ ? kLowerAscii : kSameAscii),
        word_(std::make_unique_for_overwrite<char[]>(capacity())),
        prefix_hashes_(std::make_unique_for_overwrite<std::uint64_t[]>(capacity())) {}

  /// Returns the number of tokens: at most `limit`, unless its last word went past it.
  std::size_t run(std::string_view text) {
    const SpecialFinder specials(view_);
    while (!text.empty() && !full()) {
      const SpecialFinder::Match match = specials.find(text);
      read(text.substr(0, match.at));
      end_word();
      if (match.length > 0) emit(match.id);
      text.remove_prefix(match.at + match.length);
    }
    return count_;
  }

 private:
  std::size_t capacity() const { return 4 * std::size_t{view_.header.max_word_chars} + 4; }
  bool full() const { return count_ >= limit_; }

  void emit(std::uint32_t id) {
    ++count_;
    if (ids_) ids_->push_back(id);
  }

  void read(std::string_view text) {
    while (!text.empty() && !full()) {
      const auto byte = static_cast<std::uint8_t>(text[0]);
      if (byte >= 0x80) {
        const Decoded decoded = decode(text);
        take(decoded.code);
        text.remove_prefix(decoded.length);
        continue;
      }
      const std::uint8_t kind = kAsciiClass[byte];
      if (kind == 0) {
        push_byte(letters_[byte]);
      } else {
        take_ascii(kind, byte);
      }
      text.remove_prefix(1);
    }
  }

  void take_ascii(std::uint8_t kind, std::uint8_t byte) {
    if (kind & kControl && clean_) return;
    if (kind & (kSpace | kPunctuation)) end_word();
    if (kind & kSpace) return;
    push_byte(static_cast<char>(byte));
    if (kind & kPunctuation) end_word();
  }

  /// Everything above ASCII, in the order of BertNormalizer: control characters, white space,
  /// ideographs, accents, case.
  void take(std::uint32_t code) {
    const std::uint8_t kind = char_class(code);
    if (kind & kControl && clean_) return;
    const bool alone = kind & kCjk && space_cjk_;
    if (alone) end_word();
    if (strip_) {
      if (kind & kBarrier) barrier_ = size_;
      for (const std::uint32_t part : strip_accents(code).codes) {
        if (part == 0) break;
        take_lower(part);
      }
    } else {
      take_lower(code);
    }
    if (alone) end_word();
  }

  void take_lower(std::uint32_t code) {
    if (!lower_) return take_normal(code);
    for (const std::uint32_t part : to_lower(code).codes) {
      if (part == 0) break;
      take_normal(part);
    }
  }

  /// A code point as the pre-tokenizer sees it.
  void take_normal(std::uint32_t code) {
    const std::uint8_t kind = char_class(code);
    if (kind & (kSpace | kPunctuation)) end_word();
    if (kind & kSpace) return;
    push(code);
    if (kind & kNonstarter && strip_) reorder(code);
    if (kind & kPunctuation) end_word();
  }

  void push_byte(char byte) {
    if (chars_++ < view_.header.max_word_chars) word_[size_++] = byte;
  }
  void push(std::uint32_t code) {
    if (chars_++ < view_.header.max_word_chars) size_ += append_utf8(code, &word_[size_]);
  }

  /// Moves the last character of the word, a nonstarter, before those of higher combining class:
  /// strip_accents decomposes, and decomposition brings marks into canonical order. Marks that it
  /// drops need no order, so this is for the few that stay.
  void reorder(std::uint32_t code) {
    if (chars_ > view_.header.max_word_chars) return;  // [UNK] in any order
    const std::uint8_t order = combining_class(code);
    char* const last = word_.get() + size_ - utf8_length(code);
    char* target = last;
    while (target > word_.get() + barrier_) {
      char* previous = target - 1;
      while ((static_cast<std::uint8_t>(*previous) & 0xc0) == 0x80) --previous;
      const std::string_view bytes(previous, static_cast<std::size_t>(target - previous));
      if (combining_class(decode(bytes).code) <= order) break;
      target = previous;
    }
    std::rotate(target, last, word_.get() + size_);
  }

  static std::size_t utf8_length(std::uint32_t code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }

  /// WordPiece: the longest piece that begins the word, then the longest "##" piece that begins the
  /// rest, and so on. When any rest has none, the whole word is [UNK].
  void end_word() {
    if (chars_ == 0) return;
    const std::size_t before = count_;
    bool known = chars_ <= view_.header.max_word_chars;
    for (std::size_t begin = 0; known && begin < size_;) {
      const std::size_t length = longest_piece(begin);
      known = length > 0;
      begin += length;
    }
    if (!known) {
      if (ids_) ids_->resize(ids_->size() - (count_ - before));
      count_ = before;
      emit(view_.header.unknown);
    }
    size_ = 0;
    chars_ = 0;
    barrier_ = 0;
  }

  /// Emits the longest piece at `begin` and returns its bytes, 0 when there is none.
  std::size_t longest_piece(std::size_t begin) {
    const std::string_view rest(&word_[begin], std::min(size_ - begin, std::size_t{view_.header.longest_piece}));
    std::uint64_t hash = begin == 0 ? kStartSeed : kContinueSeed;
    for (std::size_t i = 0; i < rest.size(); ++i) prefix_hashes_[i] = hash = hash_step(hash, rest[i]);
    for (std::size_t length = rest.size(); length > 0; --length) {
      const bool whole = begin + length == size_ || (static_cast<std::uint8_t>(word_[begin + length]) & 0xc0) != 0x80;
      if (!whole) continue;  // a piece never ends inside of a character
      const std::uint32_t id = view_.find(hash_end(prefix_hashes_[length - 1]), rest.substr(0, length), begin > 0);
      if (id == kEmptySlot) continue;
      emit(id);
      return length;
    }
    return 0;
  }

  const BlockView& view_;
  std::vector<std::uint32_t>* ids_;
  const std::size_t limit_;
  const bool clean_, space_cjk_, strip_, lower_;
  const std::array<char, 128>& letters_;
  std::size_t count_ = 0;
  std::unique_ptr<char[]> word_;                    ///< the word so far, normalised
  std::unique_ptr<std::uint64_t[]> prefix_hashes_;  ///< of what is left of it
  std::size_t size_ = 0;                            ///< bytes in word_
  std::size_t barrier_ = 0;                         ///< where in word_ the last kBarrier was dropped
  std::size_t chars_ = 0;                           ///< more than max_word_chars when word_ is incomplete
};

}  // namespace

Tokenizer::Tokenizer(std::span<const std::uint8_t> block) : block_(block) { BlockView::check(block_); }

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text, std::size_t max_tokens) const {
  const BlockView view = BlockView::of(block_);
  const std::size_t room = std::max<std::size_t>(max_tokens, 2) - 2;
  std::vector<std::uint32_t> ids;
  ids.reserve(std::min(room, text.size() / 4) + 3);
  ids.push_back(view.header.start);
  Pass(view, &ids, room).run(text);
  ids.resize(std::min(ids.size(), room + 1));
  ids.push_back(view.header.stop);
  return ids;
}

std::size_t Tokenizer::count(std::string_view text) const {
  const BlockView view = BlockView::of(block_);
  return Pass(view, nullptr, SIZE_MAX).run(text);
}

std::size_t Tokenizer::vocabulary_size() const { return BlockView::of(block_).header.words; }

std::size_t Tokenizer::block_bytes() const { return block_.size(); }

}  // namespace reef::embed
