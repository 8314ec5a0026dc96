#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/persona/internal/archive_record.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/internal/steps.h"
#include "reef/persona/rows.h"
#include "reef/session/turn_store.h"
#include "reef/tree/config.h"
#include "reef/tree/persona.h"
#include "reef/tree/persona_change.h"
#include "reef/tree/persona_edit.h"

namespace reef::persona::internal {
namespace {

constexpr std::uint64_t kLargestRecord = 16 << 20;

/// What is there already stays: originals bear the digest of what is in them, and all else was looked for before.
void bring_each(const fs::path& from, const fs::path& to) {
  if (!is_there(from)) return;
  for (const auto& entry : fs::directory_iterator(from)) {
    check_interrupt();
    bring(entry.path(), to / entry.path().filename());
  }
}

/// Gone from where it was staged: an earlier run brought it.
void bring_folder(const fs::path& from, const fs::path& to) {
  if (!is_there(from) || bring(from, to)) return;
  // On another filesystem it stays where it was staged, and is in its place from an earlier run.
  struct stat source {
  }, target{};
  if (::lstat(from.c_str(), &source) == 0 && ::lstat(to.c_str(), &target) == 0 && source.st_dev != target.st_dev)
    return;
  throw Error(Errc::failed, fmt::format("{} is in the way of what was imported", io::shown(to)),
              "move it elsewhere, and run the command again");
}

void bring_rows(const tree::Tree& tree, Shared which, const fs::path& copy, const std::string& persona) {
  if (!is_there(copy)) return;
  ReplaceOptions options;
  options.turns_come_too = true;
  replace_rows(tree, which, copy, persona, options);
}

void remove_staging(const fs::path& staging) {
  std::error_code error;
  fs::remove_all(staging, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(staging), error.message()));
}

}  // namespace

bool run_import(const tree::Tree& tree, const std::string& persona, const std::string& staging_name,
                std::chrono::milliseconds wait) {
  if (!io::is_temporary_name(staging_name) || staging_name.find('/') != std::string::npos)
    throw Error(Errc::corrupt, fmt::format("'{}' is no folder of an import", staging_name),
                "look at .reef-persona-change in the root of the tree");
  const fs::path staging = tree.root() / staging_name;
  if (!is_there(staging / kReady)) {
    const auto listed = tree::personas(tree::Config::load(tree, {"personas"}));
    const bool is_done = std::binary_search(listed.begin(), listed.end(), persona);  // that is the last step
    // A snapshot that was taken in the middle has no folder of what was staged, and may have parts of the persona.
    if (!is_done && !is_there(staging)) run_remove(tree, persona, false, wait, no_progress());
    remove_staging(staging);
    return is_done;
  }
  const auto record = parse_record(io::read_file(staging / kReady, kLargestRecord), io::shown(staging / kReady));
  {
    const auto locks = lock_stores(tree, persona, wait);
    bring_each(staging / "originals/raw", tree.raw());
    bring_each(staging / "originals/processed", tree.processed());
    bring_rows(tree, Shared::documents, staging / "documents.sqlite", persona);
    bring_rows(tree, Shared::conversations, staging / "conversations.sqlite", persona);
    bring_each(staging / "conversations", tree.conversations());
    bring_each(staging / "adapters", tree.models("adapters"));
    bring_folder(staging / "memories", tree.memories(persona));
    settle_memories(tree, persona);
    bring_folder(staging / "turns", tree.turns(persona));
    bring_folder(staging / "vectors", tree.vectors(tree::Scope::persona(persona)));
  }
  write_mapping(tree, persona, wait);
  if (session::TurnReader::exists(tree, persona)) session::TurnStore(tree, persona, wait).finish_run(false);
  tree::add_persona(tree, persona, record.section, wait);
  // Only what was not needed is left: the record goes first, so that a part is never taken for the whole.
  if (::unlink((staging / kReady).c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(staging / kReady));
  io::sync_directory(staging);
  tree::end_change(tree);
  remove_staging(staging);
  return true;
}

}  // namespace reef::persona::internal
