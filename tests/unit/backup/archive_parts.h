#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/backup/archive_output.h"
#include "reef/backup/archive_reader.h"
#include "reef/backup/archive_writer.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "support/temp_dir.h"

namespace reef::test {

/// Bytes in memory; `holes` are ranges (offset, length) of zeros that it has none of.
class TextContent : public backup::Content {
 public:
  explicit TextContent(std::string text, backup::Counts counts = {},
                       std::vector<std::pair<std::uint64_t, std::uint64_t>> holes = {})
      : text_(std::move(text)), counts_(std::move(counts)), holes_(std::move(holes)) {}

  std::uint64_t size_bytes() const override { return text_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    if (offset + into.size() > text_.size()) throw std::out_of_range("read past the end");
    if (fails_at && offset + into.size() > *fails_at) throw Error(Errc::failed, "no more");
    std::memcpy(into.data(), text_.data() + offset, into.size());
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    for (const auto& [begin, length] : holes_) {
      if (offset >= begin && offset < begin + length) return std::min<std::uint64_t>(begin + length, text_.size());
    }
    return std::min<std::uint64_t>(offset, text_.size());
  }
  backup::Counts finish() override {
    if (changes) throw backup::Changed{};
    return counts_;
  }

  std::optional<std::uint64_t> fails_at;
  bool changes = false;

 private:
  std::string text_;
  backup::Counts counts_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> holes_;
};

/// What it was given, in order.
class GatheringSink : public backup::Sink {
 public:
  void put(const backup::Entry& entry, backup::Content* content) override {
    std::string text;
    if (content != nullptr) {
      text.resize(content->size_bytes());
      for (std::uint64_t at = 0; at < text.size();) {
        const std::uint64_t part = std::min<std::uint64_t>(text.size() - at, 300'000);
        content->read(at, {reinterpret_cast<std::uint8_t*>(text.data()) + at, part});
        at += part;
      }
      counts[entry.path] = content->finish();
    }
    entries.push_back(entry);
    texts[entry.path] = std::move(text);
  }
  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const backup::Entry& entry : entries) all.push_back(entry.path);
    return all;
  }

  std::vector<backup::Entry> entries;
  std::map<std::string, std::string> texts;
  std::map<std::string, backup::Counts> counts;
};

inline backup::Entry file_entry(std::string path, std::uint64_t size = 0) {
  backup::Entry entry;
  entry.path = std::move(path);
  entry.mode = 0640;
  entry.uid = ::getuid();
  entry.gid = ::getgid();
  entry.modified_ns = 1'700'000'000'123'456'789;
  entry.size_bytes = size;
  return entry;
}
inline backup::Entry folder_entry(std::string path) {
  backup::Entry entry = file_entry(std::move(path));
  entry.type = backup::EntryType::folder;
  entry.mode = 02750;
  return entry;
}
inline backup::Entry link_entry(std::string path, std::string target) {
  backup::Entry entry = file_entry(std::move(path));
  entry.type = backup::EntryType::link;
  entry.mode = 0777;
  entry.link_target = std::move(target);
  return entry;
}
inline backup::Entry same_entry(std::string path, std::string file) {
  backup::Entry entry = file_entry(std::move(path));
  entry.same_file_as = std::move(file);
  return entry;
}

/// Text that gets smaller, another for each `seed`.
inline std::string some_text(std::size_t bytes, unsigned seed = 1) {
  std::string text;
  for (std::uint64_t i = 0, x = seed; text.size() < bytes; ++i) {
    x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    text += "row " + std::to_string(i) + " " + std::to_string(x >> 50) + "\n";
  }
  text.resize(bytes);
  return text;
}
/// Bytes that do not.
inline std::string some_noise(std::size_t bytes, std::uint64_t seed = 1) {
  std::string noise(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    noise[i] = static_cast<char>(seed >> 56);
  }
  return noise;
}

/// An archive in a file of its own, made by put() and finish(), then read.
class ArchiveFile {
 public:
  ArchiveFile() : fd_(io::open_file(path(), O_RDWR | O_CREAT | O_EXCL)), output_(fd_.get(), path()) {}

  std::filesystem::path path() const { return dir_ / "a.tar.zst"; }
  backup::FileOutput& output() { return output_; }
  std::string bytes() const { return io::read_file(path()); }

 private:
  TempDir dir_;
  io::UniqueFd fd_;
  backup::FileOutput output_;
};

inline void put_text(backup::Sink& sink, const std::string& path, const std::string& text) {
  TextContent content(text);
  sink.put(file_entry(path, text.size()), &content);
}

/// Runs a line of shell, whose output must not matter, and tells its status; what it says comes back with it.
inline std::pair<int, std::string> shell(const std::string& line) {
  const TempDir dir;
  const io::ProcessResult result = io::run_process({"sh", "-c", line}, dir / "out", {});
  return {result.status, io::read_file(dir / "out") + result.error_text};
}
inline bool has_program(const std::string& name) { return shell("command -v " + name).first == 0; }

}  // namespace reef::test
