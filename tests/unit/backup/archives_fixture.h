#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "archive_parts.h"
#include "reef/backup/archives.h"
#include "reef/backup/target_folder.h"
#include "support/folder_capture.h"

namespace reef::test {

using backup::Archives;
using backup::ArchivesOptions;
using backup::Snapshot;

inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline const Time kNow = parse_time("2026-11-29T04:15:00.500Z");
inline const std::string kId = "2026-11-29T041500Z";

inline void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

/// A folder as if it were far away: nothing of it is a file of this machine.
class FarStore : public io::FolderStore {
 public:
  explicit FarStore(const fs::path& folder) : io::FolderStore(folder) {}
  std::optional<fs::path> local_path(const std::string& /*key*/) const override { return std::nullopt; }
  std::string name() const override { return "s3://tower/reef"; }
  void put_file(const std::string& key, const fs::path& file, const io::Sha256Digest& sha256,
                Progress& progress) override {
    files.insert(key);
    io::FolderStore::put_file(key, file, sha256, progress);
  }
  void get_file(const std::string& key, const fs::path& file, const io::Sha256Digest& sha256,
                Progress& progress) override {
    brought.insert(key);
    io::FolderStore::get_file(key, file, sha256, progress);
  }

  std::set<std::string> files;
  std::set<std::string> brought;
};

/// A tree with a model of two files, an adapter, and what else there is; and a destination.
struct ArchivesFixture {
  TempDir dir;
  fs::path tree = dir / "tree";
  fs::path to = dir / "to";
  ArchivesOptions options;

  ArchivesFixture() {
    write(tree / "config/system.yaml", "x: 1\n");
    write(tree / "data/large.sqlite", some_text(5 * kMiB));
    write(tree / "models/base/m/model.safetensors", some_noise(3 * kMiB));
    write(tree / "models/base/m/manifest.json", "{}");
    write(tree / "models/adapters/alice/adapter.bin", some_noise(kMiB, 8));
    fs::create_hard_link(tree / "models/base/m/model.safetensors", tree / "models/base/m/same.safetensors");
    fs::create_symlink("/etc/passwd", tree / "data/out");
    fs::create_directory(to);
    options.folder = to;
    options.destination.tree = tree;
    options.scratch = dir / "scratch";
    options.threads = 2;
  }

  Snapshot take(Time now = kNow) { return take(options, now); }
  Snapshot take(const ArchivesOptions& with, Time now = kNow) const {
    Archives archives(with);
    const auto writer = archives.begin(now, no_progress());
    FolderCapture(tree, *writer).run();
    return writer->commit();
  }
  void restore(const ArchivesOptions& with, const std::string& id, const fs::path& into) const {
    Archives archives(with);
    backup::TargetFolder target(into);
    archives.read(id, {}, target, no_progress());
    target.finish();
  }
  std::string differences(const fs::path& restored) const {
    return shell("diff -r --no-dereference '" + tree.string() + "' '" + restored.string() + "'").second;
  }
  std::string model_of(const std::string& path) const { return "models/" + io::to_hex(io::sha256_file(tree / path)); }
  std::set<std::string> objects() const {
    std::set<std::string> keys;
    for (const auto& object : io::FolderStore(to).list("")) keys.insert(object.key);
    return keys;
  }
};

inline void flip(const fs::path& file, std::uint64_t at) {
  std::string bytes = io::read_file(file);
  bytes.at(at) ^= 1;
  io::replace_file(file, bytes);
}

}  // namespace reef::test
