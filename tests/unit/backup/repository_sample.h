#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "reef/backup/repository.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

namespace reef::backup::test {

/// The bytes of a file in memory; a run of zeros of its own choosing is a hole.
class MemoryContent : public Content {
 public:
  explicit MemoryContent(const std::string& bytes, Counts counts = {}) : bytes_(bytes), counts_(std::move(counts)) {}

  std::uint64_t size_bytes() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    if (offset + into.size() > bytes_.size()) throw std::out_of_range("read beyond the end");
    if (on_read) on_read(offset);
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    return tells_holes ? std::min(bytes_.find_first_not_of('\0', offset), bytes_.size()) : offset;
  }
  Counts finish() override {
    if (changes) throw Changed{};
    return counts_;
  }

  std::function<void(std::uint64_t)> on_read;
  bool tells_holes = false;
  bool changes = false;

 private:
  const std::string& bytes_;
  Counts counts_;
};

struct MemoryFile {
  Entry entry;
  std::string bytes;
  Counts counts;
};

/// A tree in memory, in the order in which it is put.
class MemoryTree {
 public:
  MemoryFile& file(const std::string& path, const std::string& bytes) {
    MemoryFile& added = add(path, EntryType::file);
    added.bytes = bytes;
    touch(added);
    return added;
  }
  void folder(const std::string& path) { add(path, EntryType::folder).entry.mode = 0750; }
  void link(const std::string& path, const std::string& target) {
    add(path, EntryType::link).entry.link_target = target;
  }
  void hard_link(const std::string& path, const std::string& to) {
    MemoryFile& added = add(path, EntryType::file);
    added.entry.same_file_as = to;
    added.entry.size_bytes = (*this)[to].bytes.size();
  }
  /// After a change of its bytes.
  void touch(MemoryFile& file) {
    file.entry.state = "state " + std::to_string(++states_);
    file.entry.size_bytes = file.bytes.size();
  }

  MemoryFile& operator[](const std::string& path) {
    return *std::find_if(files.begin(), files.end(), [&](const MemoryFile& one) { return one.entry.path == path; });
  }
  void erase(const std::string& path) {
    std::erase_if(files, [&](const MemoryFile& one) { return one.entry.path == path; });
  }

  std::vector<MemoryFile> files;

 private:
  MemoryFile& add(const std::string& path, EntryType type) {
    MemoryFile& added = files.emplace_back();
    added.entry.path = path;
    added.entry.type = type;
    added.entry.mode = 0640;
    added.entry.uid = 1000;
    added.entry.gid = 100;
    added.entry.modified_ns = 1'795'508'100'123'456'789;
    return added;
  }
  int states_ = 0;
};

/// What is put, in that order.
class MemorySink : public Sink {
 public:
  void put(const Entry& entry, Content* content) override {
    MemoryFile file;
    file.entry = entry;
    if (content != nullptr) {
      file.bytes.assign(content->size_bytes(), '?');
      for (std::uint64_t at = 0; at < file.bytes.size(); at += piece) {
        const std::uint64_t count = std::min<std::uint64_t>(piece, file.bytes.size() - at);
        content->read(at, {reinterpret_cast<std::uint8_t*>(file.bytes.data()) + at, count});
      }
      file.counts = content->finish();
    }
    files.push_back(std::move(file));
  }

  std::uint64_t piece = 1 << 20;
  std::vector<MemoryFile> files;
};

inline bool same(const Entry& a, const Entry& b) {
  return a.path == b.path && a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
         a.modified_ns == b.modified_ns && a.size_bytes == b.size_bytes && a.link_target == b.link_target &&
         a.same_file_as == b.same_file_as && a.state == b.state;
}
inline bool same(const std::vector<MemoryFile>& a, const std::vector<MemoryFile>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const MemoryFile& one, const MemoryFile& other) {
    return same(one.entry, other.entry) && one.bytes == other.bytes && one.counts == other.counts;
  });
}

/// Bytes that do not compress.
inline std::string random_bytes(std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; i += 8) {
    const std::uint64_t number = random();
    std::memcpy(bytes.data() + i, &number, std::min<std::size_t>(8, count - i));
  }
  return bytes;
}
/// Bytes that do.
inline std::string text_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes;
  while (bytes.size() < count) bytes += "the reef remembers turn " + std::to_string(random() % 100000) + "\n";
  bytes.resize(count);
  return bytes;
}

/// A repository in a folder of its own.
class RepositorySample {
 public:
  RepositorySample() {
    std::filesystem::create_directory(folder());
    options.tree = dir_ / "tree";
  }

  fs::path folder() const { return dir_ / "repository"; }
  Repository open(unsigned threads = 2) const { return Repository(folder(), options, threads); }

  /// One run. Kept are the paths that were taken over without their content.
  Snapshot back_up(const MemoryTree& tree) {
    Repository repository = open();
    const auto writer = repository.begin(time, no_progress());
    kept.clear();
    for (const MemoryFile& file : tree.files) {
      if (writer->keep(file.entry)) {
        kept.insert(file.entry.path);
        continue;
      }
      MemoryContent content(file.bytes, file.counts);
      const bool has_content = file.entry.type == EntryType::file && file.entry.same_file_as.empty();
      writer->put(file.entry, has_content ? &content : nullptr);
    }
    const Snapshot made = writer->commit();
    time += std::chrono::minutes(15);
    return made;
  }
  std::vector<MemoryFile> restore(const std::string& id, const std::vector<std::string>& paths = {}) const {
    MemorySink sink;
    open().read(id, Selection{paths}, sink, no_progress());
    return sink.files;
  }
  std::vector<Fault> faults(const VerifyOptions& verify_options = {}) const {
    return open().verify(verify_options, no_progress()).faults;
  }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder()))
      if (entry.is_regular_file()) sum += entry.file_size();
    return sum;
  }
  /// Of the repository, relative to it, but the lock.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder())) {
      std::string name = fs::relative(entry.path(), folder());
      if (entry.is_regular_file() && name != ".lock") names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::size_t packs() const {
    const auto names = files();
    return static_cast<std::size_t>(
        std::count_if(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("packs/"); }));
  }
  void flip(const std::string& file, std::uint64_t byte, unsigned bit) const {
    std::string bytes = io::read_file(folder() / file);
    bytes[byte] = static_cast<char>(bytes[byte] ^ (1U << bit));
    std::ofstream(folder() / file, std::ios::binary) << bytes;
  }

  DestinationOptions options;
  Time time = parse_time("2026-11-30T10:00:00Z");
  std::set<std::string> kept;

 private:
  reef::test::TempDir dir_;
};

}  // namespace reef::backup::test
