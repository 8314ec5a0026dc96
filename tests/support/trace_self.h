#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "support/temp_dir.h"

namespace reef::test {

/// Runs `cases` (doctest's filter) of this program again with REEF_IO=plain, in a process that reads the variable
/// afresh, and checks that they pass. Returns the system calls of those named that it made; nothing without strace.
inline std::optional<std::string> trace_plain_run(const std::string& calls, const std::string& cases) {
  const TempDir dir;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  io::ProcessResult result;
  try {
    result = io::run_process({"env", "REEF_IO=plain", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-o",
                              (dir / "trace").string(), "-e", "trace=" + calls, self.string(), "-tc=" + cases},
                             dir / "out", {});
  } catch (const Error&) {
    MESSAGE("skipped: no strace here");
    return std::nullopt;
  }
  CAPTURE(io::read_file(dir / "out"));
  CAPTURE(result.error_text);
  CHECK(result.status == 0);
  return io::read_file(dir / "trace");
}

}  // namespace reef::test
