#include "reef/model/internal/staging.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <deque>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/internal/chunk_check.h"
#include "reef/model/internal/digest_files.h"

namespace reef::model::internal {

namespace fs = std::filesystem;

void write_new(const fs::path& path, std::string_view text) {
  const io::UniqueFd fd = io::open_file(path, O_WRONLY | O_CREAT | O_EXCL);
  io::write_all(fd.get(), text, path);
  io::sync_file(fd.get(), path);
}

std::vector<SourceFile> files_of(const Manifest& manifest, const fs::path& folder) {
  std::vector<SourceFile> files;
  for (const ManifestFile& file : manifest.files) files.push_back({folder / file.path, file.path, file.bytes});
  return files;
}

std::string digest_of(const fs::path& file, Progress& progress) {
  return io::to_hex(io::sha256_file(file, [&](std::uint64_t bytes) {
    progress.advance(bytes);
    check_interrupt();
  }));
}

std::vector<ChunkDigests> known_chunks(const fs::path& folder, const Manifest& manifest) {
  try {
    return read_chunk_table(folder, manifest);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    return std::vector<ChunkDigests>(manifest.files.size());
  }
}

bool are_sound(const Manifest& manifest, const std::vector<fs::path>& places, std::vector<ChunkDigests> chunks,
               unsigned threads, std::string_view what, Progress& progress) {
  progress.begin(what, manifest.total_bytes(), ProgressUnit::bytes);
  bool sound = true;
  for (std::size_t i = 0; sound && i < places.size(); ++i) {
    if (manifest.files[i].bytes == 0) continue;  // nothing that could differ
    std::deque<CheckedFile> one;
    one.emplace_back(places[i], manifest.files[i], std::move(chunks[i]));
    if (one.front().file.size() != manifest.files[i].bytes) {
      sound = false;  // it changed since it was looked at
      continue;
    }
    check_chunks(one, threads, [&](std::uint64_t bytes) { progress.advance(bytes); });
    sound = one.front().faults.empty();
  }
  progress.end();
  return sound;
}

bool is_intact(const fs::path& folder, const Manifest& manifest, unsigned threads, Progress& progress) {
  std::vector<ChunkDigests> chunks;
  try {
    chunks = read_chunk_table(folder, manifest);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    return false;
  }
  std::vector<fs::path> places;
  for (const ManifestFile& file : manifest.files) {
    places.push_back(folder / file.path);
    std::error_code error;
    if (!fs::is_regular_file(places.back(), error) || fs::file_size(places.back(), error) != file.bytes) return false;
  }
  return are_sound(manifest, places, std::move(chunks), threads, "checking", progress);
}

io::LockFile lock_models(const tree::Tree& tree, std::chrono::milliseconds wait) {
  io::LockFile lock(tree.models() / ".lock", wait);
  io::remove_stale(tree.models());
  for (const Kind kind : kAllKinds) {
    const fs::path folder = tree.models(kind_folder(kind));
    fs::create_directory(folder, tree.models());  // with its mode
    restore_replaced(folder);
    io::remove_stale(folder);
    io::remove_stale(tree.archived(kind_folder(kind)));
  }
  return lock;
}

Staging::Staging(fs::path target, Progress& progress)
    : target_(std::move(target)), progress_(progress), folder_(io::temporary_name(target_)) {}

void Staging::bring(const std::vector<SourceFile>& files, How how) {
  std::uint64_t total = 0;
  for (const SourceFile& file : files) total += file.bytes;
  progress_.begin("copying", total, ProgressUnit::bytes);
  for (const SourceFile& file : files) bring(file, how);
  progress_.end();
}

fs::path Staging::place_of(const std::string& file) const {
  fs::path folder = path();
  for (const fs::path& part : fs::path(file).parent_path()) {
    folder /= part;
    fs::create_directory(folder, path());  // with its mode
  }
  return path() / file;
}

void Staging::bring(const SourceFile& file, How how) {
  const fs::path to = place_of(file.path);
  if (how == How::move) fs::rename(file.from, to);
  if (how == How::move || (how == How::link && ::link(file.from.c_str(), to.c_str()) == 0)) {
    io::sync_file(io::open_file(to, O_RDONLY).get(), to);
    progress_.advance(file.bytes);
    return;
  }
  const io::UniqueFd from = io::open_file(file.from, O_RDONLY);
  const io::UniqueFd fd = io::open_file(to, O_WRONLY | O_CREAT | O_EXCL);
  io::copy_contents(
      from.get(), fd.get(), file.from, to,
      [](void* self, std::uint64_t bytes) {
        static_cast<Staging*>(self)->progress_.advance(bytes);
        check_interrupt();
      },
      this);
}

std::vector<WeightFile> Staging::weights(const Manifest& manifest) const {
  std::vector<std::string> paths;
  for (const ManifestFile& file : manifest.files) paths.push_back(file.path);
  return read_weights(path(), paths);
}

void Staging::digest(Manifest& manifest, const std::vector<WeightFile>& weights, unsigned threads, bool with_tensors) {
  chunks_ = digest_files(path(), manifest, weights, with_tensors, threads, progress_);
}

void Staging::publish(const Manifest& manifest, std::string_view text, std::string_view signature) {
  for (std::size_t i = 0; i < chunks_.size(); ++i)
    if (manifest.files[i].chunks_sha256.empty()) chunks_[i].clear();
  write_new(path() / kChunksFile, chunk_table(chunks_));
  write_new(path() / kManifestFile, text);
  if (!signature.empty()) write_new(path() / kSignatureFile, signature);
  check_interrupt();
  folder_.publish(target_);
}

std::vector<const ManifestFile*> differing_files(const Manifest& expected, const Manifest& found) {
  std::vector<const ManifestFile*> different;
  for (const ManifestFile& file : expected.files) {
    const ManifestFile* now = found.find(file.path);
    if (now == nullptr || !now->has_content_of(file)) different.push_back(&file);
  }
  return different;
}

std::string difference(const Manifest& found, const ManifestFile& expected, std::string_view expecter,
                       const fs::path& folder) {
  const ManifestFile* now = found.find(expected.path);
  const std::string shown = io::shown(folder / expected.path);
  return now == nullptr ? fmt::format("{} is missing, {} lists it", shown, expecter)
                        : fmt::format("{}: sha256 is {}, {} says {}", shown, now->sha256, expecter, expected.sha256);
}

}  // namespace reef::model::internal
