#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"

namespace reef::vector::internal {
namespace {

namespace fs = std::filesystem;

/// Gives `target` its plain name, replacing whatever bore it, so that the name is never absent.
void link_plain_name(const fs::path& folder, const std::string& plain, const std::string& target) {
  const fs::path temporary = io::temporary_name(folder / plain);
  if (::link((folder / target).c_str(), temporary.c_str()) != 0) {
    // FAT, some network filesystems and containers refuse hard links.
    if (errno == ENOENT || ::symlink(target.c_str(), temporary.c_str()) != 0) {
      throw_errno("link", io::shown(folder / target));
    }
  }
  if (::rename(temporary.c_str(), (folder / plain).c_str()) != 0) {
    const int saved = errno;
    ::unlink(temporary.c_str());
    errno = saved;
    throw_errno("rename", io::shown(folder / plain));
  }
}

bool has_content(const fs::path& path, const std::string& text) {
  std::error_code error;
  if (fs::file_size(path, error) != text.size() || error) return false;
  return io::read_file(path) == text;
}

}  // namespace

std::string config_text(const StoreState& state) {
  const nlohmann::ordered_json config = {{"schema", "reef.vectors.config/1"},
                                         {"generation", state.generation},
                                         {"model", state.model},
                                         {"model_digest", state.model_digest},
                                         {"dim", state.dim},
                                         {"metric", "cosine"},
                                         {"rows", state.rows_total},
                                         {"files", {{"vectors", state.vectors_file}, {"codes", state.codes_file}}}};
  return config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

bool is_link_to(const fs::path& folder, const std::string& plain, const std::string& target) {
  struct stat of_plain {
  }, of_target{};
  // stat(2) follows a symbolic link, so one test serves both kinds.
  return ::stat((folder / plain).c_str(), &of_plain) == 0 && ::stat((folder / target).c_str(), &of_target) == 0 &&
         of_plain.st_dev == of_target.st_dev && of_plain.st_ino == of_target.st_ino;
}

void publish(const fs::path& folder, const StoreState& state) {
  bool linked = false;
  for (const auto& [plain, target] : {std::pair{kPlainVectors, state.vectors_file}, {kPlainCodes, state.codes_file}}) {
    if (is_link_to(folder, plain, target)) continue;
    link_plain_name(folder, plain, target);
    linked = true;
  }
  if (linked) io::sync_directory(folder);
  const std::string config = config_text(state);
  if (!has_content(folder / kConfig, config)) io::replace_file(folder / kConfig, config);
}

}  // namespace reef::vector::internal
