#include "reef/session/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/session/internal/archive_file.h"
#include "reef/session/internal/attachments.h"
#include "reef/session/internal/locks.h"
#include "reef/session/internal/turns.h"
#include "reef/tree/archive_folder.h"
#include "reef/tree/folders.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;
using internal::Placed;

/// storage.archive. A drive that is not mounted leaves an empty folder in its place.
fs::path require_archive(const tree::Tree& tree, const tree::Config& config, io::Database& conversations) {
  fs::path folder = tree::archive_folder(tree, config);
  auto earlier = conversations.prepare(
      "SELECT DISTINCT archive_file FROM sessions s JOIN messages m ON m.session_id = s.id"
      " WHERE m.archive_offset IS NOT NULL");
  while (earlier.step()) {
    const fs::path file(std::string(earlier.text(0)));
    if (!file.native().starts_with(folder.native() + "/") || fs::exists(file)) continue;
    throw Error(Errc::not_found, fmt::format("{}, which was archived there, is not in the archive", io::shown(file)),
                "mount its drive, or restore that file from a backup");
  }
  return folder;
}

/// The dot of ".jsonl" at the end of an id is written as %2E: attachments lie in a folder that is called by the name
/// without its ending, which must not be another session's file.
std::string archive_name_of(const std::string& session) {
  constexpr std::string_view kEnding = ".jsonl";
  std::string name = file_name_of(session);
  if (name.ends_with(kEnding)) name.replace(name.size() - kEnding.size(), 1, "%2E");
  return name + std::string(kEnding);
}

class Archiver {
 public:
  /// `store` is null for a dry run.
  Archiver(const tree::Tree& tree, const ArchiveOptions& options, Store* store, fs::path archive)
      : tree_(tree), options_(options), store_(store), archive_(std::move(archive)) {}

  ArchivedSession run(const SessionRow& row) {
    ArchivedSession out;
    out.id = row.id;
    out.persona = row.persona;
    out.messages = row.messages - row.archived;
    try {
      archive(row, out);
    } catch (const std::exception&) {
      Error error = current_error();
      if (error.code() == Errc::interrupted) throw;
      out.failure = std::move(error);
    }
    return out;
  }

 private:
  void archive(const SessionRow& row, ArchivedSession& out) {
    const fs::path folder = archive_ / "conversations" / row.persona;
    out.file = row.archive_file.empty() ? folder / archive_name_of(row.id) : fs::path(row.archive_file);
    const fs::path attachments = internal::attachments_folder(tree_, row.id);
    const bool has_attachments = fs::exists(fs::symlink_status(attachments));
    out.attachments = internal::count_files(attachments);
    out.has_changed = out.messages > 0 || has_attachments;
    if (store_ == nullptr || !out.has_changed) return;
    tree::make_folders(out.file.parent_path());
    const auto lock = internal::lock_archive(out.file, options_.wait);
    const auto placed = internal::write_archive_file(store_->database(), row, out.file);
    if (has_attachments) internal::copy_files(attachments, fs::path(out.file).replace_extension());
    if (!placed.empty() || has_attachments) record_name(row, out.file);
    record(placed);
    if (has_attachments) internal::remove_folder(attachments);
  }

  /// By the name, whoever deletes the session finds its attachments, too.
  void record_name(const SessionRow& row, const fs::path& file) {
    io::Transaction transaction(store_->database());
    auto name = store_->database().prepare("UPDATE sessions SET archive_file = ? WHERE id = ?");
    name.bind(1, file.native()).bind(2, row.id).run();
    transaction.commit();
  }

  /// The texts leave the database; their words stay. One that was changed since it was written stays, too.
  void record(const std::vector<Placed>& placed) {
    io::Database& database = store_->database();
    auto content = database.prepare("SELECT content FROM messages WHERE id = ? AND archive_offset IS NULL");
    auto empty = database.prepare("UPDATE messages SET content = '', archive_offset = ? WHERE id = ?");
    for (std::size_t next = 0; next < placed.size();) {
      check_interrupt();
      if (next > 0) internal::Turn::of_others();
      io::Transaction transaction(database);
      const internal::Turn turn;
      do {
        const Placed& message = placed[next];
        content.reset().bind(1, message.id);
        const bool is_same = content.step() && internal::content_mark(content.text(0)) == message.content_mark;
        content.reset();
        if (is_same) empty.bind(1, message.offset).bind(2, message.id).run();
      } while (++next < placed.size() && !turn.is_over());
      transaction.commit();
    }
  }

  const tree::Tree& tree_;
  const ArchiveOptions& options_;
  Store* store_;
  const fs::path archive_;
};

std::vector<SessionRow> wanted_sessions(const tree::Tree& tree, const tree::Config& config,
                                        const ArchiveOptions& options, io::Database& conversations) {
  std::vector<SessionRow> rows;
  if (!options.sessions.empty()) {
    for (const std::string& id : std::set<std::string>(options.sessions.begin(), options.sessions.end()))
      rows.push_back(require_session(conversations, id));
    return rows;
  }
  const auto age =
      options.older_than.value_or(std::chrono::hours(24) * config.count("system", "session.archive_after_days"));
  const std::string before = to_database_time(now() - age);
  for (SessionRow& row : list_sessions(conversations)) {
    const bool is_old = row.messages > 0 && row.last < before;
    const bool has_more =
        row.archived < row.messages || fs::exists(fs::symlink_status(internal::attachments_folder(tree, row.id)));
    if (is_old && has_more) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::size_t ArchiveReport::failures() const {
  return static_cast<std::size_t>(
      std::count_if(sessions.begin(), sessions.end(), [](const auto& session) { return session.failure.has_value(); }));
}

ArchiveReport archive_sessions(const tree::Tree& tree, const tree::Config& config, const ArchiveOptions& options,
                               Progress& progress) {
  io::Database conversations = read_conversations(tree);  // nothing is made where there are none
  std::optional<io::LockFile> lock;
  std::optional<Store> store;
  if (!options.dry_run) {
    lock.emplace(internal::lock_conversations(tree, options.wait));
    store.emplace(tree);
  }
  Archiver archiver(tree, options, store ? &*store : nullptr, require_archive(tree, config, conversations));
  const auto rows = wanted_sessions(tree, config, options, conversations);
  ArchiveReport report;
  report.dry_run = options.dry_run;
  progress.begin("archiving", rows.size(), ProgressUnit::items);
  for (const SessionRow& row : rows) {
    check_interrupt();
    report.sessions.push_back(archiver.run(row));
    progress.advance(1);
  }
  progress.end();
  if (report.sessions.size() == 1 && report.sessions.front().failure) throw Error(*report.sessions.front().failure);
  if (store) store->empty_log();  // the texts leave the log, too
  return report;
}

}  // namespace reef::session
