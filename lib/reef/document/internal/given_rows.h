#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/io/unique_handle.h"

namespace reef::document::internal {

/// What one line says of its vector: {"id","text"[,"title"][,"tags"][,"created"]}.
struct GivenRow {
  std::string id;
  std::string text;
  std::string title;
  std::vector<std::string> tags;
  std::string created;         ///< RFC 3339, or empty
  std::string unread_date;     ///< one that does not parse
  std::uint64_t line = 0;      ///< of the file, from 1
  std::string digest() const;  ///< SHA-256 over all but the line
};

/// The texts of vectors made elsewhere: a JSON Lines file whose i-th line that is not blank goes with row i.
class GivenRows {
 public:
  /// Throws Error{not_found}, or Error{usage} for what is no regular file.
  explicit GivenRows(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// How many lines are not blank; reads the file once from the beginning to the end.
  std::uint64_t count();
  /// The next row; false at the end. Throws Error{failed} naming the line that cannot be used.
  bool next(GivenRow& row);

 private:
  bool next_line();
  void rewind();

  std::filesystem::path path_;
  io::UniqueFd fd_;
  std::string buffer_;
  std::size_t begin_ = 0;     ///< of what is in the buffer and was not read yet
  std::uint64_t offset_ = 0;  ///< of the file behind the buffer
  std::uint64_t number_ = 0;  ///< of the present line
  std::string_view line_;
};

}  // namespace reef::document::internal
