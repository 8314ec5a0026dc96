// JSON lines and JSON files of any bytes: every document is sound, every other line has a reason.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/text/parse.h"

namespace {

void check(const reef::text::Document& document) {
  if (!reef::is_valid_utf8(document.text) || document.blocks.empty() || document.id.size() > (1u << 20)) std::abort();
  std::uint64_t position = 0;
  for (const auto& block : document.blocks) {
    if (block.start < position || block.end <= block.start || block.end > document.text.size()) std::abort();
    position = block.end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  std::uint64_t documents = 0;
  reef::text::JsonLinesParser parser([&](reef::text::Document&& document) {
    check(document);
    ++documents;
  });
  std::uint64_t number = 0;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    parser.line(all.substr(at, end - at), ++number);
    at = end + 1;
  }
  for (const auto& fault : parser.take_faults()) {
    if (fault.reason.empty() || fault.line > number) std::abort();
  }
  if (documents != parser.documents() || documents > number) std::abort();
  try {
    reef::text::parse_json(all, [](reef::text::Document&& document) {
      if (document.id.empty() && document.blocks.empty()) std::abort();
    });
  } catch (const reef::Error& e) {
    if (e.code() != reef::Errc::failed) std::abort();
  }
  return 0;
}
