#include "reef/core/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace reef {
namespace {

const char* hint_for(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return "free some space, then run the command again; nothing was lost";
    case EROFS:
      return "the filesystem is mounted read-only";
    case EACCES:
    case EPERM:
      return "run the command as the user that owns the tree ('reef-init --check' shows who)";
    case EMFILE:
      return "raise the limit of open files (ulimit -n)";
    default:
      return "";
  }
}

}  // namespace

void throw_errno(const std::string& action, const std::string& path) {
  const int saved = errno;
  const Errc code = saved == ENOENT ? Errc::not_found : Errc::failed;
  throw Error(code, fmt::format("{} {}: {}", action, path, std::generic_category().message(saved)), hint_for(saved));
}

}  // namespace reef
