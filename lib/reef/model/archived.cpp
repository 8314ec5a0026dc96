#include "reef/model/archived.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSchema = "reef.archived/1";
constexpr std::uint64_t kMaxRecordBytes = 64 << 10;

void read_place(ArchivedModel& archived) {
  const fs::path path = archived.record / kArchivedFile;
  const std::string text = io::read_file(path, kMaxRecordBytes);
  internal::JsonScanner scanner(text, path.string(), 0);
  std::string schema;
  scanner.object("'{'", [&](const std::string& key, std::size_t) {
    if (key == "schema") {
      schema = scanner.string("a schema");
    } else if (key == "path") {
      archived.place = scanner.string("a path");
    } else if (key == "archived") {
      archived.since = scanner.string("a time");
    } else {
      scanner.skip_value();
    }
  });
  scanner.expect_end();
  if (schema != kSchema) scanner.fail(0, fmt::format("the schema is '{}', not {}", internal::legible(schema), kSchema));
  if (!archived.place.is_absolute()) scanner.fail(0, "the path is not absolute");
}

ArchivedModel read_record(Kind kind, const fs::path& record) {
  ArchivedModel archived;
  archived.name = record.filename();
  archived.kind = kind;
  archived.record = record;
  try {
    read_place(archived);
    auto manifest = read_manifest(record);
    if (!manifest) throw Error(Errc::corrupt, fmt::format("there is no {}", kManifestFile));
    archived.manifest = std::move(*manifest);
  } catch (const std::exception&) {
    const Error error = current_error();
    if (error.code() == Errc::interrupted) throw;
    archived.fault = error.what();
  }
  return archived;
}

}  // namespace

std::vector<ArchivedModel> list_archived(const tree::Tree& tree) {
  std::vector<ArchivedModel> all;
  for (const Kind kind : kAllKinds) {
    const fs::path parent = tree.archived(kind_folder(kind));
    std::error_code error;
    const std::size_t before = all.size();
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename();
      if (!is_model_name(name) || fs::is_directory(tree.models(kind_folder(kind)) / name)) continue;
      all.push_back(read_record(kind, it->path()));
    }
    std::sort(all.begin() + static_cast<std::ptrdiff_t>(before), all.end(),
              [](const ArchivedModel& a, const ArchivedModel& b) { return a.name < b.name; });
  }
  return all;
}

std::optional<ArchivedModel> find_archived(const tree::Tree& tree, const std::string& name) {
  std::vector<ArchivedModel> found = list_archived(tree);
  std::erase_if(found,
                [&](const ArchivedModel& a) { return a.name != name && qualified_name(a.kind, a.name) != name; });
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    throw Error(
        Errc::usage, fmt::format("'{}' names {} archived models", name, found.size()),
        fmt::format("say '{}' or '{}'", qualified_name(found[0].kind, name), qualified_name(found[1].kind, name)));
  }
  return std::move(found.front());
}

std::string archived_text(const fs::path& place, const std::string& since) {
  return fmt::format("{{\n  \"schema\": \"{}\",\n  \"path\": {},\n  \"archived\": \"{}\"\n}}\n", kSchema,
                     internal::json_string(place.string()), since);
}

}  // namespace reef::model
