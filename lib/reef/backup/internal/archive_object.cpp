#include "reef/backup/internal/archive_object.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "reef/backup/age.h"
#include "reef/backup/internal/archives_writer.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

std::string shown_key(const io::ObjectStore& store, const std::string& key) {
  return fmt::format("{}/{}", store.name(), key);
}

[[noreturn]] void throw_missing(const io::ObjectStore& store, const std::string& key) {
  throw Error(Errc::corrupt, fmt::format("{} is missing", shown_key(store, key)),
              "restore from another snapshot, or another tier");
}

/// An object as a file: where it lies, or where a copy of it was brought to, which `brought` names.
fs::path file_of(const ArchivesOptions& options, io::ObjectStore& store, const std::string& key,
                 const io::Sha256Digest& sha256, const char* name, fs::path& brought, Progress& progress) {
  if (!store.find(key)) throw_missing(store, key);
  if (const auto place = store.local_path(key)) return *place;
  prepare_scratch(options.scratch);
  brought = options.scratch / fmt::format("{}.{}", name, ::getpid());
  store.get_file(key, brought, sha256, progress);
  return brought;
}

}  // namespace

ObjectSource::ObjectSource(io::ObjectStore& store, const std::string& key)
    : store_(store), key_(key), name_(shown_key(store, key)) {
  const auto size = store.find(key);
  if (!size) throw_missing(store, key);
  size_ = *size;
}

void ObjectSource::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  if (offset > size_ || into.size() > size_ - offset)
    throw Error(Errc::corrupt, fmt::format("{} ends at byte {}", name_, size_));
  const std::lock_guard lock(mutex_);
  std::size_t got = 0;
  store_.read(key_, offset, into.size(), [&](std::span<const std::uint8_t> piece) {
    const std::size_t bytes = std::min(piece.size(), into.size() - got);
    std::memcpy(into.data() + got, piece.data(), bytes);
    got += bytes;
  });
  if (got != into.size()) throw Error(Errc::corrupt, fmt::format("{} ends at byte {}", name_, offset + got));
}

OpenArchive::OpenArchive(const ArchivesOptions& options, io::ObjectStore& store, const ArchiveDescription& description,
                         bool is_whole, Progress& progress) {
  const std::string& key = description.key;
  if (!description.is_encrypted() && !is_whole && !store.local_path(key)) {
    source_ = std::make_unique<ObjectSource>(store, key);
  } else {
    fs::path brought;
    const fs::path file = file_of(options, store, key, description.sha256, "archive.brought", brought, progress);
    if (description.is_encrypted()) {
      prepare_scratch(options.scratch);
      Decrypted clear = decrypt_age(file, options.identity, options.scratch);
      fd_ = std::move(clear.fd);
      fault_ = clear.fault;
    } else {
      fd_ = io::open_file(file, O_RDONLY);
    }
    std::error_code ignored;
    if (!brought.empty()) fs::remove(brought, ignored);  // it lives as long as the descriptor
    source_ = std::make_unique<FileSource>(fd_.get(), shown_key(store, key));
  }
  reader_ = std::make_unique<ArchiveReader>(*source_, options.threads);
}

OpenModel::OpenModel(const ArchivesOptions& options, io::ObjectStore& store, const ModelFile& model,
                     Progress& progress) {
  const std::string key = model_key(model.digest);
  const fs::path file = file_of(options, store, key, model.digest, "model.brought", brought_, progress);
  folder_ = io::open_file(file.parent_path(), O_RDONLY | O_DIRECTORY);
  content_ = std::make_unique<FileContent>(folder_.get(), file.filename().string(), shown_key(store, key),
                                           model.entry.size_bytes, model.digest, Counts{});
}

OpenModel::~OpenModel() {
  std::error_code ignored;
  if (!brought_.empty()) fs::remove(brought_, ignored);
}

}  // namespace reef::backup::internal
