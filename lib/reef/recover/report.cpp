#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/recover/drill.h"
#include "reef/recover/files.h"
#include "reef/recover/plan.h"

namespace reef::recover {
namespace {

using Json = nlohmann::ordered_json;

Json members_of(int tier, const std::string& destination, const backup::Snapshot& snapshot) {
  return {
      {"tier", tier}, {"destination", destination}, {"snapshot", snapshot.id}, {"taken", to_rfc3339(snapshot.taken)}};
}

Json faults_of(const std::vector<CheckFault>& found) {
  Json faults = Json::array();
  for (const CheckFault& fault : found)
    faults.push_back(
        {{"file", fault.file}, {"what", fault.what}, {"next_step", fault.next_step}, {"is_derived", fault.is_derived}});
  return faults;
}

}  // namespace

std::string to_text(const FilesReport& report) {
  std::string text;
  for (const std::string& path : report.paths) text += io::shown(path) + "\n";
  for (const auto& damage : report.damaged)
    text += fmt::format("{} could not be restored: {}\n", io::shown(damage.path), printable(damage.what));
  return text + fmt::format("{}, {}, of snapshot {} of tier {} {} {}\n", counted(report.files, "file"),
                            format_size(report.bytes), report.snapshot.id, report.tier,
                            report.dry_run ? "would go to" : "restored to", io::shown(report.to));
}

std::string to_json(const FilesReport& report) {
  Json json{{"schema", "reef.restore.files/1"}};
  json.update(members_of(report.tier, report.destination, report.snapshot));
  json["to"] = report.to;
  json["dry_run"] = report.dry_run;
  json["changed"] = !report.dry_run && report.files > 0;
  json["files"] = report.files;
  json["bytes"] = report.bytes;
  if (report.dry_run) json["paths"] = report.paths;
  Json damaged = Json::array();
  for (const auto& damage : report.damaged) damaged.push_back({{"path", damage.path}, {"what", damage.what}});
  json["damaged"] = std::move(damaged);
  return dump(json);
}

std::string to_text(const DrillReport& report) {
  std::string text;
  for (const CheckFault& fault : report.check.faults)
    text += fmt::format("{}: {}; {}\n", io::shown(fault.file), printable(fault.what), printable(fault.next_step));
  text += fmt::format("tier {}, snapshot {}: {} restored in {} ({}/s), {}, {} and {} rows checked in {}: {}\n",
                      report.tier, report.snapshot.id, format_size(report.bytes), format_duration(report.restored_in),
                      format_size(static_cast<std::uint64_t>(report.bytes_per_second())),
                      counted(report.check.databases, "database"), counted(report.check.indexes, "index", "indexes"),
                      format_count(report.check.rows), format_duration(report.checked_in),
                      report.check.is_sound() ? "sound" : "not sound");
  return text;
}

std::string to_json(const DrillReport& report) {
  Json json{{"schema", "reef.restore.drill/1"}};
  json.update(members_of(report.tier, report.destination, report.snapshot));
  json["sound"] = report.check.is_sound();
  json["bytes"] = report.bytes;
  json["bytes_per_second"] = static_cast<std::uint64_t>(report.bytes_per_second());
  json["restored_ms"] = report.restored_in.count();
  json["checked_ms"] = report.checked_in.count();
  json["files"] = report.check.files;
  json["databases"] = report.check.databases;
  json["rows"] = report.check.rows;
  json["indexes"] = report.check.indexes;
  json["faults"] = faults_of(report.check.faults);
  return dump(json);
}

std::string to_text(const RestoreReport& report) {
  std::string text;
  if (!report.applied)
    for (std::size_t i = 0; i < report.steps.size(); ++i) text += fmt::format("{:>2}. {}\n", i + 1, report.steps[i]);
  for (const Loss& loss : report.losses) {
    if (!loss.unknown.empty())
      text += fmt::format("{} newer than the snapshot cannot be counted: {}\n", loss.what, loss.unknown);
    else if (loss.count > 0)
      text += fmt::format("{} {} newer than the snapshot {} lost\n", format_count(loss.count), loss.what,
                          report.applied ? "are" : "would be");
  }
  for (const std::string& line : report.rebuilt) text += line + "\n";
  for (const CheckFault& fault : report.faults)
    text += fmt::format("{}: {}; {}\n", io::shown(fault.file), printable(fault.what), printable(fault.next_step));
  const std::string what = report.name.empty() ? report.scenario : fmt::format("{} {}", report.scenario, report.name);
  const std::string from = fmt::format("snapshot {} of tier {}, taken {}", report.snapshot.id, report.tier,
                                       to_rfc3339(report.snapshot.taken));
  if (report.applied) {
    std::string rows;
    if (report.rows_came + report.rows_went > 0)
      rows = fmt::format(", {} of shared databases came and {} went", counted(report.rows_came, "row"),
                         format_count(report.rows_went));
    return text + fmt::format("{} restored from {}: {}, {}{}, in {}\n", what, from, counted(report.files, "file"),
                              format_size(report.bytes), rows, format_duration(report.duration));
  }
  std::string time = report.expected
                         ? fmt::format("expected to take {} by the last drill", format_duration(*report.expected))
                         : "'reef-restore drill' tells how long it takes";
  if (report.bound) time += fmt::format(" (bound: {})", format_duration(*report.bound));
  return text + fmt::format("{} from {}: {}\n", what, from, time);
}

std::string to_json(const RestoreReport& report) {
  Json json{{"schema", fmt::format("reef.restore.{}/1", report.scenario)}, {"name", text_or_null(report.name)}};
  json.update(members_of(report.tier, report.destination, report.snapshot));
  json["dry_run"] = report.dry_run;
  json["changed"] = report.applied;
  json["steps"] = report.steps;
  Json losses = Json::array();
  for (const Loss& loss : report.losses)
    losses.push_back({{"what", loss.what},
                      {"count", loss.unknown.empty() ? Json(loss.count) : Json(nullptr)},
                      {"unknown", text_or_null(loss.unknown)}});
  json["losses"] = std::move(losses);
  json["files"] = report.files;
  json["bytes"] = report.bytes;
  json["expected_ms"] = report.expected ? Json(report.expected->count()) : Json(nullptr);
  json["bound_ms"] = report.bound ? Json(report.bound->count()) : Json(nullptr);
  json["duration_ms"] = report.duration.count();
  json["rows_came"] = report.rows_came;
  json["rows_went"] = report.rows_went;
  json["rebuilt"] = report.rebuilt;
  json["faults"] = faults_of(report.faults);
  return dump(json);
}

}  // namespace reef::recover
