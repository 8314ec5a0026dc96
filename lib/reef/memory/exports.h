#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "reef/io/sqlite.h"

namespace reef::memory {

/// The derived JSON files of a persona, by name, as the database has them now: relationships.json
/// ({entities, relations, links}) and emotional_state.json. The same database gives the same bytes.
std::vector<std::pair<std::string, std::string>> json_exports(io::Database& memories, const std::string& persona);

/// Has changes that this connection makes to what the files tell noted in the same transaction. Once, before any.
void watch_json_exports(io::Database& memories);

/// Writes those that differ from what is there, each atomically; `anew`: all. Returns their names. Where nothing was
/// noted since the last call, and the files are of the size and time that it left, they are not made to be compared:
/// that takes as long as the memories are many. Outside a transaction.
std::vector<std::string> write_json_exports(const std::filesystem::path& folder, io::Database& memories,
                                            const std::string& persona, bool anew);

/// Whether the file has that content; false as well for one that cannot be read.
bool holds(const std::filesystem::path& file, const std::string& content);

}  // namespace reef::memory
