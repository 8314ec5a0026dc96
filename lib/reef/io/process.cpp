#include "reef/io/process.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/spawn.h"

namespace reef::io {

ProcessResult run_process(const std::vector<std::string>& argv, const fs::path& output, const ProcessLimits& limits,
                          const std::function<void()>& meanwhile) {
  if (argv.empty()) throw Error(Errc::usage, "run: no program given");
  check_interrupt();
  internal::Launch launch;
  launch.program = internal::find_program(argv.front());
  launch.input = internal::above_standard(open_file("/dev/null", O_RDONLY), "/dev/null");
  const fs::path target = output.empty() ? fs::path("/dev/null") : output;
  launch.output = internal::above_standard(open_file(target, O_WRONLY | O_CREAT | O_TRUNC), shown(target));
  launch.limits = limits;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // Helpers of this build carry the sanitizer as well, whose own map is larger than any limit.
  if (launch.program.filename().native().starts_with("reef-")) launch.limits.memory_bytes = 0;
#endif
  internal::Pipe errors = internal::make_pipe();
  launch.errors = std::move(errors.write);
  internal::make_nonblocking(errors.read.get());
  internal::ChildProcess child = internal::spawn(argv, std::move(launch));

  ProcessResult result;
  constexpr auto kKeep = internal::Keep::first;
  result.timed_out = internal::wait_for_end(child, errors.read.get(), limits.wall, result.error_text, kKeep, meanwhile);
  result.status = child.reap();
  internal::drain(errors.read.get(), result.error_text, kKeep);
  return result;
}

fs::path helper_path(const std::string& name) {
  fs::path folder;
  if (const char* chosen = std::getenv("REEF_LIBEXEC"); chosen != nullptr && *chosen != '\0') {
    folder = chosen;
  } else {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    if (error) throw Error(Errc::failed, fmt::format("read /proc/self/exe: {}", error.message()));
    folder = self.parent_path().parent_path() / "libexec" / "reef";
  }
  fs::path path = folder / name;
  if (!internal::is_program(path)) {
    throw Error(Errc::not_found, fmt::format("the helper {} is missing", shown(path)),
                "install the whole package: its commands and libexec/reef belong together");
  }
  return path;
}

}  // namespace reef::io
