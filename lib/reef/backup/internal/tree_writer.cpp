#include "reef/backup/internal/tree_writer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

/// What a run needs at least: a pack and a snapshot of next to nothing.
constexpr std::uint64_t kLeastRoom = std::uint64_t{1} << 20;

void make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0)
    io::sync_directory(folder.parent_path());
  else if (errno != EEXIST)
    throw_errno("create", io::shown(folder));
}

}  // namespace

TreeWriter::TreeWriter(Destination destination, Time now, unsigned threads, Progress& progress)
    : destination_(std::move(destination)),
      snapshots_(destination_.folder()),
      packs_(destination_.folder()),
      checks_(snapshots_.checks()),
      progress_(progress) {
  destination_.require_room(kLeastRoom);
  make_folder(packs_.folder());
  make_folder(snapshots_.folder());
  io::remove_stale(packs_.folder());
  io::remove_stale(snapshots_.folder());
  io::remove_stale(destination_.folder());
  ids_ = snapshots_.ids();
  snapshot_.taken = now;
  snapshot_.id = next_id(now, ids_.empty() ? "" : ids_.back());
  find_before();
  writer_ = std::make_unique<PackWriter>(destination_, packs_, checks_, first_new_pack());
  storer_ = std::make_unique<FileStorer>(packs_, checks_, *writer_, threads);
  progress_.begin("storing", 0, ProgressUnit::bytes);
}

TreeWriter::~TreeWriter() { progress_.end(); }

/// The newest one whose description can be read: a damaged one must not stop all backups.
void TreeWriter::find_before() {
  for (auto id = ids_.rbegin(); id != ids_.rend(); ++id) {
    try {
      const SnapshotFile file = snapshots_.read(*id);
      next_pack_before_ = file.next_pack;
      before_ = TreeBefore(packs_, file, checks_);
      return;
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
    }
  }
}

/// Numbers are never used again: what an old reader holds must not become another block.
std::uint32_t TreeWriter::first_new_pack() const {
  const std::vector<std::uint32_t> numbers = packs_.numbers();
  return std::max(next_pack_before_, numbers.empty() ? 1 : numbers.back() + 1);
}

bool TreeWriter::is_damaged(const StoredContent& content) {
  const auto bad_run = [this](const BlockRun& run) { return run.pack != 0 && checks_.is_bad(run); };
  if (checks_.bad.empty()) return false;
  if (std::any_of(content.runs.begin(), content.runs.end(), bad_run)) return true;
  for (const NodeRef& list : content.lists) {
    if (checks_.is_bad(list.at)) return true;
    try {
      const std::vector<BlockRun> runs = read_list(packs_.read_node(list), "a list of blocks");
      if (std::any_of(runs.begin(), runs.end(), bad_run)) return true;
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      return true;
    }
  }
  return false;
}

bool TreeWriter::keep(const Entry& entry) {
  check_interrupt();
  if (entry.state.empty() || before_.may_be_torn(entry.path)) return false;
  const std::optional<StoredEntry> known = before_.find(entry.path);
  if (!known) return false;
  const Entry& old = known->entry;
  if (old.type != entry.type || old.state != entry.state || old.same_file_as != entry.same_file_as ||
      old.link_target != entry.link_target || is_damaged(known->content))
    return false;
  Entry same = entry;
  same.size_bytes = old.size_bytes;  // of the content, which a database's file need not have
  append(same, known->counts, known->content);
  return true;
}

void TreeWriter::put(const Entry& entry, Content* content) {
  check_interrupt();
  if (!is_plain_path(entry.path) || !is_plain_path(entry.same_file_as))
    throw Error(Errc::failed, fmt::format("{} is no path of a tree", io::shown(entry.path)));
  const bool has_content = entry.type == EntryType::file && entry.same_file_as.empty();
  if (!has_content) return append(entry, {}, {});
  if (content == nullptr) throw Error(Errc::failed, fmt::format("{} has no content", io::shown(entry.path)));
  Entry stored = entry;
  stored.size_bytes = content->size_bytes();
  const std::unique_ptr<FileBefore> old = before(entry);
  const StoredContent blocks =
      storer_->store(*content, old.get(), [this](std::uint64_t bytes) { progress_.advance(bytes); });
  append(stored, content->finish(), blocks);
}

/// What the newest snapshot has at that path; nullptr where it has no file or cannot be read.
std::unique_ptr<FileBefore> TreeWriter::before(const Entry& entry) {
  std::optional<StoredEntry> known = before_.find(entry.path);
  if (!known || known->content.kind == StoredContent::Kind::none) return nullptr;
  const std::vector<NodeRef>& lists = known->content.lists;
  if (std::any_of(lists.begin(), lists.end(), [this](const NodeRef& list) { return checks_.is_bad(list.at); }))
    return nullptr;
  try {
    auto file = std::make_unique<FileBefore>();
    file->blocks = BlockList(packs_, known->content, known->entry.size_bytes, "the newest snapshot");
    file->content = std::move(known->content);
    return file;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return nullptr;
  }
}

void TreeWriter::note_changed(const std::string& path) { snapshot_.changed.push_back(path); }

void TreeWriter::note_damaged(const std::string& path, const std::string& /*what*/) {
  damaged_.push_back(path);
  snapshot_.damaged = snapshot_.taken;
}

void TreeWriter::append(const Entry& entry, const Counts& counts, const StoredContent& content) {
  if (node_entries_ == 0) node_path_ = entry.path;
  node_ += to_bytes(entry, counts, content);
  ++node_entries_;
  if (entry.type == EntryType::file) {
    ++snapshot_.files;
    if (entry.same_file_as.empty()) snapshot_.size_bytes += entry.size_bytes;
  }
  if (ends_node(entry.path, node_.size())) flush_node();
}

void TreeWriter::flush_node() {
  if (node_entries_ == 0) return;
  const std::optional<NodeRef> known = before_.node(io::sha256(node_));
  root_.push_back({known ? *known : writer_->store_node(node_), node_entries_, node_path_});
  node_.clear();
  node_entries_ = 0;
}

NodeRef TreeWriter::store_root() {
  const std::string bytes = to_bytes(root_);
  if (before_.root().at.pack != 0 && before_.root().name == io::sha256(bytes)) return before_.root();
  return writer_->store_node(bytes);
}

Snapshot TreeWriter::commit() {
  flush_node();
  SnapshotFile file;
  file.root = store_root();
  file.next_pack = writer_->next_number();
  writer_->commit();
  // A run that was killed may have left a pack whose name is not durable yet, and this one may build upon it.
  if (file.root != before_.root()) io::sync_directory(packs_.folder());
  file.snapshot = snapshot_;
  file.damaged = damaged_;
  file.snapshot.added_bytes = writer_->bytes() + to_bytes(file).size();
  io::replace_file(snapshots_.path_of(snapshot_.id), to_bytes(file), 0600);
  return file.snapshot;
}

}  // namespace reef::backup::internal
