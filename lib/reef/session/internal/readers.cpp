#include "reef/session/internal/readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "reef/session/internal/json_values.h"

namespace reef::session::internal {

bool is_document(Format format, Input& input) {
  if (format == Format::jsonl || format == Format::sillytavern) return false;
  return input.is_document();
}

Conversation Reader::read(std::string_view text, std::uint64_t array) {
  if (format_ == Format::openai || format_ == Format::automatic) {
    if (text.starts_with('[')) return read_openai(fmt::format("{{\"messages\":{}}}", text));
    if (array != array_) is_list_ = array != 0 && read_own(text).is_bare;
    array_ = array;
    if (is_list_) return collect(text);
  }
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
    out.faults.emplace_back("neither a chat's first line nor a message: there is no mes");
  else if (line.shape != Shape::own)
    out.faults.emplace_back("not a line of the format jsonl: --format auto tells formats apart");
  else if (!line.fault.empty())
    out.faults.push_back(std::move(line.fault));
  else
    out.messages.push_back(std::move(line.message));
  return out;
}

Conversation Reader::collect(std::string_view text) {
  Conversation out;
  std::string fault;
  parse_object(text, fault);
  if (fault.empty() && list_.size() + text.size() > Input::kLongest)
    fault = fmt::format("the array is one conversation, and longer than {} MiB", Input::kLongest >> 20);
  if (fault.empty())
    list_.append(list_.empty() ? "{\"messages\":[" : ",").append(text);
  else
    out.faults.push_back(std::move(fault));
  return out;
}

Conversation Reader::end_array() {
  Conversation out;
  if (!list_.empty()) out = read_openai(list_ + "]}");
  list_.clear();
  return out;
}

Conversation Reader::end() {
  Conversation out = tavern_.end(), list = end_array();
  std::move(list.messages.begin(), list.messages.end(), std::back_inserter(out.messages));
  std::move(list.faults.begin(), list.faults.end(), std::back_inserter(out.faults));
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
      return tavern_.header(text);
    case Shape::own:
      break;
  }
  return out;
}

}  // namespace reef::session::internal
