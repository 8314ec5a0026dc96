#include "reef/backup/internal/model_objects.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "reef/backup/internal/archive_description.h"
#include "reef/backup/internal/hashed_copy.h"
#include "reef/backup/internal/sealed.h"
#include "reef/backup/internal/tree_record.h"
#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup::internal {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "reef digests of models";
constexpr int kVersion = 1;
constexpr const char* kKnownFile = "model_digests";
constexpr unsigned kFolderMode = 0750;

}  // namespace

ModelObjects::ModelObjects(io::ObjectStore& store, fs::path scratch, std::set<std::string> damaged)
    : store_(store), scratch_(std::move(scratch)), damaged_(std::move(damaged)) {
  load();
}

void ModelObjects::load() {
  const fs::path file = scratch_ / kKnownFile;
  try {
    const std::string text = io::read_file(file, kMostSealedBytes);
    const Json json = Json::parse(unseal(text, file, ""));
    if (json.at("format") != kFormat || json.at("version") != kVersion) return;
    for (const Json& one : json.at("files")) {
      known_[unescaped(one.at("path").get<std::string>())] = {unescaped(one.at("state").get<std::string>()),
                                                              one.at("bytes"),
                                                              io::digest_from_hex(one.at("sha256").get<std::string>())};
    }
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) log_step("{}: models are read again", error.what());
  } catch (const std::exception& error) {
    log_step("{}: {}: models are read again", io::shown(file), error.what());
    known_.clear();
  }
}

void ModelObjects::save() const {
  Json files = Json::array();
  for (const auto& [path, known] : put_) {
    if (known.state.empty()) continue;
    files.push_back({{"path", escaped(path)},
                     {"state", escaped(known.state)},
                     {"bytes", known.bytes},
                     {"sha256", io::to_hex(known.digest)}});
  }
  io::replace_file(scratch_ / kKnownFile,
                   seal(dump(Json{{"format", kFormat}, {"version", kVersion}, {"files", files}})));
}

bool ModelObjects::is_stored(const io::Sha256Digest& digest, std::uint64_t bytes) {
  return damaged_.count(io::to_hex(digest)) == 0 && store_.find(model_key(digest)) == bytes;
}

io::Sha256Digest ModelObjects::put(const Entry& entry, Content& content, Progress& progress) {
  Known now{entry.state, content.size_bytes(), {}};
  const auto known = known_.find(entry.path);
  if (known != known_.end() && !now.state.empty() && known->second.state == now.state &&
      known->second.bytes == now.bytes && is_stored(known->second.digest, now.bytes)) {
    put_[entry.path] = known->second;
    return known->second.digest;
  }
  const auto place = store_.local_path(model_key({}));
  now.digest = place ? store_in_folder(content, place->parent_path()) : store_far_away(content, progress);
  if (const std::string hex = io::to_hex(now.digest); damaged_.erase(hex) != 0) mended_.insert(hex);
  put_[entry.path] = now;
  return now.digest;
}

/// Read once: the name is not known before the end.
io::Sha256Digest ModelObjects::store_in_folder(Content& content, const fs::path& models) {
  if (::mkdir(models.c_str(), kFolderMode) == 0) {
    io::sync_directory(models.parent_path());
  } else if (errno != EEXIST) {
    throw_errno("create", io::shown(models));
  }
  io::StagedFile copy(models / "model");  // gets another name, or none
  const io::Sha256Digest digest = copy_hashed(content, copy.fd(), copy.temporary_path());
  content.finish();
  if (is_stored(digest, content.size_bytes())) return digest;
  io::sync_file(copy.fd(), copy.temporary_path());
  const fs::path target = models / io::to_hex(digest);
  if (std::rename(copy.temporary_path().c_str(), target.c_str()) != 0) throw_errno("rename", io::shown(target));
  io::sync_directory(models);
  added_ += content.size_bytes();
  return digest;
}

io::Sha256Digest ModelObjects::store_far_away(Content& content, Progress& progress) {
  const io::StagedFile copy(scratch_ / "model", 0600);
  const io::Sha256Digest digest = copy_hashed(content, copy.fd(), copy.temporary_path());
  content.finish();
  if (is_stored(digest, content.size_bytes())) return digest;
  store_.put_file(model_key(digest), copy.temporary_path(), digest, progress);
  added_ += content.size_bytes();
  return digest;
}

}  // namespace reef::backup::internal
