#include "reef/session/export.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>

#include "reef/core/cancel.h"
#include "reef/io/file.h"
#include "reef/session/internal/ordinals.h"
#include "reef/session/internal/own_format.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPieceBytes = 1 << 20;

/// The file to write: behind a symbolic link its target, never over a device.
fs::path output_file(const ExportOptions& options) {
  fs::path output = options.output;
  if (!fs::exists(output)) return output;
  if (!fs::is_regular_file(output))
    throw Error(Errc::usage, fmt::format("{} is not a regular file", io::shown(output)),
                "name a file to write, or - for standard output");
  if (!options.force)
    throw Error(Errc::usage, fmt::format("{} exists already", io::shown(output)), "pass --force to replace it");
  return fs::canonical(output);
}

std::vector<SessionRow> wanted_sessions(io::Database& conversations, const ExportOptions& options) {
  if (options.sessions.empty()) return list_sessions(conversations, options.persona);
  std::vector<SessionRow> rows;
  for (const std::string& id : std::set<std::string>(options.sessions.begin(), options.sessions.end())) {
    rows.push_back(require_session(conversations, id));
    if (options.persona && rows.back().persona != *options.persona)
      throw Error(Errc::usage, fmt::format("session '{}' is {}'s", id, rows.back().persona), "");
  }
  return rows;
}

}  // namespace

ExportReport export_conversations(const tree::Tree& tree, const ExportOptions& options,
                                  const std::function<void(std::string_view)>& to_stdout, Progress& progress) {
  ExportReport report;
  report.output = options.output;
  const fs::path target = options.output == "-" ? fs::path() : output_file(options);
  io::Database conversations = read_conversations(tree);
  const io::Transaction moment(conversations, io::Transaction::Kind::read);
  const auto rows = wanted_sessions(conversations, options);
  std::unique_ptr<io::StagedFile> file;
  if (!target.empty()) {
    io::remove_stale_of(target);
    file = std::make_unique<io::StagedFile>(target);
  }
  std::string out;
  const auto write = [&] {
    report.bytes += out.size();
    if (file)
      file->write(out);
    else
      to_stdout(out);
    out.clear();
  };
  Archives archives;
  progress.begin("exporting", rows.size(), ProgressUnit::items);
  for (const SessionRow& row : rows) {
    check_interrupt();
    try {
      if (row.archived > 0) archives.require(row.archive_file);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      report.missing.emplace_back(row.id, error);
      continue;
    }
    internal::OwnExport place{&row, true};
    internal::Ordinals ordinals;
    read_messages(
        conversations, archives, row.id,
        [&](Message& message) {
          // Other programs give no ids; an import would, and the next export would differ from this one.
          if (message.external_id.empty()) message.external_id = ordinals.digest_of(message);
          internal::write_own(out, message, place);
          place.is_first = false;
          ++report.messages;
          if (out.size() >= kPieceBytes) write();
        },
        [&](const Error& damaged) {
          if (report.missing.empty() || report.missing.back().first != row.id)
            report.missing.emplace_back(row.id, damaged);
        });
    ++report.sessions;
    progress.advance(1);
  }
  write();
  progress.end();
  if (file && options.force)
    file->commit();
  else if (file && !file->commit_new())
    throw Error(Errc::usage, fmt::format("{} exists already", io::shown(target)), "pass --force to replace it");
  return report;
}

}  // namespace reef::session
