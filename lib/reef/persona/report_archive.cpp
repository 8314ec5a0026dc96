#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/persona/archive.h"

namespace reef::persona {
namespace {

using Json = nlohmann::ordered_json;

Json counts_json(const Counts& counts) {
  Json object = Json::object();
  for (const auto& [table, rows] : counts) object[table] = rows;
  return object;
}

std::string counts_text(const Counts& counts) {
  std::vector<std::string> parts;
  for (const auto& [table, rows] : counts)
    if (rows > 0) parts.push_back(fmt::format("{} {}", format_count(rows), table));
  return parts.empty() ? "nothing" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string notes_text(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes) text += "note: " + printable(note) + "\n";
  return text;
}

}  // namespace

std::string to_json(const ExportReport& report) {
  return dump(Json{{"schema", "reef.persona.export/1"},
                   {"persona", report.persona},
                   {"output", report.output.string()},
                   {"counts", counts_json(report.counts)},
                   {"files", report.files},
                   {"bytes", report.bytes},
                   {"archive_bytes", report.archive_bytes},
                   {"notes", report.notes}});
}

std::string to_text(const ExportReport& report) {
  return fmt::format("exported {}: {}; {} in {}, {}\n", report.persona, counts_text(report.counts),
                     counted(report.files, "file"), io::shown(report.output), format_size(report.archive_bytes)) +
         notes_text(report.notes);
}

std::string to_json(const ImportReport& report) {
  Json finished = nullptr;
  if (report.finished)
    finished = {{"kind", tree::kind_name(report.finished->change.kind)},
                {"persona", report.finished->change.persona},
                {"undone", report.finished->undone}};
  return dump(Json{{"schema", "reef.persona.import/1"},
                   {"persona", report.persona},
                   {"from", report.from},
                   {"dry_run", report.dry_run},
                   {"changed", !report.dry_run},
                   {"finished", std::move(finished)},
                   {"counts", counts_json(report.counts)},
                   {"files", report.files},
                   {"bytes", report.bytes},
                   {"notes", report.notes}});
}

std::string to_text(const ImportReport& report) {
  std::string text;
  if (report.finished)
    text =
        fmt::format("{} what an earlier run began: to {} persona {}\n", report.finished->undone ? "undid" : "finished",
                    tree::kind_name(report.finished->change.kind), report.finished->change.persona);
  const std::string as = report.from == report.persona ? "" : fmt::format(" as {}", report.persona);
  text += fmt::format("{} {}{}: {}; {}, {}{}\n", report.dry_run ? "would import" : "imported", report.from, as,
                      counts_text(report.counts), counted(report.files, "file"), format_size(report.bytes),
                      report.dry_run ? " (dry run)" : "");
  return text + notes_text(report.notes);
}

}  // namespace reef::persona
