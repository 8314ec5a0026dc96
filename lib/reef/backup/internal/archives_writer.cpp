#include "reef/backup/internal/archives_writer.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "reef/backup/age.h"
#include "reef/backup/archive_writer.h"
#include "reef/backup/internal/archive_description.h"
#include "reef/backup/internal/dated_files.h"
#include "reef/backup/internal/model_objects.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::backup::internal {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

/// Written between two looks at the room that is left.
constexpr std::uint64_t kLookEvery = std::uint64_t{64} << 20;
/// Never used up of the tree's own drive, on which an archive waits for an object store.
constexpr std::uint64_t kScratchReserve = std::uint64_t{1} << 30;

std::uint64_t free_bytes(const fs::path& folder) {
  struct statvfs room {};
  if (::statvfs(folder.c_str(), &room) != 0) throw_errno("stat", io::shown(folder));
  return std::uint64_t{room.f_bavail} * room.f_frsize;
}

/// A file that stops growing before it takes the room that others need.
class GuardedOutput : public FileOutput {
 public:
  GuardedOutput(const io::StagedFile& file, const std::optional<Destination>& destination)
      : FileOutput(file.fd(), file.temporary_path()), path_(file.temporary_path()), destination_(destination) {
    look();
  }

  void write(std::span<const std::uint8_t> bytes) override {
    FileOutput::write(bytes);
    if (size_bytes() - looked_ > kLookEvery) look();
  }
  void rewind() override {
    FileOutput::rewind();
    looked_ = std::min(looked_, size_bytes());
  }

 private:
  void look() {
    looked_ = size_bytes();
    if (destination_) return destination_->require_room(kLookEvery);
    if (free_bytes(path_.parent_path()) >= kScratchReserve) return;
    throw Error(Errc::failed, fmt::format("less than 1 GiB is free in {}", io::shown(path_.parent_path())),
                "the archive waits there for its upload: make room on the tree's drive");
  }

  fs::path path_;
  const std::optional<Destination>& destination_;
  std::uint64_t looked_ = 0;
};

class TextContent : public Content {
 public:
  explicit TextContent(std::string text) : text_(std::move(text)) {}
  std::uint64_t size_bytes() const override { return text_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    std::memcpy(into.data(), text_.data() + offset, into.size());
  }

 private:
  std::string text_;
};

/// Later than all that there are, whatever the clock says.
std::string next_id(const ArchiveIds& ids, Time now) {
  if (ids.all.empty()) return id_of(now);
  const Time newest = *time_of_id(*ids.all.rbegin());
  return id_of(std::max(floor<seconds>(now), floor<seconds>(newest) + seconds(1)));
}

class Writer : public SnapshotWriter {
 public:
  Writer(const ArchivesOptions& options, io::ObjectStore& store, ArchivesLock lock, Time now, Progress& progress)
      : store_(store),
        progress_(progress),
        lock_(std::move(lock)),
        is_encrypted_(!options.recipients.empty()),
        ids_(ids_of(store.list("system-"))),
        models_(store, options.scratch, damaged_models()) {
    Snapshot& snapshot = description_.snapshot;
    snapshot.id = next_id(ids_, now);
    snapshot.taken = *time_of_id(snapshot.id);
    description_.key = archive_key(snapshot.id, is_encrypted_);
    place_ = store.local_path(description_.key);
    staged_.emplace(place_ ? *place_ : options.scratch / "archive");
    file_.emplace(*staged_, lock_.destination);
    if (is_encrypted_) age_.emplace(options.recipients, *file_, options.scratch);
    archive_.emplace(output(), options.threads);
  }

  bool keep(const Entry& /*entry*/) override { return false; }

  void put(const Entry& entry, Content* content) override {
    const std::uint64_t bytes = content != nullptr ? content->size_bytes() : 0;
    if (entry.path == kModelListing) return;  // somebody restored by hand; this snapshot has its own
    const auto same = entry.same_file_as.empty() ? digests_.end() : digests_.find(entry.same_file_as);
    if (same != digests_.end()) {
      add_model(entry, 0, same->second);
    } else if (content != nullptr && is_model(entry.path)) {
      add_model(entry, bytes, models_.put(entry, *content, progress_));
    } else {
      archive_->put(entry, content);
    }
    progress_.advance(bytes);
  }

  void note_changed(const std::string& path) override { description_.snapshot.changed.push_back(path); }
  void note_damaged(const std::string& path, const std::string& /*what*/) override {
    description_.damaged.push_back(path);
    description_.snapshot.damaged = description_.snapshot.taken;
  }

  Snapshot commit() override {
    put_listing();
    archive_->finish();
    Snapshot& snapshot = description_.snapshot;
    snapshot.files = archive_->files() - (description_.models.empty() ? 0 : 1) + description_.models.size();
    snapshot.size_bytes = archive_->size_bytes() - listing_bytes_ + model_bytes_;
    description_.bytes = output().size_bytes();
    description_.sha256 = output().sha256();
    snapshot.added_bytes = description_.bytes + models_.added_bytes();
    archive_.reset();
    if (place_) {
      staged_->commit();
    } else {
      io::sync_file(staged_->fd(), staged_->temporary_path());
      store_.put_file(description_.key, staged_->temporary_path(), description_.sha256, progress_);
    }
    put_description(store_, description_);
    models_.save();
    note_mended();
    return snapshot;
  }

 private:
  ArchiveOutput& output() {
    if (age_) return *age_;
    return *file_;
  }

  bool is_model(std::string_view path) const {
    return path.starts_with("models/base/") || path.starts_with("models/quantized/") ||
           (!is_encrypted_ && path.starts_with("models/adapters/"));
  }

  void add_model(const Entry& entry, std::uint64_t bytes, const io::Sha256Digest& digest) {
    ModelFile model{entry, digest};
    model.entry.size_bytes = bytes;
    description_.models.push_back(std::move(model));
    digests_.emplace(entry.path, digest);
    model_bytes_ += bytes;
  }

  /// For whoever restores without reef.
  void put_listing() {
    if (description_.models.empty()) return;
    TextContent listing(model_listing(description_.models));
    Entry entry;
    entry.path = kModelListing;
    entry.mode = 0640;
    entry.uid = description_.models.front().entry.uid;
    entry.gid = description_.models.front().entry.gid;
    entry.modified_ns = std::chrono::nanoseconds(description_.snapshot.taken.time_since_epoch()).count();
    archive_->put(entry, &listing);
    listing_bytes_ = listing.size_bytes();
  }

  std::set<std::string> damaged_models() {
    std::set<std::string> damaged;
    for (const std::string& id : ids_.described) damaged.merge(get_note(store_, id).models);
    return damaged;
  }

  void note_mended() {
    if (models_.mended().empty()) return;
    for (const std::string& id : ids_.described) {
      ArchiveNote note = get_note(store_, id);
      if (std::erase_if(note.models, [&](const std::string& model) { return models_.mended().count(model) != 0; }) != 0)
        put_note(store_, id, note);
    }
  }

  io::ObjectStore& store_;
  Progress& progress_;
  ArchivesLock lock_;
  bool is_encrypted_;
  ArchiveIds ids_;
  ModelObjects models_;
  ArchiveDescription description_;
  std::unordered_map<std::string, io::Sha256Digest> digests_;  ///< of models, by path
  std::uint64_t model_bytes_ = 0;
  std::uint64_t listing_bytes_ = 0;
  std::optional<fs::path> place_;  ///< of the archive, where that is a file
  std::optional<io::StagedFile> staged_;
  std::optional<GuardedOutput> file_;
  std::optional<AgeOutput> age_;
  std::optional<ArchiveWriter> archive_;  ///< last: its threads end before what they write to
};

}  // namespace

ArchivesLock lock_archives(const ArchivesOptions& options) {
  ArchivesLock lock;
  if (options.store == nullptr)
    lock.destination = Destination::open_for_writing(options.folder, Archives::kTier, options.destination);
  else
    lock.file.emplace(options.scratch / "lock", options.destination.wait);
  return lock;
}

void prepare_scratch(const fs::path& scratch) {
  tree::make_folders(scratch);
  for (const char* name : {"archive", "archive.held", "archive.clear", "model"}) io::remove_stale_of(scratch / name);
}

std::unique_ptr<SnapshotWriter> begin_archive(const ArchivesOptions& options, io::ObjectStore& store, Time now,
                                              Progress& progress) {
  if (!options.recipients.empty()) check_age(options.recipients);
  prepare_scratch(options.scratch);
  ArchivesLock lock = lock_archives(options);
  if (lock.destination) {
    io::remove_stale(options.folder);
    io::remove_stale(options.folder / kModels);
  } else {
    store.clean_up();
  }
  return std::make_unique<Writer>(options, store, std::move(lock), now, progress);
}

}  // namespace reef::backup::internal
