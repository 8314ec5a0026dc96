#include "reef/embed/trim_encoders.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/embed/encoder.h"
#include "reef/model/embedding.h"
#include "reef/model/library.h"

namespace reef::embed {
namespace {

namespace fs = std::filesystem;

/// How the names begin of what the models of the tree have, or may have.
std::set<std::string> names_of_models(const tree::Tree& tree, const tree::Config& config) {
  std::set<std::string> names;
  for (const model::ListEntry& entry : model::list_models(tree).entries) {
    if (!entry.fault.empty() || !model::is_bert_encoder(entry.folder)) continue;
    try {
      const std::string name = model::qualified_name(entry.kind, entry.name);
      names.insert(compiled_path({}, model::resolve_embedding(tree, config, name)).string());
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      const auto* weights = entry.manifest.find("model.safetensors");
      if (weights != nullptr) names.insert(weights->sha256.substr(0, 16));
    }
  }
  return names;
}

}  // namespace

void remove_old_encoders(const tree::Tree& tree, const tree::Config& config, model::CacheTrim& trim) {
  const std::set<std::string> wanted = names_of_models(tree, config);
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator it(tree.encoders(), error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool is_wanted =
        std::any_of(wanted.begin(), wanted.end(), [&](const std::string& start) { return name.starts_with(start); });
    if (name[0] != '.' && name.ends_with(".reefenc") && !is_wanted) old.push_back(it->path());
  }
  std::sort(old.begin(), old.end());
  for (const fs::path& path : old) {
    check_interrupt();
    model::CacheItem item{"embedding_cache", "encoders/" + path.filename().string(), 0, "no model has it"};
    const auto bytes = fs::file_size(path, error);
    if (!error) item.bytes = bytes;
    if (!trim.is_dry_run) fs::remove(path);
    trim.removed.push_back(std::move(item));
  }
}

}  // namespace reef::embed
