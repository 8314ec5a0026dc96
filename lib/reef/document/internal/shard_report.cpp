#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/document/shard_moves.h"

namespace reef::document {
namespace {

using Json = nlohmann::ordered_json;

/// Of a move, or what is left of one.
Json persona_of(const std::string& persona) { return persona.empty() ? Json(nullptr) : Json(persona); }

std::string places(const std::vector<std::string>& shards) {
  return shards.empty() ? "tree" : counted(shards.size(), "shard", "shards");
}

std::string note_of(const ShardPersona& persona) {
  std::string note = persona.in_reach ? "" : "out of reach";
  if (persona.place == "elsewhere") note = "behind a link of your own";
  if (persona.in_reach && persona.place != "none" && persona.place != "elsewhere" && persona.place != persona.wanted)
    note = "to move";
  if (persona.pinned) note += note.empty() ? "pinned" : ", pinned";
  return note;
}

}  // namespace

std::string to_text(const ShardReport& report) {
  Table shards({{"SHARD"},
                {"STATE"},
                {"PERSONAS", Align::right},
                {"VECTORS", Align::right},
                {"SIZE", Align::right},
                {"SHARED", Align::right},
                {"SIZE", Align::right},
                {"FREE", Align::right},
                {"PATH"}});
  for (const ShardRow& row : report.shards)
    shards.add({row.id.empty() ? "tree" : row.id, row.state, format_count(row.personas), format_count(row.vectors),
                format_size(row.bytes), format_count(row.shared_vectors), format_size(row.shared_bytes),
                row.state == "missing" ? "-" : format_size(row.free_bytes), row.path});
  std::string text = shards.to_text();
  if (report.personas.empty()) return text;
  Table personas({{"PERSONA"}, {"SHARD"}, {"WANTED"}, {"VECTORS", Align::right}, {"SIZE", Align::right}, {"NOTE"}});
  for (const ShardPersona& row : report.personas)
    personas.add({row.persona, row.place, row.wanted, row.in_reach ? format_count(row.vectors) : "-",
                  row.in_reach ? format_size(row.bytes) : "-", note_of(row)});
  return text + "\n" + personas.to_text();
}

std::string to_json(const ShardReport& report) {
  Json shards = Json::array(), personas = Json::array();
  for (const ShardRow& row : report.shards) {
    Json entry{{"id", row.id.empty() ? Json(nullptr) : Json(row.id)},
               {"path", row.path},
               {"state", row.state},
               {"free_bytes", row.state == "missing" ? Json(nullptr) : Json(row.free_bytes)},
               {"personas", row.personas},
               {"vectors", row.vectors},
               {"bytes", row.bytes},
               {"shared_vectors", row.shared_vectors},
               {"shared_bytes", row.shared_bytes}};
    if (!row.why.empty()) entry["why"] = row.why;
    shards.push_back(std::move(entry));
  }
  for (const ShardPersona& row : report.personas)
    personas.push_back({{"id", row.persona},
                        {"shard", row.place},
                        {"wanted", row.wanted},
                        {"folder", row.folder},
                        {"in_reach", row.in_reach},
                        {"pinned", row.pinned},
                        {"vectors", row.vectors},
                        {"bytes", row.bytes}});
  return dump({{"schema", "reef.index.shards/1"}, {"root", report.root}, {"shards", shards}, {"personas", personas}});
}

std::string to_text(const ShardPlan& plan) {
  std::uint64_t moves = 0, bytes = 0, relinked = 0;
  Table table({{"PERSONA"}, {"FROM"}, {"TO"}, {"SIZE", Align::right}});
  for (const ShardMove& move : plan.moves) {
    (move.relink ? relinked : moves) += 1;
    bytes += move.bytes;
    table.add({move.persona.empty() ? "(shared)" : move.persona, move.from, move.to,
               move.relink ? "link only" : format_size(move.bytes)});
  }
  if (plan.split) {
    ++moves;
    bytes += plan.split->bytes;
    table.add({"(shared)", places(plan.split->from), places(plan.split->to), format_size(plan.split->bytes)});
  }
  std::string text;
  if (!plan.applied) {
    if (!table.empty()) text += table.to_text();
    for (const ShardLeftover& leftover : plan.leftovers)
      text += fmt::format("remove {}, left of an ended move\n", printable(leftover.path.string()));
  }
  const bool nothing = moves + relinked + plan.leftovers.size() == 0;
  if (nothing && plan.unmoved.empty()) return text + "already so; 0 moves\n";
  text += fmt::format("{}, {}", counted(moves, "move", "moves"), format_size(bytes));
  if (relinked > 0) text += fmt::format("; {} mended", counted(relinked, "link", "links"));
  if (!plan.leftovers.empty())
    text += fmt::format("; {} removed", counted(plan.leftovers.size(), "leftover", "leftovers"));
  return text + (plan.applied ? "\n" : "; nothing done yet (dry run)\n");
}

std::string to_json(const ShardPlan& plan) {
  Json moves = Json::array(), leftovers = Json::array(), unmoved = Json::array(), shortfalls = Json::array();
  for (const ShardMove& move : plan.moves)
    moves.push_back({{"persona", persona_of(move.persona)},
                     {"from", move.from},
                     {"to", move.to},
                     {"from_folder", move.from_folder.string()},
                     {"to_folder", move.to_folder.string()},
                     {"bytes", move.bytes},
                     {"link_only", move.relink}});
  Json shared;
  if (plan.split) shared = {{"from", plan.split->from}, {"to", plan.split->to}, {"bytes", plan.split->bytes}};
  for (const ShardLeftover& leftover : plan.leftovers)
    leftovers.push_back({{"persona", persona_of(leftover.persona)}, {"path", leftover.path.string()}});
  for (const UnmovedPersona& persona : plan.unmoved)
    unmoved.push_back({{"persona", persona_of(persona.persona)}, {"why", persona.why}, {"next_step", persona.hint}});
  for (const Shortfall& shortfall : plan.shortfalls)
    shortfalls.push_back({{"shard", shortfall.shard},
                          {"path", shortfall.path},
                          {"needed_bytes", shortfall.needed_bytes},
                          {"free_bytes", shortfall.free_bytes}});
  return dump({{"schema", "reef.index.shard_moves/1"},
               {"root", plan.root},
               {"changed", plan.applied && (plan.split || plan.moves.size() + plan.leftovers.size() > 0)},
               {"applied", plan.applied},
               {"moves", moves},
               {"shared", shared},
               {"leftovers", leftovers},
               {"unmoved", unmoved},
               {"shortfalls", shortfalls}});
}

}  // namespace reef::document
