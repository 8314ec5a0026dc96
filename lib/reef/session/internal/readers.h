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
  /// `text`: one object in UTF-8.
  Conversation read(std::string_view text);

 private:
  Conversation read_as(Shape shape, std::string_view text);

  Format format_;
  TavernChat tavern_;
};

}  // namespace reef::session::internal
