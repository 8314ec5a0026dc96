#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace reef::io {

/// What a child process may use; 0 means no limit.
struct ProcessLimits {
  std::chrono::milliseconds wall{0};
  std::chrono::seconds cpu{0};
  std::uint64_t memory_bytes = 0;  ///< address space (RLIMIT_AS)
  std::uint64_t output_bytes = 0;  ///< largest file that it may write (RLIMIT_FSIZE)
};

struct ProcessResult {
  int status = 0;          ///< exit status, or 128 + signal
  bool timed_out = false;  ///< killed at the wall limit
  std::string error_text;  ///< the first 4 KiB of its stderr
};

/// Runs `argv` (argv[0] looked up in PATH unless it has a slash; no shell), stdin from /dev/null
/// and stdout into `output` (created or truncated; empty: /dev/null). It runs in a process group
/// of its own, which is killed as a whole when the program ends, when the wall limit is passed and
/// when this process is interrupted; the kernel kills the program itself when the calling thread
/// dies. No core files. `meanwhile` is called some ten times a second, and may throw to end it all.
/// Throws Error{not_found} when the program does not exist,
/// Error{interrupted} on a signal, Error{failed} when it cannot be started.
ProcessResult run_process(const std::vector<std::string>& argv, const std::filesystem::path& output,
                          const ProcessLimits& limits, const std::function<void()>& meanwhile = {});

/// The helper `name` of this installation: <bin>/../libexec/reef/<name>.
/// Throws Error{not_found} when the package is incomplete.
std::filesystem::path helper_path(const std::string& name);

}  // namespace reef::io
