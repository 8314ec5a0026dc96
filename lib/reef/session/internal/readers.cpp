#include "reef/session/internal/readers.h"

namespace reef::session::internal {

bool is_document(Format format, Input& input) {
  if (format == Format::jsonl || format == Format::sillytavern) return false;
  return input.is_document();
}

Conversation Reader::read(std::string_view text) {
  switch (format_) {
    case Format::openai:
      return read_as(Shape::openai, text);
    case Format::chatgpt:
      return read_as(Shape::chatgpt, text);
    case Format::jsonl:
    case Format::sillytavern:
    case Format::automatic:
      break;
  }
  OwnLine line = read_own(text);
  const bool is_tavern = line.shape == Shape::tavern_header || line.shape == Shape::tavern_message;
  if (line.shape != Shape::own && (format_ == Format::automatic || (format_ == Format::sillytavern && is_tavern)))
    return read_as(line.shape, text);
  Conversation out;
  if (format_ == Format::sillytavern)
    out.faults.push_back("neither a chat's first line nor a message: there is no mes");
  else if (line.shape != Shape::own)
    out.faults.push_back("not a line of the format jsonl: --format auto tells formats apart");
  else if (!line.fault.empty())
    out.faults.push_back(std::move(line.fault));
  else
    out.messages.push_back(std::move(line.message));
  return out;
}

Conversation Reader::read_as(Shape shape, std::string_view text) {
  Conversation out;
  switch (shape) {
    case Shape::openai:
      return read_openai(text);
    case Shape::chatgpt:
      return read_chatgpt(text);
    case Shape::tavern_message:
      return tavern_.message(text);
    case Shape::tavern_header:
      if (std::string fault = tavern_.header(text); !fault.empty()) out.faults.push_back(std::move(fault));
      return out;
    case Shape::own:
      break;
  }
  return out;
}

}  // namespace reef::session::internal
