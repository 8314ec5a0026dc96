#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace reef {

/// Why an operation could not finish. One value maps to one exit status (exit_status()).
enum class Errc {
  failed,       ///< The operation was attempted and did not finish.
  usage,        ///< The command line or the configuration is wrong; nothing was attempted.
  corrupt,      ///< Data was read and does not match its checksum or format.
  not_found,    ///< The store, model or document named does not exist.
  locked,       ///< Another run holds the lock; a later retry may succeed.
  interrupted,  ///< A signal asked the run to stop.
};

/// The one exception type that crosses a module boundary.
///
/// `what()` says what failed and on which object, in lower case and without a final full stop;
/// `hint()` says what the operator can do next, and may be empty.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& message, std::string hint = {})
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}

  Errc code() const noexcept { return code_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  Errc code_;
  std::string hint_;
};

/// For a warning: "what() (hint())".
inline std::string with_hint(const Error& error) {
  return error.hint().empty() ? std::string(error.what()) : std::string(error.what()) + " (" + error.hint() + ")";
}

/// Statuses that are no errors: a run that finished in part, a check that found a fault.
inline constexpr int kStatusPartial = 3;
inline constexpr int kStatusFault = 4;

/// Exit status that shells, cron and timers see for `code`; documented in reef(7).
constexpr int exit_status(Errc code) noexcept {
  switch (code) {
    case Errc::failed:
      return 1;
    case Errc::usage:
      return 2;
    case Errc::corrupt:
      return kStatusFault;
    case Errc::not_found:
      return 5;
    case Errc::locked:
      return 6;
    case Errc::interrupted:
      return 130;
  }
  return 1;
}

/// Throws Error built from `errno`: "open /srv/reef/model.safetensors: Permission denied".
/// ENOENT becomes not_found, everything else failed; common causes carry a hint.
[[noreturn]] void throw_errno(const std::string& action, const std::string& path);

/// What is being handled, in a catch block: an Error itself, else one that says what the standard library threw, such
/// as a path and its fault for std::filesystem.
Error current_error();

}  // namespace reef
