#include "reef/recover/service.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <exception>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/core/text.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/io/process.h"

namespace reef::recover {
namespace {

constexpr std::size_t kShownBytes = 2000;

std::string command_text(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) text += (text.empty() ? "" : " ") + io::shown(word);
  return text;
}

/// Both streams of a command, on one line of a message.
std::string said(std::string output, const std::string& errors) {
  if (!output.empty() && !errors.empty() && !output.ends_with('\n')) output += '\n';
  output += errors;
  while (output.ends_with('\n')) output.pop_back();
  if (output.size() > kShownBytes) output.resize(kShownBytes);
  return printable(to_valid_utf8(output), true);
}

/// Throws Error{failed} when the command does not end with status 0.
void run(const std::string& persona, const char* key, const std::vector<std::string>& argv,
         std::chrono::milliseconds patience) {
  log_step("{}: {}", persona, command_text(argv));
  const io::UniqueFd output(::memfd_create("reef-service", MFD_CLOEXEC));
  if (!output) throw_errno("create", "a file in memory");
  const std::string place = fmt::format("/proc/self/fd/{}", output.get());
  io::ProcessLimits limits;
  limits.wall = patience;
  limits.output_bytes = std::uint64_t{1} << 20;
  const auto failed = [&](const std::string& how) {
    return Error(Errc::failed, fmt::format("services.{}.{}: '{}' {}", persona, key, command_text(argv), how),
                 "run it by hand to see why; system.yaml holds the command");
  };
  io::ProcessResult result;
  try {
    result = io::run_process(argv, place, limits);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    throw failed(fmt::format("cannot be run: {}", error.what()));
  }
  if (result.timed_out) throw failed(fmt::format("was ended after {}", format_duration(patience)));
  if (result.status == 0) return;
  const std::string text = said(io::read_file(place, limits.output_bytes), result.error_text);
  throw failed(fmt::format("ended with status {}{}{}", result.status, text.empty() ? "" : ": ", text));
}

/// For work that must be done although a signal has come: another one still ends it.
class IgnoredSignal {
 public:
  IgnoredSignal() : signal_(pending_signal) { pending_signal = 0; }
  IgnoredSignal(const IgnoredSignal&) = delete;
  IgnoredSignal& operator=(const IgnoredSignal&) = delete;
  ~IgnoredSignal() {
    if (pending_signal == 0) pending_signal = signal_;
  }

 private:
  std::sig_atomic_t signal_;
};

}  // namespace

std::vector<Service> services(const tree::Config& config, const std::vector<std::string>& personas) {
  std::vector<Service> found;
  for (const std::string& persona : config.names("system", "services")) {
    if (!personas.empty() && std::find(personas.begin(), personas.end(), persona) == personas.end()) continue;
    Service service{persona, config.list("system", "services." + persona + ".stop"),
                    config.list("system", "services." + persona + ".start")};
    if (!service.stop.empty() || !service.start.empty()) found.push_back(std::move(service));
  }
  return found;
}

StoppedServices::StoppedServices(std::vector<Service> services, std::chrono::milliseconds patience)
    : services_(std::move(services)), patience_(patience) {
  try {
    for (const Service& service : services_) {
      ++stopped_;  // one that failed to stop may be half down: it is started again as well
      if (!service.stop.empty()) run(service.persona, "stop", service.stop, patience_);
    }
  } catch (...) {
    for (const std::string& failure : start_all()) log_warn("{}", failure);
    throw;
  }
}

StoppedServices::~StoppedServices() {
  if (stopped_ == 0) return;
  for (const std::string& failure : start_all()) log_warn("{}", failure);
}

void StoppedServices::start() {
  const std::vector<std::string> failures = start_all();
  if (failures.empty()) return;
  std::string all;
  for (const std::string& failure : failures) all += (all.empty() ? "" : ", and ") + failure;
  throw Error(Errc::failed, all, "the data is in place: start what is missing by hand");
}

std::vector<std::string> StoppedServices::start_all() noexcept {
  const IgnoredSignal ignored;
  std::vector<std::string> failures;
  for (; stopped_ > 0; --stopped_) {
    const Service& service = services_[stopped_ - 1];
    if (service.start.empty()) continue;
    try {
      run(service.persona, "start", service.start, patience_);
    } catch (const std::exception& error) {
      failures.emplace_back(error.what());
    }
  }
  return failures;
}

}  // namespace reef::recover
