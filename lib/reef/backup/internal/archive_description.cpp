#include "reef/backup/internal/archive_description.h"

#include <fmt/format.h>

#include <stdexcept>

#include "reef/backup/internal/dated_files.h"
#include "reef/backup/internal/sealed.h"
#include "reef/backup/internal/tar_record.h"
#include "reef/backup/internal/tree_record.h"
#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/core/log.h"

namespace reef::backup::internal {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "reef archive";
constexpr const char* kNoteFormat = "reef check of an archive";
constexpr int kVersion = 1;
constexpr const char* kDamagedHint =
    "run 'reef-backup verify'; the archive beside it may be whole: zstd and tar open it, see reef-recovery(7)";
constexpr std::string_view kPrefix = "system-";
constexpr std::string_view kDescriptionEnd = ".json";

/// What is read of an object must be what it says; `call` reads members.
template <class Call>
auto read_json(io::ObjectStore& store, const std::string& key, const char* format, const Call& call) {
  const fs::path shown = fmt::format("{}/{}", store.name(), key);
  const auto refuse = [&](const std::string& what) -> Error {
    return {Errc::corrupt, fmt::format("{}: {}", shown.native(), what), kDamagedHint};
  };
  const Json json = Json::parse(unseal(store.get(key, kMostSealedBytes), shown, kDamagedHint), nullptr, false);
  try {
    if (!json.is_object() || json.at("format") != format) throw refuse(fmt::format("this is no '{}'", format));
    if (json.at("version").get<int>() > kVersion)
      throw Error(Errc::usage, fmt::format("{} was written by a newer reef", shown.native()), "upgrade this one");
    return call(json);
  } catch (const nlohmann::json::exception&) {
    throw refuse("a member is missing or of another type");
  } catch (const std::invalid_argument& error) {
    throw refuse(error.what());
  }
}

Json to_json(const ModelFile& model) {
  const Entry& entry = model.entry;
  Json json{{"path", escaped(entry.path)},
            {"sha256", io::to_hex(model.digest)},
            {"bytes", entry.size_bytes},
            {"mode", entry.mode},
            {"uid", entry.uid},
            {"gid", entry.gid},
            {"modified_ns", entry.modified_ns}};
  if (!entry.same_file_as.empty()) json["same_file_as"] = escaped(entry.same_file_as);
  return json;
}

std::string inner_path(const Json& json) {
  std::string path = unescaped(json.get<std::string>());
  if (!is_inner_path(path)) throw std::invalid_argument("a path that leads out of the tree");
  return path;
}

ModelFile model_of(const Json& json) {
  ModelFile model;
  model.entry.path = inner_path(json.at("path"));
  model.digest = io::digest_from_hex(json.at("sha256").get<std::string>());
  model.entry.size_bytes = json.at("bytes");
  model.entry.mode = json.at("mode").get<std::uint32_t>() & 07777U;
  model.entry.uid = json.at("uid");
  model.entry.gid = json.at("gid");
  model.entry.modified_ns = json.at("modified_ns");
  if (json.contains("same_file_as")) model.entry.same_file_as = inner_path(json.at("same_file_as"));
  return model;
}

}  // namespace

std::string archive_key(const std::string& id, bool is_encrypted) {
  return fmt::format("{}{}.tar.zst{}", kPrefix, id, is_encrypted ? ".age" : "");
}
std::string description_key(const std::string& id) { return fmt::format("{}{}{}", kPrefix, id, kDescriptionEnd); }
std::string note_key(const std::string& id) { return fmt::format("{}{}.checked.json", kPrefix, id); }
std::string model_key(const io::Sha256Digest& digest) { return fmt::format("{}{}", kModels, io::to_hex(digest)); }

ArchiveIds ids_of(const std::vector<io::StoredObject>& objects) {
  ArchiveIds ids;
  for (const io::StoredObject& object : objects) {
    if (!object.key.starts_with(kPrefix)) continue;
    const std::string rest = object.key.substr(kPrefix.size());
    const std::string id = rest.substr(0, rest.find('.'));
    if (!time_of_id(id)) continue;
    ids.all.insert(id);
    if (object.key == description_key(id)) ids.described.push_back(id);
  }
  return ids;
}

void put_description(io::ObjectStore& store, const ArchiveDescription& description) {
  const Snapshot& snapshot = description.snapshot;
  Json changed = Json::array();
  for (const std::string& path : snapshot.changed) changed.push_back(escaped(path));
  Json models = Json::array();
  for (const ModelFile& model : description.models) models.push_back(to_json(model));
  const Json archive{
      {"key", description.key}, {"bytes", description.bytes}, {"sha256", io::to_hex(description.sha256)}};
  Json json{{"format", kFormat},
            {"version", kVersion},
            {"snapshot", snapshot.id},
            {"taken", to_rfc3339(snapshot.taken)},
            {"archive", archive},
            {"files", snapshot.files},
            {"size_bytes", snapshot.size_bytes},
            {"added_bytes", snapshot.added_bytes},
            {"changed", changed},
            {"models", models}};
  for (const std::string& path : description.damaged) json["damaged"].push_back(escaped(path));
  store.put(description_key(snapshot.id), seal(dump(json)));
}

ArchiveDescription get_description(io::ObjectStore& store, const std::string& id) {
  return read_json(store, description_key(id), kFormat, [&](const Json& json) {
    ArchiveDescription found;
    Snapshot& snapshot = found.snapshot;
    snapshot.id = json.at("snapshot");
    if (snapshot.id != id) throw std::invalid_argument(fmt::format("this is of snapshot '{}'", snapshot.id));
    snapshot.taken = *time_of_id(id);
    snapshot.files = json.at("files");
    snapshot.size_bytes = json.at("size_bytes");
    snapshot.added_bytes = json.at("added_bytes");
    for (const Json& path : json.at("changed")) snapshot.changed.push_back(unescaped(path.get<std::string>()));
    for (const Json& path : json.value("damaged", Json::array()))
      found.damaged.push_back(unescaped(path.get<std::string>()));
    if (!found.damaged.empty()) snapshot.damaged = snapshot.taken;
    found.key = json.at("archive").at("key");
    if (found.key != archive_key(id, false) && found.key != archive_key(id, true))
      throw std::invalid_argument("the archive's name is that of another one");
    found.bytes = json.at("archive").at("bytes");
    found.sha256 = io::digest_from_hex(json.at("archive").at("sha256").get<std::string>());
    for (const Json& model : json.at("models")) found.models.push_back(model_of(model));
    return found;
  });
}

ArchiveNote get_note(io::ObjectStore& store, const std::string& id) {
  try {
    return read_json(store, note_key(id), kNoteFormat, [](const Json& json) {
      ArchiveNote note;
      if (json.contains("verified")) note.verified = parse_time(json.at("verified").get<std::string>());
      if (json.contains("damaged")) note.damaged = parse_time(json.at("damaged").get<std::string>());
      for (const Json& model : json.at("models")) note.models.insert(model.get<std::string>());
      return note;
    });
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return {};
    if (error.code() != Errc::corrupt && error.code() != Errc::usage) throw;
    log_warn("{}; what checks of snapshot {} found is not known", error.what(), id);
    return {};
  }
}

void put_note(io::ObjectStore& store, const std::string& id, const ArchiveNote& note) {
  Json json{{"format", kNoteFormat}, {"version", kVersion}};
  if (note.verified) json["verified"] = to_rfc3339(*note.verified);
  if (note.damaged) json["damaged"] = to_rfc3339(*note.damaged);
  json["models"] = note.models;
  store.put(note_key(id), seal(dump(json)));
}

std::string model_listing(const std::vector<ModelFile>& models) {
  std::string listing;
  for (const ModelFile& model : models) add_sum(listing, model.digest, model.entry.path);
  return listing;
}

}  // namespace reef::backup::internal
