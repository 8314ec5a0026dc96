#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/io/file.h"
#include "reef/tree/tree.h"

namespace reef::persona::internal {

namespace fs = std::filesystem;

/// The locks of a persona's own stores, as far as there are such, and of moves between shards: nobody else writes to
/// them meanwhile. Throws Error{locked}.
std::vector<io::LockFile> lock_stores(const tree::Tree& tree, const std::string& persona,
                                      std::chrono::milliseconds wait);

/// Something of that name, a link that leads nowhere too.
bool is_there(const fs::path& path);
/// A folder with something in it but a lock, a link, or a file.
bool is_taken(const fs::path& path);

/// Gives a folder its new name, durably; nothing where it has it already. Error{failed} for what is in the way.
void move_folder(const fs::path& from, const fs::path& to);
/// The same for vectors/personas/<id>, which may be a link into a shard: the folder there, which bears the id, goes
/// along. Each of the steps can have been taken before.
void move_store(const fs::path& from, const fs::path& to);

/// move_folder(), also from one filesystem to another, and for a file: then what comes appears whole. False, and
/// nothing is done, when there is something of that name.
bool bring(const fs::path& from, const fs::path& to);

/// Removes a folder, durably: under a hidden name first, which io::remove_stale() knows, so that no part of it looks
/// like a whole. Of a link, what it leads to goes first.
void remove_folder(const fs::path& path);
/// A shard's folder of the persona, or whatever the link leads to.
fs::path link_target(const fs::path& path);

}  // namespace reef::persona::internal
