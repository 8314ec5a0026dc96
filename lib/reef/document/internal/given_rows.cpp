#include "reef/document/internal/given_rows.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::document::internal {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kLongestLine = 64 << 20;

using Json = nlohmann::json;

std::string as_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

/// Fills `row` from an object; returns why it cannot be used, or "".
std::string read_fields(const Json& object, GivenRow& row) {
  if (!object.is_object()) return "not a JSON object";
  const auto field = [&](const char* name) -> const Json& {
    static const Json kNone;
    const auto found = object.find(name);
    return found == object.end() ? kNone : *found;
  };
  const Json &id = field("id"), &text = field("text"), &title = field("title"), &tags = field("tags"),
             &created = field("created");
  if (!id.is_string() && !id.is_number_integer()) return "\"id\" is missing, or neither a string nor a whole number";
  if (!text.is_string()) return "\"text\" is missing or no string";
  if (!title.is_null() && !title.is_string()) return "\"title\" is no string";
  if (!created.is_null() && !created.is_string() && !created.is_number_integer()) return "\"created\" is no time";
  row.id = as_text(id);
  row.text = text.get<std::string>();
  row.title = title.is_null() ? "" : title.get<std::string>();
  if (row.id.empty()) return "\"id\" is empty";
  if (row.text.find_first_not_of(" \t\r\n") == std::string::npos) return "\"text\" is empty";
  row.tags.clear();
  if (tags.is_string()) row.tags.push_back(tags.get<std::string>());
  if (!tags.is_null() && !tags.is_string() && !tags.is_array()) return "\"tags\" is no list of strings";
  for (const Json& tag : tags.is_array() ? tags : Json::array()) {
    if (!tag.is_string()) return "\"tags\" is no list of strings";
    row.tags.push_back(tag.get<std::string>());
  }
  row.created.clear();
  row.unread_date.clear();
  if (created.is_null()) return "";
  const std::string date = created.is_string() ? created.get<std::string>() : "@" + created.dump();
  try {
    row.created = to_rfc3339(parse_time(date));
  } catch (const Error&) {
    row.unread_date = date;  // as in ingest: a document without a date is still a document
  }
  return "";
}

}  // namespace

std::string GivenRow::digest() const {
  io::Sha256 hash;
  const auto add = [&](std::string_view part) {
    hash.update(fmt::format("{} ", part.size()));
    hash.update(part);
  };
  add("vectors");
  add(id);
  add(title);
  add(created);
  for (const std::string& tag : tags) add(tag);
  add(text);
  return io::to_hex(hash.finish());
}

GivenRows::GivenRows(std::filesystem::path path)
    : path_(std::move(path)), fd_(io::open_regular(path_, "name a file with one JSON object a line")) {}

void GivenRows::rewind() {
  buffer_.clear();
  begin_ = 0;
  offset_ = number_ = 0;
}

bool GivenRows::next_line() {
  for (std::size_t searched = 0;;) {
    const std::string_view have = std::string_view(buffer_).substr(begin_);
    if (const auto end = have.find('\n', searched); end != std::string_view::npos) {
      line_ = have.substr(0, end);
      begin_ += end + 1;
      ++number_;
      return true;
    }
    searched = have.size();
    if (searched > kLongestLine)
      throw Error(Errc::failed, fmt::format("{}:{}: longer than 64 MiB", io::shown(path_), number_ + 1),
                  "one JSON object a line is expected; cut the text into several documents");
    buffer_.erase(0, begin_);
    begin_ = 0;
    buffer_.resize(searched + kBlock);
    const ssize_t count = ::pread(fd_.get(), buffer_.data() + searched, kBlock, static_cast<off_t>(offset_));
    if (count < 0 && errno != EINTR) throw_errno("read", io::shown(path_));
    check_interrupt();
    buffer_.resize(searched + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    offset_ += static_cast<std::uint64_t>(std::max<ssize_t>(count, 0));
    if (count != 0) continue;
    if (buffer_.empty()) return false;
    line_ = buffer_;  // the last line, without a line feed
    begin_ = buffer_.size();
    ++number_;
    return true;
  }
}

std::uint64_t GivenRows::count() {
  rewind();
  std::uint64_t lines = 0;
  while (next_line())
    if (line_.find_first_not_of(" \t\r") != std::string_view::npos) ++lines;
  rewind();
  return lines;
}

bool GivenRows::next(GivenRow& row) {
  do {
    if (!next_line()) return false;
  } while (line_.find_first_not_of(" \t\r") == std::string_view::npos);
  row.line = number_;
  const std::string fault = read_fields(Json::parse(to_valid_utf8(line_), nullptr, false), row);
  if (fault.empty()) return true;
  throw Error(Errc::failed, fmt::format("{}:{}: {}", io::shown(path_), number_, fault),
              "mend the line; nothing was changed");
}

}  // namespace reef::document::internal
