#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::session {

struct WordsReport {
  std::uint64_t messages = 0;
  std::uint64_t unread = 0;  ///< of them, archived where the archive is damaged: without words
};

/// Makes the full text of all conversations anew, from the database and the archives: the old one or the new one is
/// there, whenever it is killed. Other writers wait. Throws Error{not_found} where there are no conversations or an
/// archive is not there, Error{locked}.
WordsReport rebuild_words(const tree::Tree& tree, std::chrono::milliseconds wait, Progress& progress);

std::string to_text(const WordsReport& report);
std::string to_json(const WordsReport& report);

}  // namespace reef::session
