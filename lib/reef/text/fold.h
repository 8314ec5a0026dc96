#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reef::text {

/// `text` for comparing: compatibility forms, case, and kinds of dashes, quotes and blanks made one (NFKC with
/// case folding, and utf8proc's lumps), runs of white space one blank, none at the ends. Always UTF-8.
std::string folded(std::string_view text);

/// The words of folded text: runs of letters, digits and bytes beyond ASCII; "'" and, between digits, "." and "," stay
/// inside a word.
std::vector<std::string_view> words_of(std::string_view folded);

}  // namespace reef::text
