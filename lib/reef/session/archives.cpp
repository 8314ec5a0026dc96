#include "reef/session/archives.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/session/internal/own_format.h"

namespace reef::session {
namespace {

constexpr std::size_t kLongestName = 160;
constexpr std::string_view kDatabase = "conversations.sqlite";

bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

}  // namespace

std::string file_name_of(std::string_view session) {
  std::string name;
  const bool is_taken = session.starts_with('.') || session.starts_with(kDatabase);
  for (std::size_t i = 0; i < session.size(); ++i) {
    if (stands_for_itself(session[i]) && (i > 0 || !is_taken))
      name += session[i];
    else
      name += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(session[i])));
  }
  if (name.size() > kLongestName)
    name = fmt::format("{}~{}", name.substr(0, kLongestName), io::to_hex(io::sha256(session)));
  return name;
}

void Archives::require(const std::filesystem::path& file) {
  if (fd_ && open_ == file) return;
  try {
    fd_ = io::open_file(file, O_RDONLY);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::not_found, fmt::format("{}, where messages were archived, is not there", io::shown(file)),
                "mount the drive of the archive");
  }
  open_ = file;
}

std::string Archives::line(const std::filesystem::path& file, std::int64_t offset) {
  require(file);
  auto size = static_cast<std::int64_t>(io::file_size(fd_.get(), file));
  if (offset >= size) {  // another process has put a longer one in its place
    fd_.reset();
    require(file);
    size = static_cast<std::int64_t>(io::file_size(fd_.get(), file));
  }
  std::string line;
  bool begins = offset == 0;
  if (offset > 0 && offset < size) {
    char before = 0;
    io::pread_exact(fd_.get(), &before, 1, static_cast<std::uint64_t>(offset - 1), file);
    begins = before == '\n';
  }
  std::size_t piece = 4096;
  for (std::int64_t at = offset; begins && at < size; piece = std::min<std::size_t>(2 * piece, 8 << 20)) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(static_cast<std::int64_t>(piece), size - at));
    const std::size_t had = line.size();
    line.resize(had + count);
    io::pread_exact(fd_.get(), line.data() + had, count, static_cast<std::uint64_t>(at), file);
    at += static_cast<std::int64_t>(count);
    if (const auto end = line.find('\n', had); end != std::string::npos) {
      line.resize(end);
      return line;
    }
  }
  throw Error(Errc::corrupt, fmt::format("{} has no line at byte {}", io::shown(file), offset),
              "restore that file from a backup; see 'reef-session verify'");
}

std::string Archives::text(const std::filesystem::path& file, std::int64_t offset) {
  internal::OwnLine read = internal::read_own(line(file, offset));
  if (read.shape == internal::Shape::own && read.fault.empty()) return std::move(read.message.content);
  throw Error(Errc::corrupt, fmt::format("{} has no message at byte {}", io::shown(file), offset),
              "restore that file from a backup; see 'reef-session verify'");
}

}  // namespace reef::session
