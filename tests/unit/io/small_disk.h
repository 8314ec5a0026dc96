#pragma once

#include <doctest/doctest.h>
#include <sys/mount.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "support/temp_dir.h"

namespace reef::test {

/// A filesystem of `bytes`, so that a test can fill it. Needs the right to mount: a test that has
/// it not says so and ends early.
class SmallDisk {
 public:
  explicit SmallDisk(std::size_t bytes) {
    const std::string options = "size=" + std::to_string(bytes);
    mounted_ = ::mount("reef-test", dir_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!mounted_) MESSAGE("skipped: no right to mount a small filesystem");
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return dir_.path(); }
  /// The same content, but nothing can be written.
  bool make_read_only() { return ::mount("", dir_.path().c_str(), "", MS_REMOUNT | MS_RDONLY, nullptr) == 0; }

 private:
  TempDir dir_;
  bool mounted_ = false;
};

}  // namespace reef::test
