#include "reef/session/internal/archive_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <unordered_map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/session/internal/attachments.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/own_format.h"

namespace reef::session::internal {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPieceBytes = 1 << 20;

using Lines = std::unordered_map<std::uint64_t, std::int64_t>;  // mark of a line to where it begins

/// Of lines as the file has them, with their ends. A file that ends within a line is none of ours.
Lines lines_of(const fs::path& file) {
  Lines lines;
  if (!fs::exists(file)) return lines;
  Input input(file);
  while (const auto line = input.next_line())
    lines.emplace(content_mark(line->bytes), static_cast<std::int64_t>(line->offset));
  return lines;
}

class Writer {
 public:
  Writer(const fs::path& file, std::uint64_t old_bytes) : file_(file), staged_(file), offset_(old_bytes) {
    if (old_bytes == 0) return;
    const io::UniqueFd old = io::open_file(file, O_RDONLY);
    std::string piece(kPieceBytes, '\0');
    for (std::uint64_t at = 0; at < old_bytes; at += piece.size()) {
      check_interrupt();
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, old_bytes - at)));
      io::pread_exact(old.get(), piece.data(), piece.size(), at, file);
      write(piece);
    }
  }

  /// Returns where it begins.
  std::int64_t append(const std::string& line) {
    const auto at = static_cast<std::int64_t>(offset_);
    offset_ += line.size();
    waiting_ += line;
    if (waiting_.size() >= kPieceBytes) flush();
    return at;
  }

  void publish() {
    flush();
    io::sync_file(staged_.fd(), staged_.temporary_path());
    require_readable(staged_.temporary_path(), digest_.finish(), file_);
    staged_.commit();
  }

 private:
  void write(const std::string& bytes) {
    digest_.update(bytes);
    staged_.write(bytes);
  }
  void flush() {
    write(waiting_);
    waiting_.clear();
  }

  const fs::path& file_;
  io::StagedFile staged_;
  io::Sha256 digest_;
  std::uint64_t offset_;
  std::string waiting_;
};

}  // namespace

std::uint64_t content_mark(std::string_view content) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
}

std::vector<Placed> write_archive_file(io::Database& conversations, const SessionRow& session, const fs::path& file) {
  const Lines there = lines_of(file);
  std::uint64_t known = 0;
  std::vector<Placed> placed;
  std::unique_ptr<Writer> writer;
  auto rows = conversations.prepare(
      "SELECT id FROM messages WHERE session_id = ? AND archive_offset IS NULL"
      " ORDER BY created_at, id");
  rows.bind(1, session.id);
  OwnExport place{&session, session.archived == 0};
  Archives none;
  std::string line;
  while (rows.step()) {
    check_interrupt();
    auto message = read_message(conversations, none, rows.integer(0));
    // Of a text that is no UTF-8 (another program's), the archive would have other words than the full text.
    if (!message || message->archive_offset || !is_valid_utf8(message->content)) continue;
    line.clear();
    write_own(line, *message, place);
    place.is_first = false;
    const auto at = there.find(content_mark(std::string_view(line).substr(0, line.size() - 1)));
    if (at != there.end()) ++known;
    if (at == there.end() && !writer) writer = std::make_unique<Writer>(file, there.empty() ? 0 : fs::file_size(file));
    placed.push_back(
        {message->id, at != there.end() ? at->second : writer->append(line), content_mark(message->content)});
  }
  if (session.archive_file.empty() && known < there.size())
    throw Error(Errc::usage, fmt::format("{} is there, and holds other messages", io::shown(file)),
                "move it elsewhere; nothing was changed");
  if (writer) {
    writer->publish();
  } else if (!there.empty()) {  // a killed run may have left it in memory alone
    io::sync_file(io::open_file(file, O_RDONLY).get(), file);
    io::sync_directory(file.parent_path());
  }
  return placed;
}

}  // namespace reef::session::internal
