#include "reef/backup/internal/snapshot_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {

std::vector<std::string> SnapshotFolder::ids() const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder(), error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (time_of_id(name)) found.push_back(std::move(name));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(folder()), error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

bool SnapshotFolder::has(const std::string& id) const {
  std::error_code error;
  return time_of_id(id).has_value() && fs::symlink_status(path_of(id), error).type() == fs::file_type::regular;
}

SnapshotFile SnapshotFolder::read(const std::string& id) const {
  const auto unknown = [&] {
    return Error(Errc::not_found, fmt::format("there is no snapshot {} in {}", io::shown(id), io::shown(repository_)),
                 "'reef-backup list' shows those that there are");
  };
  if (!time_of_id(id)) throw unknown();
  try {
    return read_snapshot_file(path_of(id), id);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) throw unknown();
    throw;
  }
}

std::vector<Snapshot> SnapshotFolder::list() const {
  const Checks known = checks();
  std::vector<Snapshot> all;
  for (const std::string& id : ids()) {
    check_interrupt();
    Snapshot snapshot;
    try {
      snapshot = read(id).snapshot;
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) continue;  // removed by prune since
      if (error.code() != Errc::corrupt) throw;
      snapshot.id = id;
      snapshot.taken = *time_of_id(id);
      snapshot.damaged = snapshot.taken;
    }
    if (const auto check = known.snapshots.find(id); check != known.snapshots.end()) {
      snapshot.verified = check->second.verified;
      if (check->second.damaged) snapshot.damaged = check->second.damaged;
    }
    all.push_back(std::move(snapshot));
  }
  return all;
}

Checks SnapshotFolder::checks() const {
  try {
    return read_checks(checks_path());
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    return {};
  }
}

}  // namespace reef::backup::internal
