#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "reef/tree/tree.h"

/// Which rows of the databases that all personas share belong to one of them:
///   data/conversations/conversations.sqlite: its sessions, their messages and summaries, its number, and the lists of
///     messages that its vectors do not know yet; the words of the messages go along;
///   data/documents/documents.sqlite: the sources of its scope.
namespace reef::persona {

namespace fs = std::filesystem;

enum class Shared { conversations, documents };

fs::path shared_file(const tree::Tree& tree, Shared which);

/// Rows by table, as in backup/entry.h.
using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
/// Of one persona; all 0 where the file is not there.
Counts count_rows(const fs::path& database, Shared which, const std::string& persona);

/// Makes `copy`, which must not exist: a database of the present version that holds the persona's rows, with their ids,
/// and no others. Of a live database as of one that was captured; an older version is brought up to date on the way.
/// What is read is of one moment.
void extract_rows(const fs::path& database, Shared which, const std::string& persona, const fs::path& copy);

struct ReplaceOptions {
  /// vectors/conversations/<persona> comes from where the copy comes from: what it does not know yet is what the copy
  /// says. Otherwise it stays, and has to learn of every message that comes or goes.
  bool turns_come_too = false;
  /// After so long a transaction is ended, that others may write.
  std::chrono::milliseconds longest{1000};
  /// Rows between two looks at the clock, of 1 KiB of text each.
  std::uint64_t rows_at_once = 1000;
};

struct ReplaceReport {
  std::uint64_t rows = 0;          ///< that the persona has now
  std::uint64_t came = 0;          ///< rows that were not there, or differed
  std::uint64_t went = 0;          ///< rows that were there, and are not in the copy
  std::uint64_t transactions = 0;  ///< 0: it was so already
  std::uint64_t unread = 0;        ///< archived messages whose archive cannot be read: words do not find them
};

/// Puts the persona's rows of `copy`, a database of its own or a captured one of all personas, in the place of those
/// that the tree has, with their ids. Others go on writing: what is the same stays untouched, and the rest changes in
/// one IMMEDIATE transaction, or, where more than `most_rows` rows differ, in several with pauses for others. A run
/// that is killed between those has brought part of the rows; the next one brings the rest. What the persona itself is
/// told meanwhile counts as said afterwards.
///
/// The copy is checked first, and brought to the present version if it is older: it must be the caller's own. Throws
/// Error{corrupt} for a damaged copy, Error{usage} for a newer one, and where the tree has given ids of the persona's
/// sessions or messages to another persona, naming it; nothing is changed then. Error{not_found} when messages are to
/// go whose text is in an archive that is not there: their words cannot be taken out without.
ReplaceReport replace_rows(const tree::Tree& tree, Shared which, const fs::path& copy, const std::string& persona,
                           const ReplaceOptions& options = {});

}  // namespace reef::persona
