#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/tree/init.h"
#include "reef/tree/mount_cache.h"

namespace reef::tree {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string to_text(const InitPlan& plan) {
  if (plan.steps.empty()) return fmt::format("already so; 0 changes to {}\n", plan.root);
  Table table({{""}, {""}});
  for (const InitStep& step : plan.steps)
    table.add({step.path + (step.kind == InitStep::Kind::folder ? "/" : ""), step.about});
  const std::string count = fmt::format("{} {}", plan.steps.size(), plan.steps.size() == 1 ? "change" : "changes");
  if (!plan.applied) return table.to_text() + fmt::format("{}, none applied (dry run)\n", count);
  return fmt::format("{} to {}\n", count, plan.root);
}

std::string to_json(const InitPlan& plan) {
  Json steps = Json::array();
  for (const InitStep& step : plan.steps)
    steps.push_back({{"kind", step.kind == InitStep::Kind::folder ? "folder" : "file"},
                     {"path", step.path},
                     {"about", step.about}});
  return dump({{"schema", "reef.init/1"},
               {"root", plan.root},
               {"changed", plan.applied && !plan.steps.empty()},
               {"applied", plan.applied},
               {"steps", steps}});
}

std::string to_text(const CacheMount& mount) {
  if (mount.about.empty()) return fmt::format("already so; {} is in memory\n", io::shown(mount.path));
  if (!mount.applied)
    return fmt::format("tmpfs at {} ({}): {}\n1 change, none applied (dry run)\n", io::shown(mount.path), mount.about,
                       mount.options);
  return fmt::format(
      "a tmpfs of {} is mounted at {} until the machine is restarted; '--mount-unit' is for every start\n",
      format_size(mount.size_bytes), io::shown(mount.path));
}

std::string to_json(const CacheMount& mount) {
  return dump({{"schema", "reef.init.mount/1"},
               {"path", mount.path},
               {"size_bytes", mount.size_bytes},
               {"options", mount.options},
               {"about", mount.about},
               {"unit", mount.unit_name},
               {"changed", mount.applied && !mount.about.empty()},
               {"applied", mount.applied}});
}

std::string to_text(const MountUnit& unit) {
  if (unit.file.empty()) return unit.content;
  const std::string next = fmt::format("systemctl daemon-reload && systemctl enable --now '{}'", unit.mount.unit_name);
  if (!unit.has_changed) return fmt::format("already so; {}\n", io::shown(unit.file));
  if (!unit.applied) return unit.content + fmt::format("{}: 1 change, none applied (dry run)\n", io::shown(unit.file));
  return fmt::format("wrote {}; next: {}\n", io::shown(unit.file), next);
}

std::string to_json(const MountUnit& unit) {
  return dump({{"schema", "reef.init.mount_unit/1"},
               {"unit", unit.mount.unit_name},
               {"file", unit.file},
               {"content", unit.content},
               {"changed", unit.applied && unit.has_changed},
               {"applied", unit.applied}});
}

std::string to_text(const CheckReport& report) {
  if (report.faults.empty()) return fmt::format("{}: as it should be\n", report.root);
  Table table({{"PATH"}, {"FAULT"}, {"NEXT STEP"}});
  for (const CheckFault& fault : report.faults) table.add({fault.path, fault.what, fault.hint});
  return table.to_text();
}

std::string to_json(const CheckReport& report) {
  Json faults = Json::array(), values = Json::array();
  for (const CheckFault& fault : report.faults)
    faults.push_back({{"path", fault.path}, {"fault", fault.what}, {"hint", fault.hint}});
  for (const auto& [key, value] : report.values) {
    const auto colon = key.find(": ");
    Json entry{{"file", key.substr(0, colon)},
               {"key", key.substr(colon + 2)},
               {"value", value.text},
               {"origin", value.origin}};
    if (!value.items.empty()) entry["value"] = value.items;
    values.push_back(std::move(entry));
  }
  return dump({{"schema", "reef.init.check/1"},
               {"root", report.root},
               {"ok", report.faults.empty()},
               {"faults", faults},
               {"values", values}});
}

}  // namespace reef::tree
