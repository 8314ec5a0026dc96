#include "reef/backup/internal/archives_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "reef/backup/internal/archive_description.h"
#include "reef/backup/internal/archive_object.h"
#include "reef/backup/internal/dated_files.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"

namespace reef::backup::internal {
namespace {

constexpr std::size_t kMostPaths = 100;

/// A model, and who needs it.
struct Object {
  std::uint64_t bytes = 0;
  io::Sha256Digest digest{};
  std::set<std::string> snapshots;
  std::set<std::string> paths;
};

class Verifier {
 public:
  Verifier(const ArchivesOptions& archives, io::ObjectStore& store, const std::vector<std::string>& ids,
           const VerifyOptions& options, Progress& progress)
      : archives_(archives), store_(store), options_(options), progress_(progress) {
    archives_.threads = options.threads;
    for (const std::string& id : ids) load(id);
  }

  VerifyReport run() {
    report_.snapshots = looked_at_.size();
    for (const ArchiveDescription& description : descriptions_) check_archive(description);
    std::uint64_t bytes = 0;
    for (const auto& [key, object] : objects_) bytes += object.bytes;
    progress_.begin("verifying models", bytes, ProgressUnit::bytes);
    for (const auto& [key, object] : objects_) check_model(key, object);
    progress_.end();
    for (const std::string& id : looked_at_) write_note(id);
    return std::move(report_);
  }

 private:
  bool reads_all() const { return options_.sample >= 1; }

  void load(const std::string& id) {
    try {
      ArchiveDescription description = get_description(store_, id);
      looked_at_.insert(id);
      for (const ModelFile& model : description.models) {
        Object& object = objects_[model_key(model.digest)];
        object.digest = model.digest;
        object.bytes = std::max(object.bytes, model.entry.size_bytes);
        object.snapshots.insert(id);
        object.paths.insert(model.entry.path);
        ++report_.files;
      }
      descriptions_.push_back(std::move(description));
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) return;  // pruned meanwhile
      if (error.code() != Errc::corrupt) throw;
      fault(description_key(id), error.what(), {id}, {});
    }
  }

  void fault(const std::string& file, const std::string& what, const std::set<std::string>& snapshots,
             std::vector<std::string> paths) {
    for (const std::string& id : snapshots) {
      looked_at_.insert(id);
      faulty_.insert(id);
    }
    if (paths.size() > kMostPaths) paths.resize(kMostPaths);
    report_.faults.push_back({file, what, {snapshots.begin(), snapshots.end()}, std::move(paths)});
  }

  io::Sha256Digest digest_of(const std::string& key, std::uint64_t bytes) {
    io::Sha256 digest;
    store_.read(key, 0, bytes, [&](std::span<const std::uint8_t> piece) {
      check_interrupt();
      digest.update(piece);
      report_.bytes += piece.size();
      progress_.advance(piece.size());
    });
    return digest.finish();
  }

  void check_archive(const ArchiveDescription& description) {
    const std::set<std::string> id = {description.snapshot.id};
    const std::string& key = description.key;
    const auto size = store_.find(key);
    if (!size) {
      if (store_.find(description_key(description.snapshot.id))) fault(key, "it is missing", id, {});
      return;
    }
    bool is_sound = *size == description.bytes;
    if (is_sound && reads_all()) {
      progress_.begin("verifying", *size, ProgressUnit::bytes);
      is_sound = digest_of(key, *size) == description.sha256;
      progress_.end();
    }
    const bool is_closed = description.is_encrypted() && archives_.identity.empty();
    if (is_closed) {
      if (!is_sound)
        fault(key,
              *size != description.bytes ? fmt::format("it has {} bytes in place of {}", *size, description.bytes)
                                         : "its sha256 is not the one it was written with",
              id, {});
      report_.files += description.snapshot.files - description.models.size();
      return;
    }
    const std::size_t before = report_.faults.size();
    check_content(description, id);
    if (!is_sound && report_.faults.size() == before)
      fault(key, "its sha256 is not the one it was written with", id, {});
  }

  /// Where a fault lies, and whom it hits; and that what was written can be read.
  void check_content(const ArchiveDescription& description, const std::set<std::string>& id) {
    try {
      const OpenArchive archive(archives_, store_, description, false, progress_);
      if (!archive.fault().empty()) fault(description.key, archive.fault(), id, {});
      std::uint64_t bytes = 0;
      for (ArchiveFault& found : archive.reader().verify(options_.sample, progress_, bytes))
        fault(description.key, found.what, id, std::move(found.paths));
      if (!reads_all()) report_.bytes += bytes;
      report_.files += description.snapshot.files - description.models.size();
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      fault(description.key, error.what(), id, {});
    }
  }

  void check_model(const std::string& key, const Object& object) {
    check_interrupt();
    const std::vector<std::string> paths(object.paths.begin(), object.paths.end());
    const auto damaged = [&](const std::string& what) {
      fault(key, what, object.snapshots, paths);
      damaged_models_.insert(io::to_hex(object.digest));
    };
    const auto size = store_.find(key);
    if (!size) return damaged("it is missing");
    if (*size != object.bytes) return damaged(fmt::format("it has {} bytes in place of {}", *size, object.bytes));
    if (!reads_all() && std::uniform_real_distribution<>(0, 1)(random_) >= options_.sample)
      return progress_.advance(object.bytes);
    try {
      if (digest_of(key, *size) != object.digest) damaged("its sha256 is not its name");
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      damaged(error.what());
    }
  }

  /// What was found stays beside the snapshot, where it may: a medium that is only read is verified all the same.
  void write_note(const std::string& id) const {
    ArchiveNote note = get_note(store_, id);
    if (faulty_.count(id) != 0) {
      note.verified.reset();
      note.damaged = now();
      if (reads_all()) note.models.clear();
      note.models.insert(damaged_models_.begin(), damaged_models_.end());
    } else if (reads_all()) {
      note = {now(), {}, {}};
    } else {
      return;
    }
    try {
      put_note(store_, id, note);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      log_step("{}: what was found is not noted: {}", id, error.what());
    }
  }

  ArchivesOptions archives_;
  io::ObjectStore& store_;
  const VerifyOptions& options_;
  Progress& progress_;
  std::mt19937_64 random_{std::random_device{}()};
  std::vector<ArchiveDescription> descriptions_;
  std::map<std::string, Object> objects_;
  std::set<std::string> looked_at_;  ///< the snapshots that were looked at
  std::set<std::string> faulty_;
  std::set<std::string> damaged_models_;
  VerifyReport report_;
};

}  // namespace

std::vector<Snapshot> list_archives(io::ObjectStore& store) {
  const std::vector<io::StoredObject> objects = store.list("system-");
  std::map<std::string, std::uint64_t> sizes;
  for (const io::StoredObject& object : objects) sizes[object.key] = object.bytes;
  std::vector<Snapshot> snapshots;
  for (const std::string& id : ids_of(objects).described) {
    const ArchiveNote note = get_note(store, id);
    Snapshot snapshot;
    snapshot.id = id;
    snapshot.taken = *time_of_id(id);
    std::optional<Time> damaged = note.damaged;
    try {
      const ArchiveDescription description = get_description(store, id);
      snapshot = description.snapshot;
      if (!damaged) damaged = snapshot.damaged;  // in the tree already
      const auto size = sizes.find(description.key);
      if (size == sizes.end() || size->second != description.bytes) damaged = damaged.value_or(now());
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) continue;  // pruned meanwhile
      if (error.code() != Errc::corrupt) throw;
      log_warn("{}", error.what());
      damaged = damaged.value_or(now());
    }
    snapshot.damaged = damaged;
    if (!damaged) snapshot.verified = note.verified;
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

VerifyReport verify_archives(const ArchivesOptions& archives, io::ObjectStore& store,
                             const std::vector<std::string>& ids, const VerifyOptions& options, Progress& progress) {
  return Verifier(archives, store, ids, options, progress).run();
}

}  // namespace reef::backup::internal
