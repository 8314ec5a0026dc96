#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace reef::model::internal {

/// Reads little-endian fields of a file that comes from strangers. What reaches past the end is
/// Error{corrupt} naming file, byte and field; nothing is copied or reserved before that is known.
class GgufCursor {
 public:
  /// `bytes`, the first ones of a file of `file_bytes`, must outlive the cursor. Where they end at `limit`, messages
  /// say so.
  GgufCursor(std::span<const std::uint8_t> bytes, std::uint64_t file_bytes, std::uint64_t limit,
             const std::string& file)
      : bytes_(bytes), file_bytes_(file_bytes), limit_(limit), file_(file) {}

  /// What messages name beside the byte: a "tensor" called "blk.0.attn_q.weight". Empty: nothing.
  /// `name` must stay until the next call.
  void set_subject(const char* what, std::string_view name) {
    subject_ = what;
    subject_name_ = name;
  }

  /// An integer of 1 to 8 bytes; `what` names the field in the message when it is cut.
  std::uint64_t number(std::size_t width, const char* what);
  std::uint32_t u32(const char* what) { return static_cast<std::uint32_t>(number(4, what)); }
  std::uint64_t u64(const char* what) { return number(8, what); }
  /// A string under its 64-bit length; a view into the file.
  std::string_view string(const char* what);
  std::string_view take(std::uint64_t count, const char* what);

  /// Refuses a count of things of at least `each` bytes that the rest cannot hold, before anything is
  /// reserved or looped over for it.
  void require_room(std::size_t position, std::uint64_t count, std::uint64_t each, const std::string& what) const;

  std::size_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }
  [[noreturn]] void fail(std::uint64_t position, const std::string& rule, const char* hint = nullptr) const;

 private:
  [[noreturn]] void fail_cut(std::size_t position, std::uint64_t count, const char* what) const;
  bool is_at_limit() const { return bytes_.size() == limit_ && limit_ < file_bytes_; }

  std::span<const std::uint8_t> bytes_;
  std::uint64_t file_bytes_;
  std::uint64_t limit_;
  const std::string& file_;
  const char* subject_ = "";
  std::string_view subject_name_;
  std::size_t position_ = 0;
};

}  // namespace reef::model::internal
