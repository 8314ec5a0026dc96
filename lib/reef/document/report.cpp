#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/document/bench.h"
#include "reef/document/build.h"
#include "reef/document/export.h"
#include "reef/document/given_vectors.h"
#include "reef/document/ingest.h"
#include "reef/document/reembed.h"
#include "reef/document/verify.h"

namespace reef::document {
namespace {

using Json = nlohmann::ordered_json;

std::string recall_text(const vector::RecallSample& recall, const char* index) {
  return fmt::format("recall@10 of {} of its vectors: {:.3f} by the {}, {:.3f} by all codes\n", recall.questions,
                     recall.graph, index, recall.codes);
}

Json recall_json(const std::optional<vector::RecallSample>& recall) {
  if (!recall) return nullptr;
  return {{"questions", recall->questions}, {"graph", recall->graph}, {"codes", recall->codes}};
}

std::string plan_text(const IngestReport& report) {
  Table table({{""}, {""}});
  for (const auto& path : report.add) table.add({"add", path});
  for (const auto& path : report.replace) table.add({"replace", path});
  for (const auto& path : report.remove) table.add({"remove", path});
  return table.to_text() + fmt::format("{} to take in, {} to remove, {} unchanged (dry run)\n",
                                       counted(report.add.size() + report.replace.size(), "file", "files"),
                                       report.remove.size(), format_count(report.unchanged));
}

}  // namespace

std::string to_text(const IngestReport& report) {
  if (report.dry_run) return plan_text(report);
  if (!report.changed() && report.faults.empty())
    return fmt::format("already so; {} unchanged\n", counted(report.files, "file", "files"));
  std::string text = fmt::format("{}: {} added", report.scope, counted(report.added, "document", "documents"));
  if (report.replaced > 0) text += fmt::format(", {} replaced", format_count(report.replaced));
  if (report.removed > 0) text += fmt::format(", {} removed", format_count(report.removed));
  if (report.unchanged > 0) text += fmt::format(", {} unchanged", counted(report.unchanged, "file", "files"));
  text += fmt::format("; {}", counted(report.chunks, "new chunk", "new chunks"));
  return text + fmt::format(" in {:.1f} s\n", report.seconds);
}

std::string to_json(const IngestReport& report) {
  Json faults = Json::array();
  for (const IngestFault& fault : report.faults)
    faults.push_back({{"path", fault.path}, {"line", fault.line}, {"reason", fault.reason}, {"hint", fault.hint}});
  Json out{{"schema", "reef.index.ingest/1"}, {"scope", report.scope},       {"changed", report.changed()},
           {"dry_run", report.dry_run},       {"files", report.files},       {"unchanged", report.unchanged},
           {"added", report.added},           {"replaced", report.replaced}, {"removed", report.removed},
           {"chunks", report.chunks},         {"embedded", report.embedded}, {"embed_seconds", report.embed_seconds},
           {"seconds", report.seconds},       {"rebuilt", report.rebuilt},   {"faults", std::move(faults)}};
  if (report.dry_run) out["plan"] = {{"add", report.add}, {"replace", report.replace}, {"remove", report.remove}};
  return dump(out);
}

std::string to_text(const RemoveReport& report) {
  std::string text;
  if (report.dry_run)
    for (const auto& name : report.removed) text += printable(name) + "\n";
  return text + fmt::format("{}: {} {}\n", report.scope, counted(report.removed.size(), "document", "documents"),
                            report.dry_run ? "to remove (dry run)" : "removed");
}

std::string to_json(const RemoveReport& report) {
  return dump({{"schema", "reef.index.remove/1"},
               {"scope", report.scope},
               {"changed", !report.dry_run && !report.removed.empty()},
               {"dry_run", report.dry_run},
               {"rebuilt", report.rebuilt},
               {"removed", report.removed},
               {"not_found", report.not_found}});
}

std::string to_text(const GivenReport& report) {
  std::string text;
  if (!report.changed()) {
    text = fmt::format("already so; {} unchanged\n", counted(report.unchanged, "document", "documents"));
  } else {
    text = fmt::format("{}: {} added", report.scope, counted(report.added, "document", "documents"));
    if (report.removed > 0) text += fmt::format(" in the place of {}", format_count(report.removed));
    if (report.replaced > 0) text += fmt::format(", {} replaced", format_count(report.replaced));
    if (report.unchanged > 0) text += fmt::format(", {} unchanged", format_count(report.unchanged));
    text += fmt::format("; {} dimensions, {}, in {:.1f} s\n", report.dim, printable(report.model), report.seconds);
  }
  if (report.recall) text += recall_text(*report.recall, "graph");
  return text;
}

std::string to_json(const GivenReport& report) {
  return dump({{"schema", report.replaced_all ? "reef.index.build/1" : "reef.index.add/1"},
               {"scope", report.scope},
               {"changed", report.changed()},
               {"vectors", report.vectors},
               {"model", report.model},
               {"dim", report.dim},
               {"rows", report.rows},
               {"added", report.added},
               {"replaced", report.replaced},
               {"unchanged", report.unchanged},
               {"removed", report.removed},
               {"normalised", report.stretched},
               {"rebuilt", report.rebuilt},
               {"generation", report.generation},
               {"recall_at_10", recall_json(report.recall)},
               {"seconds", report.seconds}});
}

std::string to_text(const ReembedReport& report) {
  std::string text = fmt::format("{}: {} embedded with {} in the place of {}, {} dimensions", report.scope,
                                 counted(report.chunks, "passage", "passages"), printable(report.model),
                                 printable(report.previous), report.dim);
  if (report.embedded < report.chunks)
    text += fmt::format(", {} out of the cache", format_count(report.chunks - report.embedded));
  if (report.removed > 0) text += fmt::format(", {} removed ones purged", format_count(report.removed));
  text += fmt::format("; generation {}, in {:.1f} s\n", report.generation, report.seconds);
  if (report.recall) text += recall_text(*report.recall, "graph");
  return text;
}

std::string to_json(const ReembedReport& report) {
  return dump({{"schema", "reef.index.build/1"},
               {"scope", report.scope},
               {"changed", true},
               {"generation", report.generation},
               {"rows", report.chunks},
               {"removed", report.removed},
               {"model", report.model},
               {"previous_model", report.previous},
               {"dim", report.dim},
               {"embedded", report.embedded},
               {"cut", report.cut},
               {"recall_at_10", recall_json(report.recall)},
               {"seconds", report.seconds}});
}

std::string to_text(const BuildReport& report) {
  const std::string index = report.index == vector::IndexKind::factory
                                ? fmt::format("index {}", printable(report.factory))
                                : std::string("graph");
  std::string text = fmt::format("{}: generation {}, {} in the {}", report.scope, report.generation,
                                 counted(report.rows, "vector", "vectors"), index);
  if (report.removed > 0) text += fmt::format(", {} removed ones purged", format_count(report.removed));
  text += fmt::format("; {} in {:.1f} s\n", format_size(report.bytes), report.seconds);
  if (report.recall)
    text += recall_text(*report.recall, report.index == vector::IndexKind::factory ? "index" : "graph");
  if (report.index == vector::IndexKind::float_graph) text += report.codes_lose + "\n";  // else a warning
  return text;
}

std::string to_json(const BuildReport& report) {
  Json recall = recall_json(report.recall);
  if (report.recall) {
    recall["asked"] = report.asked_recall;
    recall["reached"] = report.reaches_recall();
  }
  return dump({{"schema", "reef.index.build/1"},
               {"scope", report.scope},
               {"changed", true},
               {"generation", report.generation},
               {"index", vector::index_kind_name(report.index)},
               {"factory", report.factory.empty() ? Json(nullptr) : Json(report.factory)},
               {"reason", report.codes_lose.empty() ? Json(nullptr) : Json(report.codes_lose)},
               {"rows", report.rows},
               {"removed", report.removed},
               {"words_purged", report.words_purged},
               {"bytes", report.bytes},
               {"recall_at_10", recall},
               {"seconds", report.seconds}});
}

std::string to_text(const BenchReport& report) {
  Table table({{"EF", Align::right},
               {"RECALL@10", Align::right},
               {"P50 MS", Align::right},
               {"P99 MS", Align::right},
               {"PER SECOND", Align::right}});
  for (const BenchRow& row : report.widths)
    table.add({row.ef == 0 ? row.search : fmt::format("{}", row.ef), fmt::format("{:.4f}", row.recall),
               fmt::format("{:.3f}", row.p50_ms), fmt::format("{:.3f}", row.p99_ms),
               format_count(static_cast<std::uint64_t>(row.questions_per_second))});
  std::string text = fmt::format("{}: {} of {}, {} questions\n", report.scope,
                                 counted(report.rows, "vector", "vectors"), report.dim, report.questions);
  text += table.to_text();
  if (report.widths.size() == 1) return text + "there is no index: every search is a scan\n";
  if (report.widths.back().ef == 0)
    return text + fmt::format("the index {} {:.2f}\n",
                              report.widths.back().recall >= report.recall ? "reaches" : "does not reach",
                              report.recall);
  return text + (report.ef ? fmt::format("ef {} reaches {:.2f}\n", *report.ef, report.recall)
                           : fmt::format("no width reaches {:.2f}\n", report.recall));
}

std::string to_json(const BenchReport& report) {
  Json widths = Json::array();
  for (const BenchRow& row : report.widths)
    widths.push_back({{"search", row.search},
                      {"ef", row.ef == 0 ? Json(nullptr) : Json(row.ef)},
                      {"recall_at_10", row.recall},
                      {"p50_ms", row.p50_ms},
                      {"p99_ms", row.p99_ms},
                      {"questions_per_second", row.questions_per_second}});
  return dump({{"schema", "reef.index.bench/1"},
               {"scope", report.scope},
               {"vectors", report.rows},
               {"dim", report.dim},
               {"questions", report.questions},
               {"widths", widths},
               {"recall", report.recall},
               {"ef", report.ef ? Json(*report.ef) : Json(nullptr)}});
}

std::string to_text(const ExportReport& report) {
  return fmt::format("{}: {} in {}, {}\n", report.scope, counted(report.files.size(), "file", "files"),
                     printable(report.folder), format_size(report.bytes));
}

std::string to_json(const ExportReport& report) {
  return dump({{"schema", "reef.index.export/1"},
               {"scope", report.scope},
               {"folder", report.folder},
               {"generation", report.generation},
               {"files", report.files},
               {"bytes", report.bytes}});
}

std::string to_text(const VerifyReport& report) {
  std::string compared;
  for (const auto& [scope, index] : report.comparisons)
    compared += fmt::format("{}: FAISS reads {} of {} and {} {:.3f} of {}\n", scope, counted(index.rows, "row", "rows"),
                            index.file, index.by_factory ? "finds again" : "agrees with reef on", index.agreement,
                            index.by_factory ? fmt::format("{} vectors", index.questions)
                                             : fmt::format("the nearest of {} vectors", index.questions));
  if (report.with_faiss && compared.empty()) compared = "no scope has an index that FAISS could read\n";
  if (report.faults.empty()) {
    return fmt::format("sound: {}, {}, {}\n", counted(report.scopes.size(), "scope", "scopes"),
                       counted(report.documents, "document", "documents"),
                       counted(report.vectors, "vector", "vectors")) +
           compared;
  }
  Table table({{"SCOPE"}, {"FILE"}, {"FAULT"}, {"NEXT STEP"}});
  for (const VerifyFault& fault : report.faults) table.add({fault.scope, fault.file, fault.what, fault.next_step});
  return table.to_text() + compared;
}

std::string to_json(const VerifyReport& report) {
  Json faults = Json::array();
  for (const VerifyFault& fault : report.faults)
    faults.push_back({{"scope", fault.scope},
                      {"file", fault.file},
                      {"fault", fault.what},
                      {"next_step", fault.next_step},
                      {"mends_itself", fault.mends_itself}});
  Json compared = Json::array();
  for (const auto& [scope, index] : report.comparisons)
    compared.push_back({{"scope", scope},
                        {"file", index.file},
                        {"rows", index.rows},
                        {"questions", index.questions},
                        {"agreement", index.agreement}});
  return dump({{"schema", "reef.index.verify/1"},
               {"ok", report.faults.empty()},
               {"scopes", report.scopes},
               {"documents", report.documents},
               {"chunks", report.chunks},
               {"vectors", report.vectors},
               {"with_faiss", report.with_faiss ? compared : Json(nullptr)},
               {"faults", faults}});
}

std::string to_text(const StatReport& report) {
  Table table({{"SCOPE"},
               {"FILES", Align::right},
               {"DOCUMENTS", Align::right},
               {"CHUNKS", Align::right},
               {"VECTORS", Align::right},
               {"REMOVED", Align::right},
               {"INDEX"},
               {"INDEXED", Align::right},
               {"TAIL", Align::right},
               {"GENERATION", Align::right},
               {"DIM", Align::right},
               {"MODEL"},
               {"SIZE", Align::right}});
  for (const ScopeStat& scope : report.scopes)
    table.add({scope.scope, format_count(scope.files), format_count(scope.documents), format_count(scope.chunks),
               format_count(scope.vectors), format_count(scope.dead_rows),
               scope.factory.empty() ? vector::index_kind_name(scope.index) : printable(scope.factory),
               format_count(scope.indexed), format_count(scope.tail), fmt::format("{}", scope.generation),
               scope.dim > 0 ? fmt::format("{}", scope.dim) : "-", scope.model.empty() ? "-" : scope.model,
               format_size(scope.bytes)});
  return table.to_text();
}

std::string to_json(const StatReport& report) {
  Json scopes = Json::array();
  for (const ScopeStat& scope : report.scopes)
    scopes.push_back({{"scope", scope.scope},
                      {"parts", scope.parts},
                      {"generation", scope.generation},
                      {"files", scope.files},
                      {"failed", scope.failed},
                      {"documents", scope.documents},
                      {"chunks", scope.chunks},
                      {"text_only_chunks", scope.text_only},
                      {"vectors", scope.vectors},
                      {"dead_rows", scope.dead_rows},
                      {"index", vector::index_kind_name(scope.index)},
                      {"factory", scope.factory.empty() ? Json(nullptr) : Json(scope.factory)},
                      {"indexed", scope.indexed},
                      {"tail", scope.tail},
                      {"index_bytes", scope.index_bytes},
                      {"dim", scope.dim},
                      {"model", scope.model},
                      {"model_digest", scope.model_digest},
                      {"bytes", scope.bytes}});
  Json missing = Json::array();
  for (const tree::MissingStore& store : report.missing)
    missing.push_back({{"scope", store.scope},
                       {"shard", store.shard.empty() ? Json(nullptr) : Json(store.shard)},
                       {"folder", store.folder},
                       {"why", store.what}});
  return dump({{"schema", "reef.index.stat/1"}, {"root", report.root}, {"scopes", scopes}, {"missing", missing}});
}

}  // namespace reef::document
