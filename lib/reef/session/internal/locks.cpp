#include "reef/session/internal/locks.h"

namespace reef::session::internal {

io::LockFile lock_conversations(const tree::Tree& tree, std::chrono::milliseconds wait) {
  io::LockFile lock(tree.conversations() / ".lock", wait);
  io::remove_stale(tree.conversations());
  return lock;
}

}  // namespace reef::session::internal
