#include "reef/backup/internal/source_content.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "reef/core/cancel.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

/// More than any header that reef writes, or reads (vector/npy.h).
constexpr std::size_t kMostHeader = 1 << 16;
constexpr std::string_view kNpyMagic = "\x93NUMPY";

/// What is missing at the end of the file reads as zeros.
void pread_some(int fd, std::span<std::uint8_t> into, std::uint64_t offset, const std::string& shown) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read", shown);
    if (got == 0) {
      std::memset(into.data() + done, 0, into.size() - done);
      return;
    }
    done += static_cast<std::size_t>(got);
  }
}

std::string first_bytes(int fd, std::uint64_t size, const std::string& shown) {
  std::string bytes(std::min<std::uint64_t>(size, kMostHeader), '\0');
  pread_some(fd, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}, 0, shown);
  return bytes;
}

bool is_as_before(int fd, const struct stat& before) {
  struct stat now {};
  const auto same = [](const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; };
  return ::fstat(fd, &now) == 0 && now.st_size == before.st_size && same(now.st_mtim, before.st_mtim) &&
         (same(now.st_ctim, before.st_ctim) || now.st_nlink != before.st_nlink || now.st_mode != before.st_mode ||
          now.st_uid != before.st_uid || now.st_gid != before.st_gid);
}

/// Where a .npy header counts its rows: begin and length of the digits with the blanks before them, and where rows
/// begin.
struct RowField {
  std::size_t begin = 0, length = 0, data_offset = 0;
  std::uint64_t rows = 0;
};

/// Of a header as numpy and reef write it; nullopt for others.
std::optional<RowField> find_rows(const std::string& bytes) {
  if (!bytes.starts_with(kNpyMagic) || bytes.size() < 12) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  const std::size_t prefix = byte(6) == 1 ? 10 : 12;
  std::size_t length = byte(8) | byte(9) << 8;
  if (prefix == 12) length |= byte(10) << 16 | byte(11) << 24;
  if (length > bytes.size() - prefix) return std::nullopt;
  constexpr std::string_view kShape = "'shape': (";
  const std::string_view dictionary = std::string_view(bytes).substr(0, prefix + length);
  const std::size_t shape = dictionary.find(kShape, prefix);
  if (shape == std::string_view::npos) return std::nullopt;
  RowField field;
  field.begin = shape + kShape.size();
  const std::size_t digits = dictionary.find_first_not_of(' ', field.begin);
  if (digits == std::string_view::npos) return std::nullopt;
  const auto [end, status] =
      std::from_chars(dictionary.data() + digits, dictionary.data() + dictionary.size(), field.rows);
  if (status != std::errc{}) return std::nullopt;
  field.length = static_cast<std::size_t>(end - dictionary.data()) - field.begin;
  field.data_offset = prefix + length;
  return field;
}

}  // namespace

void SourceContent::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  try {
    read_source(offset, into);
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = error;
    throw;
  }
}

Counts SourceContent::finish() {
  try {
    return finish_source();
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = error;
    throw;
  }
}

std::optional<Error> SourceContent::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

PlainContent::PlainContent(io::UniqueFd fd, const struct stat& status, std::string shown, bool as_it_is)
    : fd_(std::move(fd)),
      before_(status),
      shown_(std::move(shown)),
      size_(static_cast<std::uint64_t>(status.st_size)),
      as_it_is_(as_it_is) {
  if (!shown_.ends_with(".npy")) return;
  if (const auto rows = npy_rows(first_bytes(fd_.get(), size_, shown_))) counts_.emplace_back("rows", *rows);
}

void PlainContent::read_source(std::uint64_t offset, std::span<std::uint8_t> into) const {
  pread_some(fd_.get(), into, offset, shown_);
}

std::uint64_t PlainContent::next_data(std::uint64_t offset) const {
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data >= 0) return std::min(static_cast<std::uint64_t>(data), size_);
  return errno == ENXIO ? size_ : offset;  // ENXIO: nothing but a hole up to the end
}

Counts PlainContent::finish_source() {
  if (!as_it_is_ && !is_as_before(fd_.get(), before_)) throw Changed{};
  return counts_;
}

RowsContent::RowsContent(io::UniqueFd fd, const struct stat& status, std::string shown, std::uint64_t rows,
                         std::uint64_t row_bytes, bool unchanging)
    : fd_(std::move(fd)), before_(status), shown_(std::move(shown)), rows_(rows), unchanging_(unchanging) {
  const auto in_file = static_cast<std::uint64_t>(status.st_size);
  header_ = first_bytes(fd_.get(), in_file, shown_);
  const auto field = find_rows(header_);
  if (!field)
    throw Error(Errc::corrupt, fmt::format("{} is damaged: it has no header of a .npy file", shown_),
                "restore it from a backup");
  const std::uint64_t whole_rows =
      row_bytes == 0 ? 0 : (in_file - std::min<std::uint64_t>(in_file, field->data_offset)) / row_bytes;
  if (whole_rows < rows)
    throw Error(Errc::corrupt,
                fmt::format("{} is damaged: it holds {} rows, and its store counts {}", shown_, whole_rows, rows),
                "restore it from a backup");
  size_ = field->data_offset + rows * row_bytes;
  is_whole_file_ = field->rows == rows && size_ == in_file;
  header_.resize(field->data_offset);
  const std::string digits = std::to_string(rows);
  if (digits.size() > field->length && field->rows != rows)
    throw Error(Errc::corrupt, fmt::format("{} is damaged: its header has no room for {} rows", shown_, rows),
                "restore it from a backup");
  if (field->rows != rows) header_.replace(field->begin, field->length, fmt::format("{:>{}}", digits, field->length));
}

void RowsContent::read_source(std::uint64_t offset, std::span<std::uint8_t> into) const {
  if (offset < header_.size()) {
    const auto part = into.first(std::min<std::size_t>(into.size(), header_.size() - offset));
    std::memcpy(part.data(), header_.data() + offset, part.size());
    into = into.subspan(part.size());
    offset += part.size();
  }
  io::pread_exact(fd_.get(), into.data(), into.size(), offset, shown_);
}

std::uint64_t RowsContent::next_data(std::uint64_t offset) const {
  if (offset < header_.size()) return offset;
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data >= 0) return std::min(static_cast<std::uint64_t>(data), size_);
  return errno == ENXIO ? size_ : offset;
}

Counts RowsContent::finish_source() {
  if (unchanging_ && !is_as_before(fd_.get(), before_)) throw Changed{};
  return {{"rows", rows_}};
}

Counts row_counts(io::Database& database) {
  std::vector<std::string> tables;
  auto list = database.prepare(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' "
      "ESCAPE '\\' ORDER BY name");
  while (list.step()) tables.emplace_back(list.text(0));
  list.reset();
  Counts counts;
  for (const std::string& table : tables) {
    check_interrupt();
    std::string quoted;
    for (const char c : table) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    try {
      auto count = database.prepare(fmt::format("SELECT count(*) FROM \"{}\"", quoted));
      if (count.step()) counts.emplace_back(table, static_cast<std::uint64_t>(count.integer(0)));
    } catch (const Error& error) {
      if (error.code() != Errc::failed) throw;  // of others' tables: a collation that is not built in
    }
  }
  return counts;
}

std::optional<std::uint64_t> npy_rows(const std::string& first_bytes) {
  const auto field = find_rows(first_bytes);
  return field ? std::optional(field->rows) : std::nullopt;
}

}  // namespace reef::backup::internal
