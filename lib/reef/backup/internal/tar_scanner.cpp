#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>

#include "reef/backup/internal/tar_record.h"
#include "reef/backup/internal/ustar.h"
#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

/// Far more than paths of the longest sort take.
constexpr std::uint64_t kMostExtendedBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 62;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMostSeconds = INT64_MAX / kSecond - 1;

template <std::size_t N>
std::string text_of(const std::array<char, N>& field) {
  return {field.data(), ::strnlen(field.data(), N)};
}

/// nullopt for anything but octal digits, then spaces or zeros.
template <std::size_t N>
std::optional<std::uint64_t> octal_of(const std::array<char, N>& field) {
  const std::string text = text_of(field).substr(0, text_of(field).find(' '));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> decimal_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// "-1.5" to nanoseconds; digits below one are dropped.
std::optional<std::int64_t> time_of(std::string_view text) {
  const bool is_before = text.starts_with('-');
  if (is_before) text.remove_prefix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::optional<std::uint64_t> seconds = decimal_of(text.substr(0, point));
  std::string fraction(text.substr(std::min(point + 1, text.size())).substr(0, 9));
  fraction.resize(9, '0');
  const std::optional<std::uint64_t> nanoseconds = decimal_of(fraction);
  if (!seconds || !nanoseconds || *seconds > static_cast<std::uint64_t>(kMostSeconds)) return std::nullopt;
  const auto time = static_cast<std::int64_t>(*seconds) * kSecond + static_cast<std::int64_t>(*nanoseconds);
  return is_before ? -time : time;
}

bool is_zero(const std::array<std::uint8_t, kTarBlock>& block) {
  return std::all_of(block.begin(), block.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

struct TarScanner::Header {
  char type = 0;
  std::string name;
  std::string link;
  std::uint64_t mode = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::uint64_t size = 0;
  std::uint64_t seconds = 0;
  bool is_zero = false;  ///< a block of zeros, no header
};

struct TarScanner::Extended {
  std::map<std::string, std::string, std::less<>> values;

  bool has(std::string_view key) const { return values.find(key) != values.end(); }
  std::string text(std::string_view key, const std::string& otherwise) const {
    const auto found = values.find(key);
    return found != values.end() ? found->second : otherwise;
  }
  /// UINT64_MAX for a value that is no number, which is too large for anything.
  std::uint64_t number(std::string_view key, std::uint64_t otherwise) const {
    const auto found = values.find(key);
    return found != values.end() ? decimal_of(found->second).value_or(UINT64_MAX) : otherwise;
  }
};

void TarScanner::refuse(std::uint64_t offset, std::string_view what) const {
  throw Error(Errc::corrupt, fmt::format("{}: byte {} of the tar archive: {}", name_, offset, what));
}

TarScanner::Header TarScanner::read_header(std::uint64_t offset) const {
  if (offset > bytes_ || bytes_ - offset < kTarBlock) refuse(offset, "it ends without the blocks that end one");
  std::array<std::uint8_t, kTarBlock> block{};
  read_(offset, block);
  Header header;
  header.is_zero = is_zero(block);
  if (header.is_zero) return header;
  Ustar raw;
  std::memcpy(&raw, block.data(), sizeof raw);
  if (raw.magic != kUstarMagic) refuse(offset, "no header of a file");
  if (octal_of(raw.checksum) != checksum_of(raw)) refuse(offset, "the header's checksum is wrong");
  const auto mode = octal_of(raw.mode);
  const auto uid = octal_of(raw.uid);
  const auto gid = octal_of(raw.gid);
  const auto size = octal_of(raw.size);
  const auto seconds = octal_of(raw.mtime);
  if (!mode || !uid || !gid || !size || !seconds) refuse(offset, "a number in the header is none");
  header.type = raw.type;
  const std::string prefix = text_of(raw.prefix);
  header.name = (prefix.empty() ? "" : prefix + '/') + text_of(raw.name);
  header.link = text_of(raw.link);
  header.mode = *mode;
  header.uid = *uid;
  header.gid = *gid;
  header.size = *size;
  header.seconds = *seconds;
  return header;
}

void TarScanner::read_extended(const Header& header, std::uint64_t offset, Extended& into) const {
  const std::uint64_t begin = offset + kTarBlock;
  if (header.size > kMostExtendedBytes || bytes_ - begin < padded(header.size))
    refuse(offset, fmt::format("an extended header of {} bytes", header.size));
  std::string text(static_cast<std::size_t>(header.size), '\0');
  read_(begin, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    const std::optional<std::uint64_t> length = decimal_of(rest.substr(0, space));
    if (!length || *length > rest.size() || *length < space + 3 || rest[*length - 1] != '\n')
      refuse(offset, "a record of the extended header has another length than it says");
    const std::string_view record = rest.substr(space + 1, *length - space - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) refuse(offset, "a record of the extended header has no value");
    into.values[std::string(record.substr(0, equals))] = record.substr(equals + 1);
    rest.remove_prefix(*length);
  }
}

TarEntry TarScanner::entry_of(const Header& header, const Extended& extended, std::uint64_t content) const {
  TarEntry found;
  found.header = at_;
  found.data = content;
  Entry& entry = found.entry;
  const bool is_sparse = extended.has("GNU.sparse.major");
  entry.path = is_sparse ? extended.text("GNU.sparse.name", {}) : extended.text("path", header.name);
  if (header.type == '5' && entry.path.ends_with('/')) entry.path.pop_back();
  if (entry.path == "." && header.type == '5') entry.path.clear();
  if (!is_inner_path(entry.path) && !(entry.path.empty() && header.type == '5'))
    refuse(at_, "an entry that would lie outside of the tree");
  const std::uint64_t uid = extended.number("uid", header.uid);
  const std::uint64_t gid = extended.number("gid", header.gid);
  if (uid > UINT32_MAX || gid > UINT32_MAX || header.mode > 07777) refuse(at_, "an owner or a mode that cannot be");
  entry.uid = static_cast<std::uint32_t>(uid);
  entry.gid = static_cast<std::uint32_t>(gid);
  entry.mode = static_cast<std::uint32_t>(header.mode);
  const auto modified = time_of(extended.text("mtime", fmt::format("{}", header.seconds)));
  if (!modified) refuse(at_, "a time that cannot be");
  entry.modified_ns = *modified;
  const std::string link = extended.text("linkpath", header.link);
  const std::uint64_t size = extended.number("size", header.size);
  switch (header.type) {
    case '0':
      break;
    case '1':
      entry.same_file_as = link;
      if (!is_inner_path(link)) refuse(at_, "a hard link to what lies outside of the tree");
      break;
    case '2':
      entry.type = EntryType::link;
      entry.link_target = link;
      if (link.empty() || link.find('\0') != std::string::npos) refuse(at_, "a symbolic link to nowhere");
      break;
    case '5':
      entry.type = EntryType::folder;
      break;
    default:
      refuse(at_, "an entry of a kind that reef writes none of");
  }
  if (size > bytes_ - content || padded(size) > bytes_ - content)
    refuse(at_, fmt::format("a file of {} bytes, which are not there", size));
  if (header.type != '0' && (size != 0 || is_sparse)) refuse(at_, "content of what has none");
  entry.size_bytes = size;
  if (!is_sparse) return found;
  entry.size_bytes = extended.number("GNU.sparse.realsize", 0);
  if (extended.text("GNU.sparse.major", {}) != "1" || extended.text("GNU.sparse.minor", {}) != "0" ||
      entry.size_bytes > kMostFileBytes)
    refuse(at_, "a file with holes in a form that reef does not write");
  found.extents = read_sparse_map(read_, content, size, entry.size_bytes, found.data);
  if (found.extents.empty()) refuse(at_, "the map of a file with holes is damaged");
  return found;
}

bool TarScanner::is_end() const {
  if (bytes_ - at_ != kTarEndBytes) return false;
  std::array<std::uint8_t, kTarBlock> block{};
  read_(at_ + kTarBlock, block);
  return is_zero(block);
}

std::optional<TarEntry> TarScanner::next() {
  Header header = read_header(at_);
  if (header.is_zero) {
    if (!is_end()) refuse(at_, "blocks of zeros where an entry should be");
    return std::nullopt;
  }
  Extended extended;
  std::uint64_t offset = at_;
  if (header.type == 'x') {
    read_extended(header, offset, extended);
    offset += kTarBlock + padded(header.size);
    header = read_header(offset);
    if (header.is_zero || header.type == 'x') refuse(offset, "an extended header without an entry");
  }
  TarEntry found = entry_of(header, extended, offset + kTarBlock);
  at_ = found.data + padded(found.stored());
  return found;
}

}  // namespace reef::backup::internal
