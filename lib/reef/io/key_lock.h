#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::io {

/// An exclusive lock on a name, of which a file holds any number: open file description locks on single bytes, placed
/// by a hash of the name. Nothing is left behind when a holder ends or is killed. Two names in 2^62 that share a byte
/// wait for each other, no more.
class KeyLock {
 public:
  /// Waits until nobody else has the lock; `on_wait` is called once, if there is a wait. Throws Error{interrupted} on a
  /// signal.
  KeyLock(const std::filesystem::path& file, std::string_view key, const std::function<void()>& on_wait = {});

  /// False when the file was removed or replaced since: the lock then keeps nobody out.
  bool is_valid() const;

  /// Whether anybody has it now. Of a file that need not be there, nor be ours to write.
  static bool is_held(const std::filesystem::path& file, std::string_view key);

 private:
  std::filesystem::path file_;
  UniqueFd fd_;
};

}  // namespace reef::io
