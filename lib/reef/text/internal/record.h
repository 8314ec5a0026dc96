#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/text/document.h"

namespace reef::text::internal {

/// The fields of one JSON object that may be a document, told by the events of a JSON reader.
class RecordBuilder {
 public:
  void open() { ++depth_; }
  void close() { --depth_; }
  void key(std::string_view name);
  /// A string or number; everything else is passed over by not being told.
  void scalar(std::string&& value, bool is_string);
  bool finished() const { return depth_ == 0; }

  /// The document, or the reason why it is none.
  std::pair<std::optional<Document>, std::string> take();

 private:
  enum class Field { none, id, title, text, content, body, contents, tags, created, date };
  static Field field_of(std::string_view name);

  int depth_ = 0;
  Field field_ = Field::none;
  std::optional<std::string> id_, title_, text_, content_, body_, contents_, created_, date_;
  std::vector<std::string> tags_;
};

/// Why the JSON reader stopped, in one short line without the input's own text.
/// `what`: the exception's message; `position`: bytes read.
std::string json_fault(std::string_view what, std::size_t position);

/// Which ids came before, at about 20 bytes each. Two ids with the same 64-bit hash count as one:
/// among ten million ids that happens once in 400,000 files.
class SeenIds {
 public:
  /// Where `id` was seen first, or nullopt, and then it is remembered with `place` (not 0).
  std::optional<std::uint64_t> find_or_add(std::string_view id, std::uint64_t place);

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t place = 0;  ///< 0: free
  };
  Slot& slot_of(std::uint64_t hash);

  std::vector<Slot> slots_ = std::vector<Slot>(64);
  std::size_t used_ = 0;
};

}  // namespace reef::text::internal
