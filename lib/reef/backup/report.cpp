#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reef/backup/run.h"
#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"

namespace reef::backup {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::optional<Time>& time) { return time ? Json(to_rfc3339(*time)) : Json(nullptr); }

Json members_of(const Snapshot& snapshot) {
  return {{"snapshot", snapshot.id},
          {"taken", to_rfc3339(snapshot.taken)},
          {"files", snapshot.files},
          {"size_bytes", snapshot.size_bytes},
          {"added_bytes", snapshot.added_bytes},
          {"verified", time_or_null(snapshot.verified)},
          {"damaged", time_or_null(snapshot.damaged)},
          {"changed_while_read", snapshot.changed}};
}

Json problems_of(const std::vector<CaptureProblem>& problems) {
  Json list = Json::array();
  for (const CaptureProblem& problem : problems)
    list.push_back({{"path", problem.path}, {"what", problem.what}, {"hint", text_or_null(problem.hint)}});
  return list;
}

Json ids_of(const std::vector<Snapshot>& snapshots) {
  Json ids = Json::array();
  for (const Snapshot& snapshot : snapshots) ids.push_back(snapshot.id);
  return ids;
}

/// To the second, as people read it.
std::string short_time(Time time) {
  std::string text = to_rfc3339(time);
  if (const auto dot = text.find('.'); dot != std::string::npos) text.replace(dot, std::string::npos, "Z");
  return text;
}

std::string state_of(const Snapshot& snapshot) {
  if (snapshot.damaged) return "damaged";
  if (!snapshot.changed.empty()) return fmt::format("{} torn", counted(snapshot.changed.size(), "file"));
  return snapshot.verified ? "verified " + short_time(*snapshot.verified) : "";
}

}  // namespace

std::string to_text(const RunReport& report) {
  std::string text =
      report.changed
          ? fmt::format("snapshot {} at {}: {} in {}, {} new, {}\n", report.snapshot.id, io::shown(report.destination),
                        counted(report.snapshot.files, "file"), format_size(report.snapshot.size_bytes),
                        format_size(report.snapshot.added_bytes), format_duration(report.duration))
          : fmt::format("already so: nothing changed since the newest snapshot at {}, now {}\n",
                        io::shown(report.destination), report.snapshot.id);
  if (!report.pruned.removed.empty())
    text += fmt::format("removed {}, {} freed\n", counted(report.pruned.removed.size(), "snapshot"),
                        format_size(report.pruned.freed_bytes));
  return text;
}

std::string to_json(const RunReport& report) {
  Json json{{"schema", fmt::format("reef.backup.tier{}/1", report.tier)},
            {"tier", report.tier},
            {"destination", report.destination},
            {"changed", report.changed},
            {"same_filesystem", report.same_filesystem}};
  json.update(members_of(report.snapshot));
  json["duration_ms"] = report.duration.count();
  json["pruned"] = ids_of(report.pruned.removed);
  json["freed_bytes"] = report.pruned.freed_bytes;
  json["problems"] = problems_of(report.capture.problems);
  json["notes"] = problems_of(report.capture.notes);
  json["prune_failure"] = report.prune_failure ? Json(report.prune_failure->what()) : Json(nullptr);
  return dump(json);
}

std::string to_text(const std::vector<Listing>& listings) {
  Table table({{"TIER"},
               {"SNAPSHOT"},
               {"TAKEN"},
               {"FILES", Align::right},
               {"SIZE", Align::right},
               {"NEW", Align::right},
               {"STATE"}});
  std::string empty;
  for (const Listing& listing : listings) {
    for (const Snapshot& snapshot : listing.snapshots)
      table.add({std::to_string(listing.tier), snapshot.id, short_time(snapshot.taken), format_count(snapshot.files),
                 format_size(snapshot.size_bytes), format_size(snapshot.added_bytes), state_of(snapshot)});
    if (listing.snapshots.empty())
      empty += fmt::format("tier {}: no snapshot at {}\n", listing.tier, io::shown(listing.destination));
  }
  return (table.empty() ? "" : table.to_text()) + empty;
}

std::string to_json(const std::vector<Listing>& listings) {
  std::string lines;
  for (const Listing& listing : listings)
    for (const Snapshot& snapshot : listing.snapshots) {
      Json json{{"schema", "reef.backup.list/1"}, {"tier", listing.tier}, {"destination", listing.destination}};
      json.update(members_of(snapshot));
      lines += (lines.empty() ? "" : "\n") + dump(json);
    }
  return lines;
}

std::string to_text(const std::vector<TierVerified>& verified) {
  std::string text;
  for (const TierVerified& tier : verified) {
    for (const Fault& fault : tier.report.faults) {
      text += fmt::format("tier {}: {}: {}\n", tier.tier, io::shown(fault.file), printable(fault.what));
      if (!fault.snapshots.empty()) text += fmt::format("  needed by {}\n", fmt::join(fault.snapshots, ", "));
      for (const std::string& path : fault.paths)
        text += fmt::format("  {} cannot be restored whole\n", io::shown(path));
    }
    const std::string read = tier.sample < 1 ? fmt::format("a sample of {:.3g} % of ", tier.sample * 100) : "";
    text += fmt::format("tier {} at {}: {}{} verified in {}, {}\n", tier.tier, io::shown(tier.destination), read,
                        counted(tier.report.snapshots, "snapshot"), format_duration(tier.duration),
                        tier.report.faults.empty() ? "no fault" : counted(tier.report.faults.size(), "fault"));
  }
  return text;
}

std::string to_json(const std::vector<TierVerified>& verified) {
  std::string lines;
  for (const TierVerified& tier : verified) {
    Json faults = Json::array();
    for (const Fault& fault : tier.report.faults)
      faults.push_back(
          {{"file", fault.file}, {"what", fault.what}, {"snapshots", fault.snapshots}, {"paths", fault.paths}});
    lines += (lines.empty() ? "" : "\n") + dump({{"schema", "reef.backup.verify/1"},
                                                 {"tier", tier.tier},
                                                 {"destination", tier.destination},
                                                 {"sample", tier.sample},
                                                 {"snapshots", tier.report.snapshots},
                                                 {"files", tier.report.files},
                                                 {"bytes", tier.report.bytes},
                                                 {"duration_ms", tier.duration.count()},
                                                 {"faults", std::move(faults)}});
  }
  return lines;
}

std::string to_text(const std::vector<TierPruned>& pruned) {
  std::string text;
  for (const TierPruned& tier : pruned) {
    if (tier.dry_run) {
      Table table({{"TIER"}, {"SNAPSHOT"}, {"TAKEN"}, {"STAYS"}});
      const std::string number = std::to_string(tier.tier);
      for (const Snapshot& snapshot : tier.report.removed)
        table.add({number, snapshot.id, short_time(snapshot.taken), "no"});
      for (std::size_t i = 0; i < tier.report.stayed.size(); ++i)
        table.add({number, tier.report.stayed[i].id, short_time(tier.report.stayed[i].taken),
                   i < tier.why.size() ? fmt::format("{}", fmt::join(tier.why[i].why, ", ")) : "yes"});
      if (!table.empty()) text += table.to_text();
      text += fmt::format("tier {}: {} to remove, none removed (dry run)\n", tier.tier,
                          counted(tier.report.removed.size(), "snapshot"));
      continue;
    }
    text +=
        tier.report.removed.empty()
            ? fmt::format("tier {}: already so; {} stay\n", tier.tier, counted(tier.report.stayed.size(), "snapshot"))
            : fmt::format("tier {}: removed {}, {} stay, {} freed\n", tier.tier,
                          counted(tier.report.removed.size(), "snapshot"), format_count(tier.report.stayed.size()),
                          format_size(tier.report.freed_bytes));
  }
  return text;
}

std::string to_json(const std::vector<TierPruned>& pruned) {
  std::string lines;
  for (const TierPruned& tier : pruned)
    lines += (lines.empty() ? "" : "\n") + dump({{"schema", "reef.backup.prune/1"},
                                                 {"tier", tier.tier},
                                                 {"destination", tier.destination},
                                                 {"dry_run", tier.dry_run},
                                                 {"changed", !tier.dry_run && !tier.report.removed.empty()},
                                                 {"removed", ids_of(tier.report.removed)},
                                                 {"stayed", ids_of(tier.report.stayed)},
                                                 {"freed_bytes", tier.report.freed_bytes}});
  return lines;
}

}  // namespace reef::backup
