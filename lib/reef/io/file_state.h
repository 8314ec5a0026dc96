#pragma once

#include <cstdint>
#include <string>

struct stat;

namespace reef::io {

/// Nanoseconds since the epoch by the clock that the kernel stamps files with. It stands still between two ticks.
std::int64_t file_clock_ns();

/// A file's state in one word: two looks at a path that find the same state find the same content, however far apart
/// they are. Device, inode, size, the time of the last change of the content (mtime) and of anything (ctime), which
/// nobody can set.
///
/// Empty, which vouches for nothing, where the last change was not yet 20 ms old at `before_ns`, a file_clock_ns() from
/// before the look: a change within the same tick of the clock (4 to 10 ms) would leave all these values as they are.
/// So too where it lies in the future, since a clock that was set back stamps times anew.
///
/// What it cannot see: stores through a writable mapping are stamped once for all until the kernel writes the page
/// back. Nothing of reef writes what lasts in that way.
std::string file_state(const struct stat& status, std::int64_t before_ns);

/// Whether a change is so recent that another one could not be told from it: who is about to read the file and to
/// compare its times afterwards waits a moment first. False for times in the future.
bool changed_just_now(const struct stat& status, std::int64_t before_ns);

}  // namespace reef::io
