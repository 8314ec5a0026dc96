#include "reef/text/neutral.h"

#include "reef/core/error.h"
#include "reef/core/text.h"

namespace reef::text {
namespace {

constexpr std::string_view kMagic = "REEFDOC1";
constexpr std::size_t kNumberBytes = 8;

void put_number(std::string& out, std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) out += static_cast<char>(static_cast<unsigned char>(value >> shift));
}

void put_string(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

[[noreturn]] void refuse(const char* what) {
  throw Error(Errc::corrupt, std::string("the text extractor wrote a file that does not hold together: ") + what);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) refuse("it ends too early");
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(out.size());
    return out;
  }

  std::uint64_t number() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const char c : take(kNumberBytes)) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(c)) << shift;
      shift += 8;
    }
    return value;
  }

  std::string text() {
    std::string out(take(number()));
    if (!is_valid_utf8(out)) refuse("a string is not UTF-8");
    return out;
  }

  std::size_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
};

bool on_border(std::string_view text, std::uint64_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[static_cast<std::size_t>(at)]) & 0xC0u) != 0x80u;
}

}  // namespace

std::string write_neutral(const Document& document) {
  std::string out(kMagic);
  put_string(out, document.title);
  put_string(out, document.text);
  put_number(out, document.blocks.size());
  for (const Block& block : document.blocks) {
    put_number(out, block.start);
    put_number(out, block.end);
    put_number(out, block.page);
    put_number(out, block.verbatim ? 1 : 0);
    put_string(out, block.heading_path);
  }
  return out;
}

Document read_neutral(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.left() < kMagic.size() || reader.take(kMagic.size()) != kMagic) refuse("it does not start as one");
  Document document;
  document.title = reader.text();
  document.text = reader.text();
  const std::uint64_t count = reader.number();
  if (count > reader.left() / (5 * kNumberBytes)) refuse("more blocks than bytes");
  document.blocks.reserve(static_cast<std::size_t>(count));
  std::uint64_t position = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    Block block;
    block.start = reader.number();
    block.end = reader.number();
    const std::uint64_t page = reader.number();
    const std::uint64_t verbatim = reader.number();
    block.heading_path = reader.text();
    if (block.start < position || block.end <= block.start || block.end > document.text.size()) {
      refuse("a block is outside of the text");
    }
    if (!on_border(document.text, block.start) || !on_border(document.text, block.end)) {
      refuse("a block splits a character");
    }
    if (page > UINT32_MAX || verbatim > 1) refuse("a block has no such page");
    block.page = static_cast<std::uint32_t>(page);
    block.verbatim = verbatim == 1;
    position = block.end;
    document.blocks.push_back(std::move(block));
  }
  if (reader.left() != 0) refuse("it goes on behind its end");
  return document;
}

}  // namespace reef::text
