#include "reef/recover/rebuild.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "reef/core/cancel.h"
#include "reef/document/build.h"
#include "reef/document/store.h"
#include "reef/session/turn_store.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPersonas = "vectors/personas/";
constexpr std::string_view kTurns = "vectors/conversations/";
constexpr std::string_view kShared = "vectors/shared/";

/// The name between `prefix` and the next slash.
std::optional<std::string> name_below(const std::string& path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  const std::size_t end = path.find('/', prefix.size());
  if (end == std::string::npos) return std::nullopt;
  return path.substr(prefix.size(), end - prefix.size());
}

void rebuild_scope(const tree::Tree& tree, const tree::Scope& scope, bool index, const RebuildOptions& options,
                   Progress& progress) {
  {
    // Opening it for writing makes codes again, and the end of a run all that is named after them.
    document::Store store(tree.vectors(scope), scope, options.wait);
    store.finish_run();
  }
  if (!index) return;
  document::BuildOptions build;
  build.scope = scope;
  build.threads = options.threads;
  build.wait = options.wait;
  document::build(tree, build, progress);
}

void rebuild_turns(const tree::Tree& tree, const std::string& persona, bool index, const RebuildOptions& options,
                   Progress& progress) {
  session::TurnStore store(tree, persona, options.wait);
  if (index) store.rebuild(options.threads, progress);
  store.finish_run(false);
}

}  // namespace

std::vector<std::string> rebuild(const tree::Tree& tree, const CheckReport& report, const RebuildOptions& options,
                                 Progress& progress) {
  std::map<std::string, bool> stores;  // by folder: whether the index is to be built
  for (const CheckFault& fault : report.faults) {
    if (!fault.is_derived || !fault.file.starts_with("vectors/")) continue;
    const std::string name = fs::path(fault.file).filename().string();
    bool& index = stores[fs::path(fault.file).parent_path().string() + "/"];
    index = index || name.starts_with("index.") || name == "metadata.sqlite";
  }
  std::vector<std::string> done;
  for (const auto& [folder, index] : stores) {
    check_interrupt();
    const char* const what = index ? "index built again" : "codes and names made again";
    if (const auto persona = name_below(folder, kPersonas))
      rebuild_scope(tree, tree::Scope::persona(*persona), index, options, progress);
    else if (const auto of_turns = name_below(folder, kTurns))
      rebuild_turns(tree, *of_turns, index, options, progress);
    else if (folder == kShared)
      rebuild_scope(tree, tree::Scope::shared(), index, options, progress);
    else
      continue;
    done.push_back(fmt::format("{}: {}", folder, what));
  }
  return done;
}

}  // namespace reef::recover
