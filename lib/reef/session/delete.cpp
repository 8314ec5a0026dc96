#include "reef/session/delete.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/cancel.h"
#include "reef/io/file.h"
#include "reef/session/internal/attachments.h"
#include "reef/session/internal/locks.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;

/// Empty where there are none. An earlier archive may have another session's file of that name.
fs::path archived_attachments(const SessionRow& row) {
  fs::path folder = fs::path(row.archive_file).replace_extension();
  return fs::is_directory(folder) ? folder : fs::path();
}

/// Where the session's archive is; a drive that is not mounted leaves an empty folder in its place.
void require_archive(const SessionRow& row) {
  const fs::path folder = fs::path(row.archive_file).parent_path();
  if (!fs::exists(folder))
    throw Error(Errc::not_found, fmt::format("{}, where the session was archived, is not there", io::shown(folder)),
                "mount the drive of the archive; or make that folder, if it is gone for good");
}

DeletedSession plan(const tree::Tree& tree, const SessionRow& row) {
  DeletedSession out;
  out.id = row.id;
  out.persona = row.persona;
  out.messages = row.messages;
  out.archive_file = row.archive_file;
  out.attachments = internal::count_files(internal::attachments_folder(tree, row.id));
  if (!row.archive_file.empty()) out.attachments += internal::count_files(archived_attachments(row));
  return out;
}

void remove(const tree::Tree& tree, Store& store, const SessionRow& row, const DeleteOptions& options,
            DeletedSession& out) {
  try {
    std::optional<io::LockFile> lock;
    const bool has_archive = !row.archive_file.empty();
    if (has_archive) {
      require_archive(row);
      if (row.archived > 0) store.archives().require(row.archive_file);
      lock.emplace(internal::lock_archive(row.archive_file, options.wait));
    }
    // The session goes last: while it is there, the next run finds what this one leaves.
    const auto remove_files = [&] {
      internal::remove_folder(internal::attachments_folder(tree, row.id));
      if (!has_archive) return;
      if (const fs::path folder = archived_attachments(row); !folder.empty()) internal::remove_folder(folder);
      internal::remove_file(row.archive_file);
    };
    if (options.only_empty)
      store.remove_empty_session(row.id, remove_files);
    else
      store.remove_session(row.id, remove_files);
  } catch (const std::exception&) {
    Error error = current_error();
    if (error.code() == Errc::interrupted) throw;
    out.failure = std::move(error);
  }
}

}  // namespace

std::size_t DeleteReport::failures() const {
  return static_cast<std::size_t>(
      std::count_if(sessions.begin(), sessions.end(), [](const auto& session) { return session.failure.has_value(); }));
}

DeleteReport delete_sessions(const tree::Tree& tree, const DeleteOptions& options, Progress& progress) {
  DeleteReport report;
  report.plan_only = options.plan_only;
  std::optional<io::LockFile> lock;
  std::vector<SessionRow> rows;
  {
    io::Database conversations = read_conversations(tree);
    if (!options.plan_only) lock.emplace(internal::lock_conversations(tree, options.wait));
    for (const std::string& id : std::set<std::string>(options.sessions.begin(), options.sessions.end())) {
      auto row = find_session(conversations, id);
      if (row) {
        report.sessions.push_back(plan(tree, *row));
        rows.push_back(*std::move(row));
      } else {
        report.not_found.push_back(id);
      }
    }
    if (rows.empty()) require_session(conversations, report.not_found.front());
  }
  if (options.plan_only) return report;
  Store store(tree);
  progress.begin("deleting", rows.size(), ProgressUnit::items);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    check_interrupt();
    remove(tree, store, rows[i], options, report.sessions[i]);
    progress.advance(1);
  }
  progress.end();
  if (!options.only_empty) {  // else nothing was said in them
    store.merge_words();
    store.empty_log();
  }
  if (rows.size() == 1 && report.sessions.front().failure) throw Error(*report.sessions.front().failure);
  return report;
}

}  // namespace reef::session
