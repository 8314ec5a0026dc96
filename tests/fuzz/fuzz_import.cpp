// Conversations in any form and of any bytes: every message is sound, every other object has a reason, and what is
// exported reads as what it was.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "reef/core/text.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/ordinals.h"
#include "reef/session/internal/readers.h"

namespace {

using namespace reef;
using namespace reef::session;

void check(const NewMessage& message) {
  if (message.session.empty() || message.role.empty()) std::abort();
  for (const std::string* text :
       {&message.session, &message.role, &message.speaker, &message.content, &message.external_id, &message.metadata})
    if (!is_valid_utf8(*text)) std::abort();
  if (!message.created.empty() && message.created.size() != 23) std::abort();
  if (message.metadata.find('\n') != std::string::npos) std::abort();
  Message stored;
  stored.session = message.session;
  stored.role = message.role;
  stored.content = message.content;
  stored.created = message.created.empty() ? "2026-01-01 00:00:00.000" : message.created;
  stored.metadata = message.metadata;
  stored.tokens = message.tokens;
  SessionRow row;
  std::string line;
  internal::write_own(line, stored, {&row, true});
  const internal::OwnLine again = internal::read_own(std::string_view(line).substr(0, line.size() - 1));
  if (!again.fault.empty() || again.message.content != message.content || again.message.created != stored.created ||
      again.message.metadata != message.metadata || again.message.tokens != message.tokens)
    std::abort();
}

void read(std::string_view bytes, Format format, bool is_document) {
  internal::Input input = internal::Input::of_text(std::string(bytes));
  internal::Reader reader(format, "file");
  internal::Ordinals ordinals;
  std::uint64_t line = 0;
  const auto check_all = [&ordinals](const internal::Conversation& read) {
    if (!read.family.empty() && read.parents.size() != read.messages.size()) std::abort();
    for (const NewMessage& message : read.messages) {
      check(message);
      if (ordinals.digest_of(message).size() != 64) std::abort();
    }
    for (const std::string& fault : read.faults)
      if (fault.empty()) std::abort();
  };
  while (const auto piece = is_document ? input.next_value() : input.next_line()) {
    if (piece->line < line) std::abort();
    line = piece->line;
    if (reader.has_list_before(piece->array)) check_all(reader.end_array());
    check_all(reader.read(to_valid_utf8(piece->bytes), piece->array));
  }
  check_all(reader.end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const Format format : {Format::automatic, Format::jsonl, Format::openai, Format::chatgpt, Format::sillytavern}) {
    internal::Input input = internal::Input::of_text(std::string(bytes));
    const bool is_document = internal::is_document(format, input);
    read(bytes, format, is_document);
    if (format == Format::automatic) read(bytes, format, !is_document);
  }
  return 0;
}
