#include "reef/backup/internal/dated_files.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>

#include "reef/backup/internal/sealed.h"
#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSummaryFormat = "reef dated folder";
constexpr const char* kNoteFormat = "reef check of a dated folder";
constexpr int kVersion = 1;
constexpr const char* kDamagedHint =
    "run 'reef-backup verify'; its files are plain ones: copy them by hand, or restore from another snapshot";
/// Of a list of ten million files.
constexpr std::uint64_t kMostListBytes = std::uint64_t{4} << 30;

std::string read_part(const fs::path& path, std::uint64_t limit) {
  try {
    return io::read_file(path, limit);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::corrupt, fmt::format("{} is missing", io::shown(path)), kDamagedHint);
  }
}

Json read_json(const fs::path& path, const char* format) {
  Json json = Json::parse(unseal(read_part(path, kMostSealedBytes), path, kDamagedHint), nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != format || !json.value("version", Json()).is_number_integer())
    throw Error(Errc::corrupt, fmt::format("{} is no '{}'", io::shown(path), format), kDamagedHint);
  if (json["version"].get<int>() > kVersion)
    throw Error(Errc::usage, fmt::format("{} was written by a newer reef", io::shown(path)), "upgrade this one");
  return json;
}

/// Paths are bytes; JSON holds characters.
Json to_json(const auto& paths) {
  Json list = Json::array();
  for (const std::string& path : paths) list.push_back(escaped(path));
  return list;
}

template <class Call>
auto checked(const fs::path& path, const Call& call) {
  try {
    return call();
  } catch (const nlohmann::json::exception&) {
    throw Error(Errc::corrupt, fmt::format("{}: a member is missing or of another type", io::shown(path)),
                kDamagedHint);
  } catch (const std::invalid_argument& error) {
    throw Error(Errc::corrupt, fmt::format("{}: {}", io::shown(path), error.what()), kDamagedHint);
  }
}

}  // namespace

std::string to_text(const DatedSummary& summary) {
  const Snapshot& snapshot = summary.snapshot;
  return seal(dump(Json{{"format", kSummaryFormat},
                        {"version", kVersion},
                        {"snapshot", snapshot.id},
                        {"taken", to_rfc3339(snapshot.taken)},
                        {"files", snapshot.files},
                        {"size_bytes", snapshot.size_bytes},
                        {"added_bytes", snapshot.added_bytes},
                        {"changed", to_json(snapshot.changed)},
                        {"damaged_in_tree", to_json(summary.damaged)},
                        {"list_sha256", io::to_hex(summary.list)}}));
}

DatedSummary read_summary(const fs::path& folder) {
  const fs::path path = folder / kSummary;
  const Json json = read_json(path, kSummaryFormat);
  return checked(path, [&] {
    DatedSummary summary;
    Snapshot& snapshot = summary.snapshot;
    snapshot.id = json.at("snapshot");
    if (snapshot.id != folder.filename())
      throw std::invalid_argument(fmt::format("this is of snapshot '{}'", snapshot.id));
    snapshot.taken = parse_time(json.at("taken").get<std::string>());
    snapshot.files = json.at("files");
    snapshot.size_bytes = json.at("size_bytes");
    snapshot.added_bytes = json.at("added_bytes");
    for (const Json& changed : json.at("changed")) snapshot.changed.push_back(unescaped(changed.get<std::string>()));
    for (const Json& file : json.at("damaged_in_tree")) summary.damaged.push_back(unescaped(file.get<std::string>()));
    if (!summary.damaged.empty()) snapshot.damaged = snapshot.taken;
    summary.list = io::digest_from_hex(json.at("list_sha256").get<std::string>());
    return summary;
  });
}

std::vector<TreeRecord> read_records(const fs::path& folder) {
  const DatedSummary summary = read_summary(folder);
  const fs::path path = folder / kTreeList;
  const std::string text = read_part(path, kMostListBytes);
  if (io::sha256(text) != summary.list)
    throw Error(Errc::corrupt,
                fmt::format("{} is damaged: its checksum is not the one in {}", io::shown(path), kSummary),
                kDamagedHint);
  return from_mtree(text, io::shown(path));
}

std::string sums_of(const std::vector<TreeRecord>& records, const std::string& list, const std::string& summary) {
  std::string sums;
  add_sum(sums, io::sha256(summary), kSummary);
  add_sum(sums, io::sha256(list), kTreeList);
  for (const TreeRecord& record : records)
    if (record.entry.type == EntryType::file)
      add_sum(sums, record.digest, fmt::format("{}/{}", kTreeFolder, record.entry.path));
  return sums;
}

fs::path note_of(const fs::path& destination, const std::string& id) {
  return destination / fmt::format(".{}.checked", id);
}

CheckNote read_note(const fs::path& destination, const std::string& id) {
  const fs::path path = note_of(destination, id);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  try {
    const Json json = read_json(path, kNoteFormat);
    return checked(path, [&] {
      CheckNote note;
      if (json.contains("verified")) note.verified = parse_time(json.at("verified").get<std::string>());
      if (json.contains("damaged")) note.damaged = parse_time(json.at("damaged").get<std::string>());
      for (const Json& damaged : json.at("paths")) note.paths.insert(unescaped(damaged.get<std::string>()));
      return note;
    });
  } catch (const Error& error) {
    log_warn("{}; what checks of snapshot {} found is not known", error.what(), id);
    return {};
  }
}

void write_note(const fs::path& destination, const std::string& id, const CheckNote& note) {
  Json json{{"format", kNoteFormat}, {"version", kVersion}};
  if (note.verified) json["verified"] = to_rfc3339(*note.verified);
  if (note.damaged) json["damaged"] = to_rfc3339(*note.damaged);
  json["paths"] = to_json(note.paths);
  io::replace_file(note_of(destination, id), seal(dump(json)));
}

std::vector<std::string> ids_in(const fs::path& destination) {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator entry(destination, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    std::error_code gone;
    if (time_of_id(name) && entry->symlink_status(gone).type() == fs::file_type::directory)
      ids.push_back(std::move(name));
  }
  if (error) throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(destination), error.message()));
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool has_symlinks(int fd, const fs::path& path) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) throw_errno("stat", io::shown(path));
  return status.f_type != MSDOS_SUPER_MAGIC && status.f_type != EXFAT_SUPER_MAGIC;
}

}  // namespace reef::backup::internal
