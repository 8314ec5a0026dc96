#include "reef/core/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <new>
#include <system_error>

#include "reef/core/table.h"

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

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::filesystem::filesystem_error& error) {
    std::string paths = printable(error.path1().string());
    if (!error.path2().empty()) paths += fmt::format(" to {}", printable(error.path2().string()));
    const bool absent = error.code() == std::errc::no_such_file_or_directory;
    return Error(absent ? Errc::not_found : Errc::failed,
                 fmt::format("{}{}{}", paths, paths.empty() ? "" : ": ", error.code().message()),
                 hint_for(error.code().value()));
  } catch (const std::bad_alloc&) {
    return Error(Errc::failed, "out of memory", "close other programs, or pass a smaller --threads");
  } catch (const std::exception& error) {
    return Error(Errc::failed, error.what());
  }
}

}  // namespace reef
