#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::session::internal {

/// A file or standard input ("-"), read once: line by line, or one JSON value of its top level after the other.
class Input {
 public:
  static constexpr std::size_t kLongest = 64 << 20;

  struct Piece {
    std::string_view bytes;  ///< valid until the next call; empty when too long
    std::uint64_t line = 0;  ///< on which it begins
    bool too_long = false;
    bool is_cut = false;       ///< the input ended in the middle of a value
    std::uint64_t offset = 0;  ///< of a line: where it begins
    std::uint64_t array = 0;   ///< the how manieth array of the top level it stands in; 0: none
  };

  explicit Input(const std::filesystem::path& path);
  /// For tests: what there is to read is `text`.
  static Input of_text(std::string text);

  /// Throws Error{usage} with the way out when it begins as what is no UTF-8 text: UTF-16, or compressed.
  void require_text();
  /// Called when a pipe has had nothing to read for a moment.
  void on_pause(std::function<void()> callback) { on_pause_ = std::move(callback); }
  /// Whether it is one JSON document, possibly over many lines, rather than a value on each line.
  bool is_document();
  std::optional<Piece> next_line();
  /// The next object (or whatever stands in its place) of a top-level array, or of values one after the other. One
  /// with a string that does not end on its line ends there; the next begins a line, no further in than it did.
  std::optional<Piece> next_value();

  const std::string& name() const { return name_; }
  /// In the database's form: of the last change of a file; of a pipe, now.
  const std::string& time() const { return time_; }
  /// Of the file; 0 when that is not known.
  std::uint64_t size() const { return size_; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  Input() = default;
  /// Reads on behind end_; false at the end of the input.
  bool refill();
  void wait();
  void skip_mark();
  std::string_view have() const { return {buffer_.data() + begin_, end_ - begin_}; }
  void take(std::size_t count);
  /// Up to the next value behind one that was broken; false at the end of the input.
  bool skip_broken();

  std::string name_, time_;
  std::uint64_t size_ = 0, bytes_read_ = 0, line_ = 1, arrays_ = 0;
  std::size_t column_ = 0;                  ///< of begin_
  std::optional<std::size_t> broken_from_;  ///< the column of the value before, which was broken
  io::UniqueFd own_;
  int fd_ = -1;
  bool is_at_end_ = false, is_in_array_ = false, has_begun_ = false;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::function<void()> on_pause_;
  std::chrono::steady_clock::time_point paused_{};
};

}  // namespace reef::session::internal
