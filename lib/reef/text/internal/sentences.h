#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace reef::text::internal {

struct Span {
  std::size_t start = 0;
  std::size_t end = 0;
};

/// The sentences of a run of prose, without the white space between them; together they hold every
/// byte that is not white space. By rule, for scientific prose and chat alike: a full stop ends no
/// sentence behind an abbreviation or initial, inside of a number, address or name of a file, nor
/// (mostly) before a lower-case letter. List items on lines of their own are sentences, too.
std::vector<Span> split_sentences(std::string_view text);

/// Lines that are not blank, their indentation included.
std::vector<Span> split_lines(std::string_view text);

}  // namespace reef::text::internal
