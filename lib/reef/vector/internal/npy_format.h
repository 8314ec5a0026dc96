#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reef::vector::internal {

/// A version 1 header that ends at a multiple of 64 bytes, or at `data_offset` when that is given
/// (a header rewritten in place). The count is right-aligned in a field of 19 digits.
/// columns 0: one-dimensional, shape (rows,). Throws Error{failed} when it does not fit.
std::string npy_header_text(std::string_view descr, std::uint64_t rows, std::size_t columns,
                            std::size_t data_offset = 0);

/// `text` without blanks outside of quotes and without the "|" that numpy puts before types of one
/// byte: two spellings of one type compare equal.
std::string normalised_descr(std::string_view text);

/// Bytes at the beginning of a file that hold any header that reef reads.
inline constexpr std::size_t kMaxNpyHeader = 64 * 1024;

}  // namespace reef::vector::internal
