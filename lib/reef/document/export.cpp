#include "reef/document/export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/document/stores.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"
#include "reef/tree/parts.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

/// Removed again unless it was given its name.
class StagedFolder {
 public:
  explicit StagedFolder(fs::path target) : target_(std::move(target)), temporary_(io::temporary_name(target_)) {
    if (::mkdir(temporary_.c_str(), 0750) != 0) throw_errno("create", io::shown(temporary_));
  }
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;
  ~StagedFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }
  const fs::path& path() const { return temporary_; }
  void commit() {
    io::sync_directory(temporary_);
    // An empty folder is replaced.
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw_errno("rename", io::shown(target_));
    io::sync_directory(target_.parent_path());
    temporary_.clear();
  }

 private:
  fs::path target_;
  fs::path temporary_;
};

void copy_out(const fs::path& from, const fs::path& to) {
  const io::UniqueFd in = io::open_file(from, O_RDONLY);
  const io::UniqueFd out = io::open_file(to, O_WRONLY | O_CREAT | O_EXCL);
  io::copy_contents(in.get(), out.get(), from, to, [](void*, std::uint64_t) { check_interrupt(); });
}

void require_free(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) || fs::is_empty(folder, error)) return;
  throw Error(Errc::usage, fmt::format("{} is not empty", io::shown(folder)), "name a folder that is absent or empty");
}

}  // namespace

ExportReport export_store(const tree::Tree& tree, const ExportOptions& options) {
  tree::require_in_reach(tree, options.scope);
  fs::path target = fs::absolute(options.to).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "DIR/"
  ExportReport report;
  report.scope = options.scope.name();
  report.folder = target.string();
  require_free(target);
  if (!holds_store(tree, options.scope))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  // Its lock keeps the files of one generation; derived ones are brought up to date first.
  Stores stores(tree, options.scope, options.wait);
  stores.finish_run();
  StagedFolder staged(target);
  for (std::size_t i = 0; i < stores.size(); ++i) {
    Store& store = stores[i];
    report.generation = std::max(report.generation, store.vectors().state().generation);
    const fs::path part = stores.parts()[i].shard;  // empty for a store that is whole
    if (!part.empty()) tree::make_folders(staged.path() / part);
    for (const char* name : {"vectors.npy", "codes.npy", "index.bin", "id_mapping.json", "config.json"}) {
      if (!fs::exists(store.folder() / name)) continue;
      copy_out(store.folder() / name, staged.path() / part / name);
      report.files.push_back(part / name);
    }
    report.files.push_back(part / "metadata.sqlite");
    store.database().prepare("VACUUM INTO ?").bind(1, (staged.path() / report.files.back()).string()).run();
    if (!part.empty()) io::sync_directory(staged.path() / part);
  }
  for (const std::string& name : report.files) report.bytes += fs::file_size(staged.path() / name);
  staged.commit();
  return report;
}

}  // namespace reef::document
