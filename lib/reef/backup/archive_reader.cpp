#include "reef/backup/archive_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <unordered_map>
#include <unordered_set>

#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/entry_content.h"
#include "reef/backup/internal/frame_reader.h"
#include "reef/backup/internal/frame_table.h"
#include "reef/backup/internal/header_check.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup {

using internal::EntryContent;
using internal::FrameReader;
using internal::FrameTable;
using internal::IndexedEntry;
using internal::TarEntry;

namespace {

constexpr std::size_t kMostPaths = 100;

bool has_content(const Entry& entry) { return entry.type == EntryType::file && entry.same_file_as.empty(); }

/// Whether something that is selected lies below it.
bool is_above(const std::string& folder, const Selection& selection) {
  return std::any_of(selection.paths.begin(), selection.paths.end(), [&](const std::string& path) {
    return folder.empty() || (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/');
  });
}

}  // namespace

FileSource::FileSource(int fd, const std::filesystem::path& path)
    : fd_(fd), path_(path), name_(io::shown(path)), size_(io::file_size(fd, path)) {}

void FileSource::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  while (!into.empty()) {
    const ssize_t count = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) {
      check_interrupt();
      continue;
    }
    // A drive that cannot read a sector has lost it, and nothing but it.
    if (count < 0 && errno == EIO)
      throw Error(Errc::corrupt, fmt::format("{}: bytes {}-{} cannot be read", name_, offset, offset + into.size()));
    if (count < 0) throw_errno("read", name_);
    if (count == 0) throw Error(Errc::corrupt, fmt::format("{} ends at byte {}", name_, offset));
    into = into.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

struct ArchiveReader::State {
  State(const ArchiveSource& from, unsigned threads)
      : source(from), table(internal::read_frame_table(from)), frames(from, table, threads) {
    if (table.entries) return;
    const auto read = [this](std::uint64_t offset, std::span<std::uint8_t> into) { frames.read(offset, into); };
    internal::TarScanner scanner(read, table.tar_bytes, source.name());
    table.entries.emplace();
    try {
      while (std::optional<TarEntry> found = scanner.next()) table.entries->push_back({std::move(*found), {}});
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      const std::string last = table.entries->empty() ? "the first" : io::shown(table.entries->back().tar.entry.path);
      lost = fmt::format("what follows {} cannot be found: {}", last, error.what());
    }
    internal::check_entries(*table.entries, source.name());
  }

  const std::vector<IndexedEntry>& entries() const { return *table.entries; }

  /// The frames that hold the content of an entry: [first, last], none where first > last.
  std::pair<std::size_t, std::size_t> frames_of(const TarEntry& tar) const {
    if (!has_content(tar.entry) || tar.stored() == 0) return {1, 0};
    return {frame_of(table, tar.data), frame_of(table, tar.data + tar.stored() - 1)};
  }

  /// What is not whole without that frame.
  std::vector<std::string> paths_of(std::size_t frame) const {
    std::vector<std::string> paths;
    std::unordered_set<std::string_view> hit;
    for (const IndexedEntry& indexed : entries()) {
      const Entry& entry = indexed.tar.entry;
      const auto [first, last] = frames_of(indexed.tar);
      if (!(first <= frame && frame <= last) && hit.count(entry.same_file_as) == 0) continue;
      hit.insert(entry.path);
      if (paths.size() < kMostPaths) paths.push_back(entry.path);
    }
    return paths;
  }

  const ArchiveSource& source;
  FrameTable table;
  FrameReader frames;
  std::string lost;  ///< why entries may be missing; empty: none are
};

ArchiveReader::ArchiveReader(const ArchiveSource& source, unsigned threads)
    : state_(std::make_unique<State>(source, threads)) {}

ArchiveReader::~ArchiveReader() = default;

std::vector<std::pair<Entry, Counts>> ArchiveReader::entries() const {
  std::vector<std::pair<Entry, Counts>> all;
  for (const IndexedEntry& indexed : state_->entries()) all.emplace_back(indexed.tar.entry, indexed.counts);
  return all;
}

void ArchiveReader::read(const Selection& selection, Sink& sink, Progress& progress,
                         const std::function<void(const std::string& path, const std::string& what)>& on_damage) const {
  State& s = *state_;
  if (!s.lost.empty() && !on_damage) throw Error(Errc::corrupt, fmt::format("{}: {}", s.source.name(), s.lost));
  if (!s.lost.empty()) on_damage({}, s.lost);

  // A hard link stands for its file where that is not selected.
  std::unordered_map<std::string_view, const IndexedEntry*> files;
  std::vector<std::pair<const IndexedEntry*, const IndexedEntry*>> chosen;  // an entry, and whose content it has
  std::vector<std::size_t> frames;
  std::uint64_t bytes = 0;
  for (const IndexedEntry& indexed : s.entries()) {
    const Entry& entry = indexed.tar.entry;
    if (has_content(entry)) files.emplace(entry.path, &indexed);
    if (const auto same = files.find(entry.same_file_as); same != files.end()) files.emplace(entry.path, same->second);
    const bool is_selected = selection.covers(entry.path);
    if (!is_selected && !(entry.type == EntryType::folder && is_above(entry.path, selection))) continue;
    const auto file = entry.type == EntryType::file ? files.find(entry.path) : files.end();
    chosen.emplace_back(&indexed, file != files.end() ? file->second : nullptr);
  }
  std::unordered_map<const IndexedEntry*, std::string_view> placed;  // the path under which a file's content is put
  for (const auto& [indexed, file] : chosen) {
    if (file == nullptr || !placed.emplace(file, indexed->tar.entry.path).second) continue;
    bytes += file->tar.entry.size_bytes;
    const auto [first, last] = s.frames_of(file->tar);
    for (std::size_t frame = first; frame <= last; ++frame) {
      if (frames.empty() || frames.back() < frame) frames.push_back(frame);
    }
  }
  s.frames.plan(std::move(frames));

  progress.begin("reading", bytes, ProgressUnit::bytes);
  std::unordered_set<const IndexedEntry*> damaged;
  for (const auto& [indexed, file] : chosen) {
    check_interrupt();
    Entry entry = indexed->tar.entry;
    if (file == nullptr) {
      sink.put(entry, nullptr);
      continue;
    }
    const std::string_view path = placed.at(file);
    if (path != entry.path) {
      if (damaged.count(file) != 0) {
        on_damage(entry.path, fmt::format("it is a hard link to {}", io::shown(path)));
        continue;
      }
      entry.same_file_as = path;
      sink.put(entry, nullptr);
      continue;
    }
    entry.same_file_as.clear();
    entry.size_bytes = file->tar.entry.size_bytes;
    if (!sink.keep(entry)) {
      EntryContent content(s.frames, *file);
      try {
        sink.put(entry, &content);
      } catch (const Error& error) {
        if (!content.has_failed() || error.code() != Errc::corrupt || !on_damage) throw;
        damaged.insert(file);
        on_damage(entry.path, error.what());
      }
    }
    progress.advance(entry.size_bytes);
  }
  progress.end();
}

std::vector<ArchiveFault> ArchiveReader::verify(double sample, Progress& progress, std::uint64_t& bytes) const {
  State& s = *state_;
  std::vector<ArchiveFault> faults = s.table.faults;
  if (!s.lost.empty()) faults.push_back({0, s.source.size_bytes(), s.lost, {}});
  std::vector<std::size_t> frames(s.table.frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) frames[i] = i;
  const bool reads_all = sample >= 1;
  if (!reads_all) {
    std::mt19937_64 random(std::random_device{}());
    std::shuffle(frames.begin(), frames.end(), random);
    const double share = std::max(sample, 0.0) * static_cast<double>(frames.size());
    frames.resize(std::clamp<std::size_t>(static_cast<std::size_t>(share), 1, frames.size()));
    std::sort(frames.begin(), frames.end());
  }
  std::uint64_t total = 0;
  for (const std::size_t frame : frames) total += s.table.frames[frame].info.stored;
  progress.begin("verifying", total, ProgressUnit::bytes);
  s.frames.plan(frames);
  internal::HeaderCheck headers(s.frames, s.table, s.source.name());
  for (const std::size_t frame : frames) {
    check_interrupt();
    const internal::FrameAt& at = s.table.frames[frame];
    try {
      s.frames.get(frame);
      if (reads_all) headers.advance(frame, true);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      faults.push_back({at.offset, at.offset + at.info.stored, error.what(), s.paths_of(frame)});
      if (reads_all) headers.advance(frame, false);
    }
    bytes += at.info.stored;
    progress.advance(at.info.stored);
  }
  progress.end();
  for (ArchiveFault& fault : headers.faults()) faults.push_back(std::move(fault));
  return faults;
}

}  // namespace reef::backup
