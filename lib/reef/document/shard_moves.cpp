#include "reef/document/shard_moves.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/document/internal/shard_publish.h"
#include "reef/document/internal/shard_survey.h"
#include "reef/document/internal/shared_split.h"
#include "reef/document/internal/store_copy.h"
#include "reef/document/store.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

/// A folder that goes away again unless it is where the persona's `link` leads, or may lead after a power cut.
class Copy {
 public:
  Copy(fs::path path, fs::path link, std::string persona)
      : path_(std::move(path)), link_(std::move(link)), persona_(std::move(persona)) {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() {
    try {
      if (!published_ && tree::folder_identity(path_) != tree::folder_identity(link_))
        internal::remove_store(path_, persona_);
    } catch (const std::exception& error) {
      log_step("{}", error.what());  // the next run removes it
    }
  }
  const fs::path& path() const { return path_; }
  void rename_to(const fs::path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) throw_errno("rename", io::shown(target));
    path_ = target;
    io::sync_directory(target.parent_path());
  }
  void published() { published_ = true; }

 private:
  fs::path path_;
  fs::path link_;
  std::string persona_;
  bool published_ = false;
};

/// Brings what a killed writer left, and a store of an older version, into order, and its WAL into its database.
void settle_store(const fs::path& folder, const tree::Scope& scope, std::chrono::milliseconds wait) {
  if (!internal::holds_store(folder)) return;
  Store store(folder, scope, wait);
  store.database().checkpoint();
}

/// Moves one store. `link` is vectors/personas/<id>, a folder or a link.
class StoreMove {
 public:
  StoreMove(const tree::Tree& tree, const tree::ShardMap& map, const ShardMove& move, std::chrono::milliseconds wait)
      : map_(map),
        move_(move),
        scope_(tree::Scope::persona(move.persona)),
        link_(tree.vectors(scope_)),
        from_(fs::is_symlink(link_) ? move.from_folder : link_),
        read_only_(::access(from_.c_str(), W_OK) != 0 && errno == EROFS),
        wait_(wait) {}

  void run(Progress& progress) {
    // A failing drive is often one that the kernel lets nobody write to any more: its stores can leave all the same.
    if (!read_only_) settle_store(link_, scope_, wait_);
    const auto lock =
        read_only_ ? io::LockFile::for_reading(link_ / ".lock", wait_) : io::LockFile(link_ / ".lock", wait_);
    if (!read_only_) io::remove_stale(from_);
    require_target();
    tree::make_folders(move_.to_folder.parent_path());
    const std::uint64_t bytes = internal::store_bytes(from_);
    if (const auto free = internal::free_bytes(move_.to_folder.parent_path()); free < bytes)
      throw Error(Errc::failed,
                  fmt::format("{} needs {}, {} has {} free", move_.persona, format_size(bytes),
                              io::shown(move_.to_folder.parent_path()), format_size(free)),
                  "free space there, or list another shard");
    constexpr std::uint64_t kPasses = 3;  // written, and read on both sides
    progress.begin("moving " + move_.persona, kPasses * bytes, ProgressUnit::bytes);
    Copy copy(internal::moving_name(move_.to_folder.parent_path(), move_.persona), link_, move_.persona);
    tree::make_folders(copy.path());
    internal::copy_store(from_, copy.path(), progress);
    progress.end();
    check_interrupt();
    require_target();
    publish(copy);
  }

 private:
  void require_target() const {
    if (move_.to != "tree") map_.require_mounted(move_.to);
  }

  void publish(Copy& copy) {
    const bool out_of_tree = !fs::is_symlink(link_), into_tree = move_.to == "tree";
    internal::mark_moving(copy.path());
    if (!out_of_tree && !read_only_) internal::mark_moving(from_);
    if (into_tree) {
      const fs::path link = internal::put_in_place(copy.path(), link_, move_.persona);
      copy.published();
      internal::remove_store(link, move_.persona);
      remove_old(from_);
    } else {
      require_free_name();
      copy.rename_to(move_.to_folder);
      const fs::path old = out_of_tree ? internal::put_link_in_place(move_.to_folder, link_, move_.persona) : from_;
      if (!out_of_tree) internal::replace_link(link_, move_.to_folder, move_.persona);
      copy.published();
      remove_old(old);
    }
    internal::unmark(link_);
  }

  void remove_old(const fs::path& old) const {
    if (read_only_)
      log_warn("{} cannot be removed: its filesystem is read-only; nothing leads to it any more", io::shown(old));
    else
      internal::remove_store(old, move_.persona);
  }

  /// Leftovers of ended moves are gone by now.
  void require_free_name() const {
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(move_.to_folder, ignored))) return;
    throw Error(
        Errc::failed, fmt::format("{} is in the way", io::shown(move_.to_folder)),
        fmt::format("it is not of an ended move: compare it with {}, then move one of them away", io::shown(from_)));
  }

  const tree::ShardMap& map_;
  const ShardMove& move_;
  tree::Scope scope_;
  fs::path link_;
  fs::path from_;
  bool read_only_;
  std::chrono::milliseconds wait_;
};

/// Of a store that is in place. On a failing drive the mark may stay: it is read only where no link leads.
void unmark_if_possible(const fs::path& folder) {
  try {
    internal::unmark(folder);
  } catch (const Error& error) {
    log_warn("{}", error.what());
  }
}

void clean_up_shared(const tree::Tree& tree, const tree::ShardMap& map, ShardPlan& report) {
  const auto scope = tree::Scope::shared();
  const fs::path own = tree.vectors(scope);
  if (const fs::path kept = tree::kept_store(tree, scope); !kept.empty()) {
    if (::rename(kept.c_str(), own.c_str()) != 0) throw_errno("rename", io::shown(own));
    report.moves.push_back({"", "tree", "tree", kept, own, 0, true});
  }
  io::sync_directory(own.parent_path());
  for (ShardLeftover& leftover : internal::split_leftovers(tree, map, report)) {
    check_interrupt();
    internal::remove_store(leftover.path, internal::kSharedName);
    report.leftovers.push_back(std::move(leftover));
  }
  for (const tree::Part& part : tree::parts_of(tree, scope))
    if (tree::is_in_reach(part)) unmark_if_possible(part.folder);
}

/// What ended runs left: a store between two renames comes back, copies that nothing leads to go.
void clean_up(const tree::Tree& tree, const tree::Config& config, const ShardOptions& options, ShardPlan& report) {
  const fs::path personas = tree.root() / "vectors/personas";
  const auto map = tree::ShardMap::load(tree, config);
  for (const std::string& persona : internal::sharded_personas(tree, config)) {
    if (options.persona && persona != *options.persona) continue;
    const auto scope = tree::Scope::persona(persona);
    const fs::path kept = tree::kept_store(tree, scope), own = tree.vectors(scope);
    if (kept.empty()) continue;
    if (::rename(kept.c_str(), own.c_str()) != 0) throw_errno("rename", io::shown(own));
    io::sync_directory(personas);
    report.moves.push_back({persona, "tree", "tree", kept, own, 0, true});
  }
  if (!options.persona) clean_up_shared(tree, map, report);
  auto leftovers = internal::find_leftovers(tree, map, options.persona);
  // The move that they are left of must have come to the drive before the other copy goes.
  if (!leftovers.empty()) io::sync_directory(personas);
  for (ShardLeftover& leftover : leftovers) {
    check_interrupt();
    if (auto stays = internal::must_stay(tree, leftover)) {
      report.unmoved.push_back(std::move(*stays));
      continue;
    }
    internal::remove_store(leftover.path, leftover.persona);
    report.leftovers.push_back(std::move(leftover));
  }
  for (const std::string& persona : internal::sharded_personas(tree, config))
    if (!options.persona || persona == *options.persona)
      unmark_if_possible(tree.vectors(tree::Scope::persona(persona)));
}

void require_space(const ShardPlan& plan) {
  if (plan.shortfalls.empty()) return;
  const Shortfall& first = plan.shortfalls.front();
  throw Error(Errc::failed,
              fmt::format("{} has {} free, and {} are to move there: nothing was moved", io::shown(first.path),
                          format_size(first.free_bytes), format_size(first.needed_bytes)),
              "free space there, list another shard in storage.shards, or pin a persona elsewhere (personas.ID.shard)");
}

/// A shard that is not listed any more and holds no persona is given back.
void give_back(const tree::Tree& tree, const tree::Config& config) {
  auto map = tree::ShardMap::load(tree, config);
  std::vector<std::string> empty;
  for (const tree::Shard& shard : map.shards())
    if (!shard.listed) empty.push_back(shard.id);
  for (const std::string& persona : internal::sharded_personas(tree, config))
    std::erase(empty, map.place(persona).shard);
  for (const tree::Part& part : tree::parts_of(tree, tree::Scope::shared())) std::erase(empty, part.shard);
  for (const std::string& id : empty) map.forget(id);
}

}  // namespace

ShardPlan apply_shards(const tree::Tree& tree, const tree::Config& config, const ShardOptions& options,
                       Progress& progress) {
  const io::LockFile lock(tree::ShardMap::lock_file(tree), options.wait);
  io::remove_stale(tree.root() / "vectors");
  auto map = tree::ShardMap::load(tree, config);
  for (const tree::Shard& shard : map.shards()) {
    if (shard.state == tree::Shard::State::missing) continue;
    try {
      io::remove_stale(shard.path);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      log_warn("{}", error.what());  // a failing drive; its personas may be able to leave all the same
    }
  }
  map.begin_fresh();
  ShardPlan report;
  report.root = tree.root().string();
  report.applied = true;
  // Links to shards that are mounted elsewhere now, of all personas: only then may the new paths be recorded.
  for (const ShardMove& move : plan_shards(tree, config, {}).moves) {
    if (!move.relink || move.to == "tree") continue;
    if (move.persona.empty()) {
      tree::make_folders(move.from_folder.parent_path());  // may be lost with the links
      internal::replace_link(move.from_folder, move.to_folder, internal::kSharedName);
    } else {
      internal::replace_link(tree.vectors(tree::Scope::persona(move.persona)), move.to_folder, move.persona);
    }
    report.moves.push_back(move);
  }
  map.record_paths();
  clean_up(tree, config, options, report);
  ShardPlan plan = plan_shards(tree, config, options);
  map = tree::ShardMap::load(tree, config);
  require_space(plan);
  const bool several = plan.moves.size() + (plan.split ? 1 : 0) > 1;
  for (ShardMove& move : plan.moves) {
    check_interrupt();
    if (move.relink) continue;
    try {
      StoreMove(tree, map, move, options.wait).run(progress);
      report.moves.push_back(std::move(move));
    } catch (const std::exception&) {  // std::filesystem's of a failing drive, too
      const Error error = current_error();
      if (error.code() == Errc::interrupted || !several) throw;
      progress.end();
      report.unmoved.push_back({move.persona, error.what(), error.hint()});
    }
  }
  if (plan.split) {
    try {
      internal::apply_split(tree, map, *plan.split, options, progress);
      report.split = std::move(plan.split);
    } catch (const std::exception&) {
      const Error error = current_error();
      if (error.code() == Errc::interrupted || plan.moves.empty()) throw;
      progress.end();
      report.unmoved.push_back({"", error.what(), error.hint()});
    }
  }
  for (UnmovedPersona& unmoved : plan.unmoved) {
    const auto same = [&](const UnmovedPersona& other) {
      return other.why == unmoved.why && other.persona == unmoved.persona;
    };
    if (std::none_of(report.unmoved.begin(), report.unmoved.end(), same)) report.unmoved.push_back(std::move(unmoved));
  }
  give_back(tree, config);
  return report;
}

}  // namespace reef::document
