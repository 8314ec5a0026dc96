#include "reef/session/verify.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/file.h"
#include "reef/session/internal/locks.h"
#include "reef/session/internal/own_format.h"
#include "reef/session/store.h"
#include "reef/session/summary.h"
#include "reef/session/turn_store.h"
#include "reef/tree/folders.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;
constexpr const char* kRestore = "restore conversations.sqlite from a backup";
constexpr const char* kRebuild = "run 'reef-session index --rebuild-words'";
constexpr std::size_t kNamed = 20;  ///< faults of one kind in one session's archive

/// A copy of the database in a folder of its own, removed at the end; of a killed run, by the next one.
class Copy {
 public:
  Copy(const tree::Tree& tree, io::Database& conversations)
      : folder_(io::temporary_name(conversations_file(tree))), file_(folder_ / "copy.sqlite") {
    fs::create_directory(folder_);
    fs::permissions(folder_, fs::perms::owner_all);
    try {
      conversations.prepare("VACUUM INTO ?").bind(1, file_.native()).run();
    } catch (...) {
      remove();
      throw;
    }
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { remove(); }
  const fs::path& file() const { return file_; }

 private:
  void remove() noexcept {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  fs::path folder_, file_;
};

class Check {
 public:
  Check(const tree::Tree& tree, const std::optional<std::string>& persona, Progress& progress, VerifyReport& report)
      : tree_(tree), persona_(persona), progress_(progress), report_(report), database_(read_conversations(tree)) {}

  void run() {
    if (const std::string broken = database_.integrity(); !broken.empty())
      return add("conversations.sqlite", "SQLite: " + broken, kRestore);
    check_references();
    Copy copy(tree_, database_);
    io::Database copied(copy.file(), io::OpenMode::write);
    copied.execute("PRAGMA trusted_schema = ON");
    check_sessions(copied);
    check_words(copied);
    check_folders();
  }

  /// Afterwards, when no lock of conversations is held.
  void check_turns(std::chrono::milliseconds wait) {
    std::vector<std::string> personas;
    auto rows = database_.prepare("SELECT DISTINCT persona_id FROM sessions ORDER BY 1");
    while (rows.step()) personas.emplace_back(rows.text(0));
    for (const std::string& persona : personas) {
      if ((persona_ && persona != *persona_) || !TurnReader::exists(tree_, persona)) continue;
      try {
        check_turns_of(persona, wait);
      } catch (const Error& error) {
        if (error.code() != Errc::locked) throw;
        report_.skipped.push_back({persona, error.what(), error.hint()});
      }
    }
  }

 private:
  void check_turns_of(const std::string& persona, std::chrono::milliseconds wait) {
    for (const vector::StoreFault& fault : verify_turns(tree_, persona, wait))
      add(fmt::format("vectors/conversations/{}/{}", persona, fault.file), fault.what,
          fault.mends_itself ? fmt::format("run 'reef-session index --persona {}', which mends it", persona)
                             : fault.next_step);
  }

  void add(std::string place, std::string what, std::string next_step) {
    report_.faults.push_back({std::move(place), std::move(what), std::move(next_step)});
  }

  void check_references() {
    auto rows = database_.prepare("SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1");
    while (rows.step())
      add("conversations.sqlite", fmt::format("{} rows of {} refer to nothing", rows.integer(1), rows.text(0)),
          kRestore);
    for (std::string& fault : summary_faults(database_))
      add("conversations.sqlite", std::move(fault),
          "forget it: 'UPDATE sessions SET summary = NULL', and 'reef-memory consolidate' writes it again");
    auto unnumbered = database_.prepare(
        "SELECT count(*) FROM sessions WHERE persona_id NOT IN (SELECT persona_id FROM persona_numbers)");
    if (unnumbered.step() && unnumbered.integer(0) > 0)
      add("conversations.sqlite", fmt::format("{} sessions of personas without a number", unnumbered.integer(0)),
          kRebuild);
  }

  /// Texts of archived messages are put into the copy, for its words to be compared with.
  void check_sessions(io::Database& copied) {
    const auto sessions = list_sessions(database_);
    progress_.begin("verifying", sessions.size(), ProgressUnit::items);
    io::Transaction filling(copied);
    for (const SessionRow& session : sessions) {
      check_interrupt();
      ids_.insert(file_name_of(session.id));
      const bool is_wanted = !persona_ || session.persona == *persona_;
      if (is_wanted) {
        ++report_.sessions;
        report_.messages += session.messages;
        report_.archived += session.archived;
      }
      if (session.archived > 0) check_archive(session, is_wanted, copied);
      progress_.advance(1);
    }
    filling.commit();
    progress_.end();
  }

  void check_archive(const SessionRow& session, bool is_wanted, io::Database& copied) {
    const std::string place = io::shown(session.archive_file);
    try {
      archives_.require(session.archive_file);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      has_all_texts_ = false;
      if (is_wanted)
        add(place, fmt::format("not there, and session '{}' is archived in it", printable(session.id)),
            "mount the drive of the archive, or restore the file from a backup");
      return;
    }
    auto rows = database_.prepare(
        "SELECT id, role, content, archive_offset, external_id FROM messages"
        " WHERE session_id = ? AND archive_offset IS NOT NULL");
    auto fill = copied.prepare("UPDATE messages SET content = ? WHERE id = ?");
    rows.bind(1, session.id);
    std::size_t faults = 0;
    while (rows.step()) {
      check_interrupt();
      std::string wrong;
      try {
        const auto line = internal::read_own(archives_.line(session.archive_file, rows.integer(3)));
        if (!line.fault.empty() || line.shape != internal::Shape::own || line.message.session != session.id ||
            line.message.external_id != rows.text(4) || line.message.role != rows.text(1))
          wrong = fmt::format("byte {} is not the beginning of message {}", rows.integer(3), rows.integer(0));
        else
          fill.bind(1, line.message.content).bind(2, rows.integer(0)).run();
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt) throw;
        wrong = error.what();
      }
      if (wrong.empty() && !rows.text(2).empty()) wrong = fmt::format("message {} has a text, too", rows.integer(0));
      if (wrong.empty()) continue;
      has_all_texts_ = false;
      if (is_wanted && ++faults <= kNamed) add(place, wrong, "restore the file from a backup");
    }
    if (faults > kNamed) add(place, fmt::format("{} more of the kind", faults - kNamed), "");
  }

  void check_words(io::Database& copied) {
    // With texts missing, the words can be compared with themselves alone.
    auto check = copied.prepare("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', ?)");
    try {
      check.bind(1, has_all_texts_ ? 1 : 0).run();
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      add("conversations.sqlite", "the full text is not that of the messages", kRebuild);
    }
  }

  void check_folders() {
    std::vector<std::string> unknown;
    for (const auto& entry : fs::directory_iterator(tree_.conversations())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("conversations.sqlite") || name == ".lock" || ids_.contains(name)) continue;
      if (io::is_temporary_name(name)) continue;  // the copy that this run looks at
      check_interrupt();
      unknown.push_back(name);
    }
    if (unknown.empty()) return;
    // Some may be of sessions that were made since these were listed.
    auto ids = database_.prepare("SELECT id FROM sessions");
    while (ids.step()) ids_.insert(file_name_of(ids.text(0)));
    for (const std::string& name : unknown)
      if (!ids_.contains(name)) add(io::shown(name), "belongs to no session", "remove it, or move it elsewhere");
  }

  const tree::Tree& tree_;
  const std::optional<std::string>& persona_;
  Progress& progress_;
  VerifyReport& report_;
  io::Database database_;
  Archives archives_;
  std::set<std::string> ids_;  ///< of all sessions, as names of folders
  bool has_all_texts_ = true;
};

}  // namespace

VerifyReport verify(const tree::Tree& tree, const std::optional<std::string>& persona, std::chrono::milliseconds wait,
                    Progress& progress) {
  VerifyReport report;
  read_conversations(tree);
  Check check(tree, persona, progress, report);
  {
    const auto lock = internal::lock_conversations(tree, wait);
    check.run();
  }
  check.check_turns(wait);
  return report;
}

}  // namespace reef::session
