#include "reef/session/internal/locks.h"

namespace reef::session::internal {

io::LockFile lock_conversations(const tree::Tree& tree, std::chrono::milliseconds wait) {
  io::LockFile lock(tree.conversations() / ".lock", wait);
  io::remove_stale(tree.conversations());
  return lock;
}

io::LockFile lock_archive(const std::filesystem::path& file, std::chrono::milliseconds wait) {
  const auto folder = file.parent_path();  // ARCHIVE/conversations/PERSONA
  io::LockFile lock(folder.parent_path() / ".lock", wait);
  io::remove_stale(folder);
  return lock;
}

}  // namespace reef::session::internal
