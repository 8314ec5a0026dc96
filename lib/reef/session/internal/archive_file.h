#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "reef/session/store.h"

namespace reef::session::internal {

/// A message whose text stands in the archive file now.
struct Placed {
  std::int64_t id = 0;
  std::int64_t offset = 0;
  std::uint64_t content_mark = 0;  ///< XXH3 of the text that was written
};

/// Brings the texts of a session that are in the database into `file`, behind what is there: written beside it, synced,
/// read back and compared, renamed. Lines that a killed run wrote are used again. Throws Error{usage} when `file`, of
/// which the session knows nothing, holds other lines; Error{corrupt} when it reads back differently.
std::vector<Placed> write_archive_file(io::Database& conversations, const SessionRow& session,
                                       const std::filesystem::path& file);

std::uint64_t content_mark(std::string_view content);

}  // namespace reef::session::internal
