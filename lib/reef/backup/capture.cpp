#include "reef/backup/capture.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "reef/backup/internal/capture_run.h"
#include "reef/backup/internal/store_files.h"
#include "reef/backup/what.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/file_state.h"
#include "reef/io/unique_handle.h"

namespace reef::backup {
namespace {

using internal::CaptureRun;
using internal::Folder;
using internal::Item;
using internal::StoreFiles;

/// Folders below one another that are open at once.
constexpr int kMostDepth = 256;
/// What is derived comes before what it is derived from, and models, which take longest, after all that somebody
/// writes.
constexpr std::array<std::string_view, 6> kFirst{
    "config", "data/memories", "vectors/conversations", "data/conversations", "data/documents", "vectors"};
constexpr std::array<std::string_view, 3> kCompanions{"-wal", "-journal", "-shm"};

struct DirTraits {
  using value_type = DIR*;
  static constexpr DIR* empty() noexcept { return nullptr; }
  static void release(DIR* folder) noexcept { ::closedir(folder); }
};

/// Ascending; throws Error{failed}.
std::vector<std::string> names_in(int folder, const std::string& shown) {
  io::UniqueFd again(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  io::UniqueHandle<DirTraits> listing(again ? ::fdopendir(again.get()) : nullptr);
  if (!listing) throw_errno("list", shown);
  again.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(listing.get());
    if (entry == nullptr) break;
    const std::string_view name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw_errno("list", shown);
  std::sort(names.begin(), names.end());
  return names;
}

class Walk {
 public:
  Walk(const tree::Tree& tree, int tier, CaptureRun& run, const CaptureOptions& options)
      : tree_(tree), tier_(tier), run_(run) {
    for (const fs::path& path : options.never) {
      struct stat status {};
      if (::stat(path.c_str(), &status) == 0) never_.emplace(status.st_dev, status.st_ino);
    }
  }

  void all() {
    const io::UniqueFd root = io::open_file(tree_.root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status {};
    if (::fstat(root.get(), &status) != 0) throw_errno("look at", io::shown(tree_.root()));
    run_.put_folder("", status, "");
    const Folder top{root.get(), ""};
    for (const std::string_view path : kFirst) descend(top, path);
    contents(top, 0);
  }

 private:
  std::string shown(const std::string& path) const { return io::shown(tree_.root() / path); }

  static std::optional<Item> look(const Folder& folder, const std::string& name) {
    Item item{name, {}, io::file_clock_ns()};
    if (::fstatat(folder.fd, name.c_str(), &item.status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    return item;
  }

  /// All of `rest`, which lies below `folder`, and the folders on the way to it.
  void descend(const Folder& folder, std::string_view rest) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const auto item = look(folder, std::string(rest.substr(0, end)));
    if (!item) return;
    const std::string path = folder.path_of(item->name);
    if (end == rest.size()) {
      entry(folder, *item, {}, 0);
      done_.insert(path);
      return;
    }
    const io::UniqueFd fd = enter(folder, *item);
    if (fd) descend({fd.get(), path}, rest.substr(end + 1));
  }

  /// Opens and puts a folder, or a link to one where the tree may have that; none where there is nothing below.
  io::UniqueFd enter(const Folder& folder, const Item& item) {
    const std::string path = folder.path_of(item.name);
    const bool is_link = S_ISLNK(item.status.st_mode);
    if (!is_link && !S_ISDIR(item.status.st_mode)) return {};
    io::UniqueFd fd(
        ::openat(folder.fd, item.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_link ? 0 : O_NOFOLLOW)));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
      const int code = errno;
      if (!entered_.insert(path).second) return {};  // it was told
      if (is_link)
        link_to_nowhere(folder, item, code);
      else if (code != ENOENT)
        fault("open", path, code);
      return {};
    }
    if (never_.contains({status.st_dev, status.st_ino})) return {};
    if (entered_.insert(path).second)
      run_.put_folder(path, status, is_link ? target_of(folder, item).value_or("") : std::string());
    return fd;
  }

  /// A store whose drive is not mounted is missed; of others the link is all that there is.
  void link_to_nowhere(const Folder& folder, const Item& item, int code) {
    const std::string path = folder.path_of(item.name);
    const auto target = target_of(folder, item);
    if (!target) return;  // gone
    run_.put_link(folder, item, *target);
    run_.damage(path, Error(Errc::not_found,
                            fmt::format("{} leads to {}: {}", shown(path), io::shown(*target),
                                        std::generic_category().message(code)),
                            "mount its drive; for a store on a shard 'reef-index shard show' says which"));
  }

  static std::optional<std::string> target_of(const Folder& folder, const Item& item) {
    std::string target(PATH_MAX, '\0');
    const ssize_t length = ::readlinkat(folder.fd, item.name.c_str(), target.data(), target.size());
    if (length < 0) return std::nullopt;
    target.resize(static_cast<std::size_t>(length));
    return target;
  }

  void put_link(const Folder& folder, const Item& item) {
    const auto target = target_of(folder, item);
    if (!target) return;  // gone
    run_.put_link(folder, item, *target);
    const std::string path = folder.path_of(item.name);
    if (leads_out(path, *target))
      run_.note(path,
                fmt::format("{} leads out of the tree, to {}: the link is in the snapshot, and not what is there",
                            shown(path), io::shown(*target)),
                "copy it into the tree, or back it up by other means");
  }

  /// By the names alone: what is there may be out of reach at the moment.
  bool leads_out(const std::string& path, const std::string& target) const {
    const fs::path root = tree_.root().lexically_normal();
    const fs::path end = ((root / path).parent_path() / target).lexically_normal();
    const fs::path relative = end.lexically_relative(root);
    return relative.empty() || *relative.begin() == "..";
  }

  void fault(const char* action, const std::string& path, int code) {
    errno = code;
    try {
      throw_errno(action, shown(path));
    } catch (const Error& error) {
      run_.damage(path, error);
    }
  }

  /// What lies in a folder.
  void contents(const Folder& folder, int depth) {
    check_interrupt();
    std::vector<Item> items;
    try {
      for (const std::string& name : names_in(folder.fd, shown(folder.path))) {
        const std::string path = folder.path_of(name);
        if (!reaches(part_of(path), tier_) || done_.contains(path)) continue;
        if (const auto item = look(folder, name)) {
          items.push_back(*item);
        } else if (errno != ENOENT) {
          fault("look at", path, errno);
        }
      }
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      run_.damage(folder.path, error);
      return;
    }
    const std::set<std::string> accompany = companions(folder, items);
    auto store = store_in(folder, items);
    std::string first;  // the database that the files below belong to
    if (store) {
      first = store->database();
      const Item database = *find(items, first);
      if (!store->put_database(run_, folder, database)) {
        store.reset();
        entry(folder, database, beside(items, accompany, first), depth);
      } else {
        add(items, store->more());
      }
    }
    for (const Item& item : items) {
      if (item.name == first || accompany.contains(item.name)) continue;
      if (store && !S_ISDIR(item.status.st_mode) && store->put(run_, folder, item)) continue;
      entry(folder, item, beside(items, accompany, item.name), depth);
    }
  }

  /// The log and the journal of a database, as far as there are any.
  static std::vector<Item> beside(const std::vector<Item>& items, const std::set<std::string>& accompany,
                                  const std::string& name) {
    std::vector<Item> found;
    if (accompany.empty()) return found;
    for (const std::string_view suffix : {kCompanions[0], kCompanions[1]})
      if (const std::string companion = name + std::string(suffix); accompany.contains(companion))
        found.push_back(*find(items, companion));
    return found;
  }

  std::unique_ptr<StoreFiles> store_in(const Folder& folder, const std::vector<Item>& items) {
    const auto has = [&](std::string_view name) {
      return std::any_of(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
    };
    if (has("metadata.sqlite") && is_database_of_reef(folder.path_of("metadata.sqlite")))
      return internal::vector_store_in(run_, folder);
    if (has("embeddings.npy") && has("memories.sqlite") && is_database_of_reef(folder.path_of("memories.sqlite")))
      return internal::memory_store_in(run_, folder);
    return nullptr;
  }

  static void add(std::vector<Item>& items, const std::vector<Item>& more) {
    for (const Item& item : more) {
      const auto at = std::lower_bound(items.begin(), items.end(), item.name,
                                       [](const Item& a, const std::string& name) { return a.name < name; });
      if (at == items.end() || at->name != item.name) items.insert(at, item);
    }
  }

  static const Item* find(const std::vector<Item>& items, const std::string& name) {
    const auto at = std::lower_bound(items.begin(), items.end(), name,
                                     [](const Item& a, const std::string& wanted) { return a.name < wanted; });
    return at != items.end() && at->name == name ? &*at : nullptr;
  }

  /// Names of logs and the like, which are parts of their databases.
  static std::set<std::string> companions(const Folder& folder, const std::vector<Item>& items) {
    std::set<std::string> found;
    for (const Item& item : items) {
      for (const std::string_view suffix : kCompanions) {
        if (!item.name.ends_with(suffix)) continue;
        const std::string of = item.name.substr(0, item.name.size() - suffix.size());
        const Item* const database = find(items, of);
        if (database == nullptr || !S_ISREG(database->status.st_mode)) continue;
        if (is_database_of_reef(folder.path_of(of)) || internal::is_sqlite_file(folder, of)) found.insert(item.name);
      }
    }
    return found;
  }

  void entry(const Folder& folder, const Item& item, const std::vector<Item>& companions, int depth) {
    const std::string path = folder.path_of(item.name);
    const mode_t type = item.status.st_mode;
    if (S_ISDIR(type) || (S_ISLNK(type) && may_be_elsewhere(path))) {
      if (depth == kMostDepth) return fault("open", path, ELOOP);
      const io::UniqueFd fd = enter(folder, item);
      if (fd) contents({fd.get(), path}, depth + 1);
    } else if (S_ISLNK(type)) {
      put_link(folder, item);
    } else if (S_ISREG(type)) {
      file(folder, item, companions, path);
    } else {
      run_.note(path,
                fmt::format("{} is a {}, and left out", shown(path),
                            S_ISSOCK(type)   ? "socket"
                            : S_ISFIFO(type) ? "pipe"
                                             : "device"),
                "");
    }
  }

  void file(const Folder& folder, const Item& item, const std::vector<Item>& companions, const std::string& path) {
    const bool has_log = !companions.empty();
    const bool database = is_database_of_reef(path) || ((has_log || may_be_database(path)) && may_hold_databases(path));
    const auto size = static_cast<std::uint64_t>(item.status.st_size);
    const Part part = part_of(path);
    if (!belongs(part, tier_, size, false) && !(database && internal::is_sqlite_file(folder, item.name))) return;
    if (database)
      run_.put_database(folder, item, companions);
    else
      run_.put_plain(folder, item);
  }

  /// Attachments and documents are bytes that somebody sent: nobody writes to them, and SQLite need not read them.
  static bool may_hold_databases(const std::string& path) {
    const Part part = part_of(path);
    return part == Part::store || part == Part::other;
  }

  const tree::Tree& tree_;
  int tier_;
  CaptureRun& run_;
  std::set<std::pair<dev_t, ino_t>> never_;
  std::set<std::string> entered_;  ///< folders that were put
  std::set<std::string> done_;     ///< captured out of turn
};

}  // namespace

CaptureReport capture(const tree::Tree& tree, int tier, SnapshotWriter& writer, const CaptureOptions& options,
                      Progress& progress) {
  CaptureRun run(tree, tier, writer, options, progress);
  progress.begin("reading", 0, ProgressUnit::bytes);
  Walk(tree, tier, run, options).all();
  progress.end();
  return std::move(run.report());
}

}  // namespace reef::backup
