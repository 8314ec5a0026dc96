#pragma once

#include <unistd.h>

#include <utility>

namespace reef::io {

/// Owns one handle of a C interface and releases it once.
///
/// `Traits` names the handle type, its empty value and its release function, so that only traits
/// call close(2), munmap(2) and sqlite3_finalize().
template <class Traits>
class UniqueHandle {
 public:
  using value_type = typename Traits::value_type;

  UniqueHandle() noexcept = default;
  explicit UniqueHandle(value_type value) noexcept : value_(value) {}
  UniqueHandle(UniqueHandle&& other) noexcept : value_(other.release()) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueHandle() { reset(); }

  value_type get() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ != Traits::empty(); }
  value_type release() noexcept { return std::exchange(value_, Traits::empty()); }
  void reset(value_type value = Traits::empty()) noexcept {
    if (const value_type old = std::exchange(value_, value); old != Traits::empty()) Traits::release(old);
  }

 private:
  value_type value_ = Traits::empty();
};

struct FdTraits {
  using value_type = int;
  static constexpr int empty() noexcept { return -1; }
  static void release(int fd) noexcept { ::close(fd); }
};

using UniqueFd = UniqueHandle<FdTraits>;

}  // namespace reef::io
