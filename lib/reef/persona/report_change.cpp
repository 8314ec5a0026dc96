#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/persona/change.h"

namespace reef::persona {
namespace {

using Json = nlohmann::ordered_json;

Json steps_json(const std::vector<ChangeStep>& steps) {
  Json list = Json::array();
  for (const ChangeStep& step : steps)
    list.push_back({{"what", step.what}, {"path", step.path.string()}, {"count", step.count}, {"bytes", step.bytes}});
  return list;
}

Json finished_json(const Finished& finished) {
  if (!finished) return nullptr;
  return {{"kind", tree::kind_name(finished->change.kind)},
          {"persona", finished->change.persona},
          {"began", finished->change.began},
          {"undone", finished->undone}};
}

std::string steps_text(const std::vector<ChangeStep>& steps) {
  Table table({{"what"}, {"count", Align::right}, {"size", Align::right}, {"where"}});
  for (const ChangeStep& step : steps)
    table.add(
        {step.what, format_count(step.count), step.bytes == 0 ? "" : format_size(step.bytes), io::shown(step.path)});
  return table.to_text();
}

std::string finished_text(const Finished& finished) {
  if (!finished) return {};
  return fmt::format("{} what an earlier run began: to {} persona {}\n", finished->undone ? "undid" : "finished",
                     tree::kind_name(finished->change.kind), finished->change.persona);
}

}  // namespace

std::string to_json(const RenameReport& report) {
  return dump(Json{{"schema", "reef.persona.rename/1"},
                   {"persona", report.from},
                   {"to", report.to},
                   {"dry_run", report.dry_run},
                   {"changed", !report.dry_run && (!report.steps.empty() || report.finished.has_value())},
                   {"finished", finished_json(report.finished)},
                   {"steps", steps_json(report.steps)}});
}

std::string to_text(const RenameReport& report) {
  std::string text = finished_text(report.finished);
  if (report.steps.empty()) return text + fmt::format("already so: {} is there, {} is not\n", report.to, report.from);
  if (!report.dry_run) return text + fmt::format("renamed {} to {}\n", report.from, report.to);
  return text + steps_text(report.steps) +
         fmt::format("{} would become {}'s, none is yet (dry run)\n", counted(report.steps.size(), "part"), report.to);
}

std::string to_json(const RemoveReport& report) {
  return dump(Json{{"schema", "reef.persona.remove/1"},
                   {"persona", report.persona},
                   {"dry_run", report.dry_run},
                   {"changed", !report.dry_run && (!report.steps.empty() || report.finished.has_value())},
                   {"finished", finished_json(report.finished)},
                   {"steps", steps_json(report.steps)},
                   {"stays", report.stays},
                   {"words_purged", report.words_purged}});
}

std::string to_text(const RemoveReport& report) {
  std::string text = finished_text(report.finished);
  if (report.steps.empty()) return text + fmt::format("already so: there is nothing of {}\n", report.persona);
  text += steps_text(report.steps);
  for (const std::string& stays : report.stays) text += fmt::format("stays: {}\n", printable(stays));
  return text + (report.dry_run ? "nothing was removed (dry run)\n" : fmt::format("removed {}\n", report.persona));
}

}  // namespace reef::persona
