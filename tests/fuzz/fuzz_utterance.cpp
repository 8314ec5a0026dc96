// What people say: words, names, dates, cues and feeling of any bytes.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "reef/core/text.h"
#include "reef/text/entities.h"
#include "reef/text/sentiment.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  const std::string_view said(reinterpret_cast<const char*>(data), size);
  const auto words = text::words(said);
  std::size_t end = 0;
  for (const text::Word& word : words) {
    require(word.start >= end && word.start < word.end && word.end <= said.size());
    require(!word.folded.empty() && is_valid_utf8(word.folded));
    end = word.end;
  }
  require(words.empty() || words.front().opens);
  for (const std::string& term : text::terms(words)) require(!term.empty());
  bool known = false;
  for (const text::Name& name : text::find_names(said, words, [&](std::string_view) { return known = !known; })) {
    require(!name.folded.empty() && said.find(name.written) != std::string_view::npos);
  }
  const int dates = text::count_dates(words);
  require(dates >= 0 && static_cast<std::size_t>(dates) <= words.size());
  text::find_cues(said, words);
  const double feeling = text::sentiment(said);
  require(std::isfinite(feeling) && feeling >= -1 && feeling <= 1);
  return 0;
}
