#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <vector>

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

nlohmann::ordered_json index_config(const StoreState& state) {
  if (state.index_file.empty()) return nullptr;
  nlohmann::ordered_json config = {{"file", state.index_file}};
  if (!state.index_factory.empty()) {
    config["kind"] = state.index_factory;
  } else {
    config["kind"] = "HNSW32,SQ8";
    config["built_over"] = state.index_by_floats ? "floats" : "codes";
    config["m"] = HnswGraph::kM;
    config["ef_construction"] = HnswOptions{}.ef_construction;
  }
  config["rows"] = state.rows_indexed;
  config["sha256"] = state.index_sha256;
  return config;
}

/// "vectors", 3 and ".npy" of "vectors.3.npy".
bool is_generation(const std::string& name, std::string_view begin, std::string_view end) {
  if (!name.starts_with(begin) || !name.ends_with(end) || name.size() <= begin.size() + end.size()) return false;
  const std::string_view number = std::string_view(name).substr(begin.size(), name.size() - begin.size() - end.size());
  return number.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::vector<fs::path> unnamed(const fs::path& folder, const StoreState& state) {
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool ours = is_generation(name, "vectors.", ".npy") || is_generation(name, "codes.", ".npy") ||
                      is_generation(name, "index.", ".bin");
    if (ours && name != state.vectors_file && name != state.codes_file && name != state.index_file)
      old.push_back(entry.path());
  }
  return old;
}

void remove_unnamed(const fs::path& folder, const StoreState& state) {
  for (const fs::path& path : unnamed(folder, state))
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(path));
}

std::string config_text(const StoreState& state) {
  const nlohmann::ordered_json config = {{"schema", "reef.vectors.config/1"},
                                         {"generation", state.generation},
                                         {"model", state.model},
                                         {"model_digest", state.model_digest},
                                         {"dim", state.dim},
                                         {"metric", "cosine"},
                                         {"rows", state.rows_total},
                                         {"files", {{"vectors", state.vectors_file}, {"codes", state.codes_file}}},
                                         {"index", index_config(state)}};
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
  bool changed = false;
  for (const auto& [plain, target] : plain_names(state)) {
    // A graph that is gone is built again; until then its name is, too.
    if (target.empty() || (target == state.index_file && !fs::exists(folder / target))) {
      // Nothing of that kind is in the store: neither must its plain name be.
      if (::unlink((folder / plain).c_str()) == 0)
        changed = true;
      else if (errno != ENOENT)
        throw_errno("remove", io::shown(folder / plain));
      continue;
    }
    if (is_link_to(folder, plain, target)) continue;
    link_plain_name(folder, plain, target);
    changed = true;
  }
  if (changed) io::sync_directory(folder);
  if (state.generation == 0) return;  // never held a vector
  const std::string config = config_text(state);
  if (!has_content(folder / kConfig, config)) io::replace_file(folder / kConfig, config);
}

std::array<std::pair<std::string, std::string>, 3> plain_names(const StoreState& state) {
  const bool any = state.rows_total > 0;
  return {{{kPlainVectors, any ? state.vectors_file : ""},
           {kPlainCodes, any ? state.codes_file : ""},
           {kPlainIndex, state.index_file}}};
}

}  // namespace reef::vector::internal

namespace reef::vector {

std::string hinted_model(const std::filesystem::path& folder) {
  try {
    const std::string text = io::read_file(folder / internal::kConfig, 1 << 16);
    constexpr std::string_view kKey = "\"model\": \"";
    const auto key = text.find(kKey);
    if (key == std::string::npos) return "";
    const auto begin = key + kKey.size();
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    return name.find('\\') == std::string::npos ? name : "";
  } catch (const Error&) {
    return "";
  }
}

}  // namespace reef::vector
