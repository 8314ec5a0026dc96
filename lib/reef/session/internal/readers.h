#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/session/import.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/own_format.h"

namespace reef::session::internal {

/// Whether an input of that format is read as one JSON document, not by lines.
bool is_document(Format format, Input& input);

/// Reads objects in the format asked for, or each as what it looks like.
class Reader {
 public:
  Reader(Format format, std::string file_stem) : format_(format), tavern_(std::move(file_stem)) {}
  /// `text`: one object in UTF-8, of that array of the input's top level (0: of none). An array of messages is one
  /// conversation: it comes from end_array().
  Conversation read(std::string_view text, std::uint64_t array = 0);
  /// Whether end_array() is due before something of `array` is read.
  bool has_list_before(std::uint64_t array) const { return !list_.empty() && array != array_; }
  Conversation end_array();
  /// What is left at the end of the input.
  Conversation end();

 private:
  Conversation read_as(Shape shape, std::string_view text);
  Conversation collect(std::string_view text);

  Format format_;
  TavernChat tavern_;
  std::uint64_t array_ = 0;
  bool is_list_ = false;  ///< the array is one of messages
  std::string list_;      ///< its messages, as those of one conversation
};

}  // namespace reef::session::internal
