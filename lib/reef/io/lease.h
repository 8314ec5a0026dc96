#pragma once

#include <filesystem>

#include "reef/io/unique_handle.h"

namespace reef::io {

/// Tells whether any process has a file open or mapped, and keeps it so for as long as the object lives.
///
/// fcntl(F_SETLEASE, F_WRLCK) is granted only where no other open file description of the inode exists; a mapping holds
/// one after its descriptor was closed. So programs in any language are seen without their help, and a killed one stops
/// counting at once. While it is held, an open(2) by anyone else waits for its end.
class ExclusiveLease {
 public:
  enum class State {
    held,     ///< nobody else has the file
    in_use,   ///< somebody has
    unknown,  ///< the file is another user's, or its filesystem has no leases: take it for in use
  };
  /// `writes`: fd() is to be written through, for an own open(2) would wait like those of others.
  explicit ExclusiveLease(const std::filesystem::path& path, bool writes = false);

  State state() const { return state_; }
  bool is_held() const { return state_ == State::held; }
  int fd() const { return fd_.get(); }
  /// Somebody waits in open(2); after /proc/sys/fs/lease-break-time (45 s) the kernel lets him in.
  bool is_wanted() const;

 private:
  UniqueFd fd_;  ///< closing it ends the lease
  State state_ = State::unknown;
};

}  // namespace reef::io
