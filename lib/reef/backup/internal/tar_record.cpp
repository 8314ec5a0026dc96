#include "reef/backup/internal/tar_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "reef/backup/internal/ustar.h"
#include "reef/core/text.h"

namespace reef::backup::internal {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
template <std::size_t N>
void put_text(std::array<char, N>& field, std::string_view text) {
  std::memcpy(field.data(), text.data(), std::min(N, text.size()));
}

/// Octal digits and a byte of zero. False, and zero is written, for what has more digits.
template <std::size_t N>
bool put_octal(std::array<char, N>& field, std::uint64_t value) {
  const bool fits = value < std::uint64_t{1} << (3 * (N - 1));
  const std::string digits = fmt::format("{:0{}o}", fits ? value : 0, N - 1);
  put_text(field, digits);
  return fits;
}

void append_header(std::string& out, Ustar& header) {
  header.magic = kUstarMagic;
  put_octal(header.major, 0);
  put_octal(header.minor, 0);
  const std::string sum = fmt::format("{:06o}", checksum_of(header));
  std::memcpy(header.checksum.data(), sum.data(), sum.size());
  header.checksum[6] = '\0';
  header.checksum[7] = ' ';
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
}

/// "LENGTH KEY=VALUE\n", the length being that of all of it.
void append_record(std::string& out, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest > length) ++length;
  out += fmt::format("{} {}={}\n", length, key, value);
}

/// "-1.5" for a time that long before the epoch.
std::string pax_time(std::int64_t nanoseconds) {
  const std::uint64_t size =
      nanoseconds < 0 ? 0 - static_cast<std::uint64_t>(nanoseconds) : static_cast<std::uint64_t>(nanoseconds);
  const std::uint64_t fraction = size % kSecond;
  std::string text = fmt::format("{}{}", nanoseconds < 0 ? "-" : "", size / kSecond);
  if (fraction != 0) text += fmt::format(".{:09}", fraction);
  return text;
}

/// Where the path parts into prefix and name: npos where neither fits.
std::size_t split_of(std::string_view path) {
  if (path.size() <= kNameBytes) return 0;
  // Not at the end of a folder's name: what is left must not be empty.
  const std::size_t from = std::min(path.size() - 2, kPrefixBytes);
  const std::size_t slash = path.rfind('/', from);
  if (slash == std::string_view::npos || slash == 0 || path.size() - slash - 1 > kNameBytes)
    return std::string_view::npos;
  return slash;
}

char type_of(const Entry& entry) {
  if (entry.type == EntryType::folder) return '5';
  if (entry.type == EntryType::link) return '2';
  return entry.same_file_as.empty() ? '0' : '1';
}

/// The name of a header whose true one stands elsewhere: for programs that know no extended headers.
std::string stand_in(std::string_view folder, std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return fmt::format("{}/{}", folder, path.substr(slash == std::string_view::npos ? 0 : slash + 1))
      .substr(0, kNameBytes);
}

/// Bytes that are no UTF-8 have to be announced where they stand in an extended header: libarchive tells of a failure
/// otherwise. GNU tar takes names as they are, and says that it does not know the word.
bool needs_charset(const std::string& extended_text) { return !is_valid_utf8(extended_text); }

void append_extended(std::string& out, const Entry& entry, const std::string& records) {
  Ustar header;
  put_text(header.name, stand_in("PaxHeaders", entry.path));
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, records.size());
  put_octal(header.mtime, static_cast<std::uint64_t>(std::max<std::int64_t>(entry.modified_ns, 0) / kSecond));
  header.type = 'x';
  append_header(out, header);
  out += records;
  out.resize(out.size() + padded(records.size()) - records.size(), '\0');
}

}  // namespace

bool is_inner_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

void append_tar_headers(std::string& out, const Entry& entry, const std::vector<Extent>& extents) {
  Ustar header;
  std::string records;
  std::string name = entry.path.empty() ? "." : entry.path;
  if (entry.type == EntryType::folder) name += '/';
  const bool is_sparse = !extents.empty();
  std::uint64_t size = entry.type == EntryType::file && entry.same_file_as.empty() ? entry.size_bytes : 0;
  if (is_sparse) {
    size = stored_bytes(extents) + sparse_map(extents).size();
    append_record(records, "GNU.sparse.major", "1");
    append_record(records, "GNU.sparse.minor", "0");
    append_record(records, "GNU.sparse.name", name);
    append_record(records, "GNU.sparse.realsize", fmt::format("{}", entry.size_bytes));
    put_text(header.name, stand_in("GNUSparseFile.0", entry.path));
  } else if (const std::size_t split = split_of(name); split == std::string_view::npos) {
    append_record(records, "path", name);
    put_text(header.name, name);
  } else if (split > 0) {
    put_text(header.prefix, std::string_view(name).substr(0, split));
    put_text(header.name, std::string_view(name).substr(split + 1));
  } else {
    put_text(header.name, name);
  }
  const std::string& target = entry.type == EntryType::link ? entry.link_target : entry.same_file_as;
  put_text(header.link, target);
  if (target.size() > kNameBytes) append_record(records, "linkpath", target);
  if (needs_charset(records)) {
    std::string announced;
    append_record(announced, "hdrcharset", "BINARY");
    records.insert(0, announced);
  }
  if (!put_octal(header.size, size)) append_record(records, "size", fmt::format("{}", size));
  if (!put_octal(header.uid, entry.uid)) append_record(records, "uid", fmt::format("{}", entry.uid));
  if (!put_octal(header.gid, entry.gid)) append_record(records, "gid", fmt::format("{}", entry.gid));
  const bool is_whole = entry.modified_ns >= 0 && entry.modified_ns % kSecond == 0;
  if (!put_octal(header.mtime, static_cast<std::uint64_t>(std::max<std::int64_t>(entry.modified_ns, 0) / kSecond)) ||
      !is_whole)
    append_record(records, "mtime", pax_time(entry.modified_ns));
  put_octal(header.mode, entry.mode & 07777U);
  header.type = type_of(entry);
  if (!records.empty()) append_extended(out, entry, records);
  append_header(out, header);
}

}  // namespace reef::backup::internal
