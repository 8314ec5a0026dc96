// What a language model's service may answer, of any bytes: what counts is in range and one clean line, and the rest
// has a reason.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "reef/core/text.h"
#include "reef/memory/internal/model_protocol.h"

namespace {

using namespace reef;
using namespace reef::memory::internal;

constexpr std::size_t kTold = 5;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_clean_line(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return is_valid_utf8(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto object = first_object(bytes)) require(object->front() == '{' && bytes.find(*object) != bytes.npos);

  const Verdicts verdicts = read_verdicts(bytes, kTold);
  require(verdicts.of.size() == kTold && verdicts.fault.empty() == (verdicts.usable() == kTold));
  for (const auto& verdict : verdicts.of)
    if (verdict) require(verdict->score >= 0 && verdict->score <= 1 && is_clean_line(verdict->reason));

  const Statements statements = read_statements(bytes, kTold);
  require(statements.is_of_use || (!statements.fault.empty() && statements.sentences.empty()));
  for (const Stated& stated : statements.sentences) {
    require(!stated.text.empty() && is_clean_line(stated.text) && !stated.sources.empty());
    std::size_t next = 0;
    for (const std::size_t source : stated.sources) {
      require(source >= next && source < kTold);
      next = source + 1;
    }
  }

  const Told told[] = {{std::string(bytes), std::string(bytes), "", std::string(bytes), std::string(bytes)}};
  require(is_valid_utf8(scoring_request("m", told)) && is_valid_utf8(summary_request("m", told)));
  return 0;
}
