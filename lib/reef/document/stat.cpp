#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>

#include "reef/document/registry.h"
#include "reef/document/stores.h"
#include "reef/document/verify.h"
#include "reef/tree/shards.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

std::uint64_t folder_bytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::set<ino_t> counted;  // plain names are hard links
  for (const auto& entry : fs::directory_iterator(folder)) {
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) == 0 && S_ISREG(info.st_mode) && counted.insert(info.st_ino).second)
      bytes += static_cast<std::uint64_t>(info.st_size);
  }
  return bytes;
}

void add_part(ScopeStat& stat, const tree::Part& part, const tree::Scope& scope) {
  Snapshot snapshot(part.folder, scope);
  const auto& state = snapshot.vectors().state();
  if (!part.shard.empty()) ++stat.parts;
  stat.generation = std::max(stat.generation, state.generation);
  stat.documents += static_cast<std::uint64_t>(snapshot.documents());
  const auto text_only = static_cast<std::uint64_t>(snapshot.map().rows(true));
  stat.text_only += text_only;
  stat.chunks += static_cast<std::uint64_t>(snapshot.map().rows(false)) + text_only;
  stat.dead_rows += snapshot.vectors().dead().size();
  stat.vectors += state.rows_total - snapshot.vectors().dead().size();
  stat.indexed += state.rows_indexed;
  stat.tail += state.rows_total - state.rows_indexed;
  std::error_code gone;  // verify says so
  const auto index_bytes = fs::file_size(part.folder / state.index_file, gone);
  if (!state.index_file.empty() && !gone) stat.index_bytes += index_bytes;
  stat.bytes += folder_bytes(part.folder);
  if (stat.index == vector::IndexKind::none) stat.index = vector::index_kind(state);
  if (stat.factory.empty()) stat.factory = state.index_factory;
  if (stat.model.empty() || (stat.vectors == 0 && !state.model.empty())) {
    stat.dim = state.dim;
    stat.model = state.model;
    stat.model_digest = state.model_digest;
  }
}

}  // namespace

StatReport stat(const tree::Tree& tree, const std::vector<tree::Scope>& scopes) {
  StatReport report;
  report.root = tree.root().string();
  const auto registry = Registry::open_if_sound(tree.registry());
  for (const tree::Scope& scope : scopes) {
    for (auto& missing : tree::missing_stores(tree, scope)) report.missing.push_back(std::move(missing));
    if (!holds_store(tree, scope)) continue;
    auto opened = tree::opened_in_place(tree.vectors(scope), [&] {
      auto measured = std::make_unique<ScopeStat>();
      for (const tree::Part& part : tree::parts_of(tree, scope))
        if (part.shard.empty() || tree::is_in_reach(part)) add_part(*measured, part, scope);
      return measured;
    });
    ScopeStat& stat = *opened;
    stat.scope = scope.name();
    if (registry) {
      for (const Source& source : registry->list(scope)) {
        ++stat.files;
        if (source.state == SourceState::failed) ++stat.failed;
      }
    }
    report.scopes.push_back(std::move(stat));
  }
  return report;
}

}  // namespace reef::document
