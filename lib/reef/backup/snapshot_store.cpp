#include "reef/backup/snapshot_store.h"

namespace reef::backup {

bool Selection::covers(const std::string& path) const {
  if (paths.empty()) return true;
  for (const std::string& selected : paths) {
    if (selected.empty() || path == selected) return true;
    if (path.size() > selected.size() && path.starts_with(selected) && path[selected.size()] == '/') return true;
  }
  return false;
}

}  // namespace reef::backup
