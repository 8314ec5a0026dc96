#include "reef/backup/internal/tree_reader.h"

#include <fmt/format.h>

#include "reef/backup/internal/stored_file.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

/// Tells the bytes that go through it.
class Watched : public Content {
 public:
  Watched(StoredFile& file, Progress& progress) : file_(file), progress_(progress) {}
  ~Watched() override { progress_.advance(size_bytes()); }

  std::uint64_t size_bytes() const override { return file_.size_bytes(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override { file_.read(offset, into); }
  std::uint64_t next_data(std::uint64_t offset) const override { return file_.next_data(offset); }
  Counts finish() override { return file_.finish(); }

 private:
  StoredFile& file_;
  Progress& progress_;
};

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// What a node holds is lost together.
std::string lost(const EntriesNode& node, const Error& error) {
  return fmt::format("{} entries from {} on cannot be read: {}", node.entries, io::shown(node.first_path),
                     error.what());
}

}  // namespace

void for_each_entry(Packs& packs, const SnapshotFile& snapshot, const OnDamage& on_damage,
                    const std::function<void(const StoredEntry&)>& take) {
  const std::string where = fmt::format("the tree of snapshot {}", snapshot.snapshot.id);
  for (const EntriesNode& node : read_root(packs.read_node(snapshot.root), where)) {
    check_interrupt();
    std::string text;
    std::vector<StoredEntry> entries;
    try {
      text = packs.read_node(node.node);
      for (const std::string_view bytes : split_entries(text, where)) entries.push_back(read_entry(bytes, where));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted || !on_damage) throw;
      on_damage(node.first_path, lost(node, error));
      continue;
    }
    for (const StoredEntry& entry : entries) take(entry);
  }
}

TreeReader::TreeReader(Packs& packs, const SnapshotFile& snapshot, const Selection& selection, Sink& sink,
                       Progress& progress, const OnDamage& on_damage)
    : packs_(packs),
      snapshot_(snapshot),
      selection_(selection),
      sink_(sink),
      progress_(progress),
      on_damage_(on_damage) {}

void TreeReader::read() {
  if (!selection_.paths.empty()) find_link_targets();
  for_each_entry(packs_, snapshot_, on_damage_, [this](const StoredEntry& stored) { take(stored); });
}

void TreeReader::find_link_targets() {
  const OnDamage told_later = [](const std::string&, const std::string&) {};
  const OnDamage& on_damage = on_damage_ ? told_later : on_damage_;
  std::unordered_set<std::string> wanted;
  for_each_entry(packs_, snapshot_, on_damage, [&](const StoredEntry& stored) {
    const Entry& entry = stored.entry;
    if (!entry.same_file_as.empty() && selection_.covers(entry.path) && !selection_.covers(entry.same_file_as))
      wanted.insert(entry.same_file_as);
  });
  if (wanted.empty()) return;
  for_each_entry(packs_, snapshot_, on_damage, [&](const StoredEntry& stored) {
    if (wanted.count(stored.entry.path) > 0) targets_.emplace(stored.entry.path, stored);
  });
}

bool TreeReader::lies_above(const std::string& folder) const {
  if (folder.empty()) return true;
  for (const std::string& path : selection_.paths)
    if (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/') return true;
  return false;
}

void TreeReader::take(const StoredEntry& stored) {
  check_interrupt();
  const Entry& entry = stored.entry;
  if (!selection_.covers(entry.path) && (entry.type != EntryType::folder || !lies_above(entry.path))) return;
  put_folders_above(entry);
  if (entry.type == EntryType::folder) {
    folders_.insert(entry.path);
    sink_.put(entry, nullptr);
  } else if (!entry.same_file_as.empty()) {
    put_link(stored);
  } else if (entry.type == EntryType::file) {
    put_file(entry, stored);
  } else {
    sink_.put(entry, nullptr);
  }
}

/// A folder whose entry was lost with a damaged node: what lies in it is there all the same.
void TreeReader::put_folders_above(const Entry& entry) {
  if (entry.path.empty()) return;
  const std::string parent = parent_of(entry.path);
  if (parent.empty() || folders_.count(parent) > 0) return;
  Entry folder;
  folder.path = parent;
  folder.type = EntryType::folder;
  folder.mode = 0700;
  folder.uid = entry.uid;
  folder.gid = entry.gid;
  folder.modified_ns = entry.modified_ns;
  put_folders_above(folder);
  folders_.insert(parent);
  sink_.put(folder, nullptr);
}

void TreeReader::put_link(const StoredEntry& stored) {
  Entry entry = stored.entry;
  const std::string& target = stored.entry.same_file_as;
  if (const auto put = put_as_.find(target); put != put_as_.end()) {
    entry.same_file_as = put->second;
  } else if (const auto outside = targets_.find(target); outside != targets_.end()) {
    // What it is a link to was not asked for: the first link becomes the file.
    entry.same_file_as.clear();
    entry.size_bytes = outside->second.entry.size_bytes;
    put_file(entry, outside->second);
    if (damaged_.count(entry.path) == 0) put_as_[target] = entry.path;
    return;
  }
  if (damaged_.count(target) > 0) return damaged(entry.path, fmt::format("it is a link to {}", io::shown(target)));
  sink_.put(entry, nullptr);
}

void TreeReader::put_file(const Entry& entry, const StoredEntry& stored) {
  std::optional<StoredFile> file;
  try {
    file.emplace(packs_, stored);
    Watched content(*file, progress_);
    sink_.put(entry, &content);
  } catch (const Error& error) {
    const bool from_here = !file || file->is_damaged();
    if (error.code() == Errc::interrupted || !from_here || !on_damage_) throw;
    damaged(entry.path, error.what());
  }
}

void TreeReader::damaged(const std::string& path, const std::string& what) {
  damaged_.insert(path);
  on_damage_(path, what);
}

}  // namespace reef::backup::internal
