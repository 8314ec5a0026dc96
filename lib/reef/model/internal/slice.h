#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::model::internal {

/// A part of a tensor in numpy's basic slicing, with a step of 1.
struct Slice {
  struct Dimension {
    std::uint64_t begin = 0;
    std::uint64_t count = 0;
    bool is_dropped = false;  ///< chosen by an integer: the result does not have it
  };
  std::vector<Dimension> dimensions;  ///< one for each of the tensor's

  std::vector<std::uint64_t> shape() const;
  std::uint64_t elements() const;
};

Slice whole(const std::vector<std::uint64_t>& shape);

/// Reads "[0:10,:,-1]" for a tensor of that shape: integers, begin:end and one "..." as in numpy, where ranges are cut
/// to the tensor and integers must be in it. `tensor` stands in messages. Throws Error{usage} naming the character.
Slice parse_slice(std::string_view text, const std::vector<std::uint64_t>& shape, std::string_view tensor);

/// The elements of a slice as runs of one length that lie together in the tensor, in their order.
class Runs {
 public:
  Runs(const Slice& slice, const std::vector<std::uint64_t>& shape);

  std::uint64_t length() const { return length_; }
  /// The first element of the next run; nullopt after the last one.
  std::optional<std::uint64_t> next();

 private:
  struct Outer {
    std::uint64_t stride = 0;
    std::uint64_t count = 0;
    std::uint64_t at = 0;
  };
  std::vector<Outer> outer_;  ///< dimensions that runs lie apart in, outermost first
  std::uint64_t length_ = 1;
  std::uint64_t next_ = 0;
  bool is_done_ = false;
};

}  // namespace reef::model::internal
