#include "reef/session/internal/own_format.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/session/internal/json_text.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

enum class Field { ignored, session, role, speaker, content, created, id, tokens, metadata, title, summary };

struct Key {
  std::string_view name;
  Field field;
};
constexpr std::array<Key, 10> kKeys{{{"session", Field::session},
                                     {"role", Field::role},
                                     {"speaker", Field::speaker},
                                     {"content", Field::content},
                                     {"created_at", Field::created},
                                     {"id", Field::id},
                                     {"tokens", Field::tokens},
                                     {"metadata", Field::metadata},
                                     {"title", Field::title},
                                     {"summary", Field::summary}}};

std::string_view name_of(Field field) {
  for (const Key& key : kKeys)
    if (key.field == field) return key.name;
  return "";
}

/// Keys by which other forms are told.
std::optional<Shape> shape_of(std::string_view key) {
  if (key == "messages") return Shape::openai;
  if (key == "mapping") return Shape::chatgpt;
  if (key == "mes") return Shape::tavern_message;
  if (key == "user_name" || key == "chat_metadata") return Shape::tavern_header;
  return std::nullopt;
}

/// Events of one line, without a tree of it: this is where an import spends its time.
class Events {
 public:
  OwnLine line;
  bool has_content = false;
  bool names_session = false, names_content = false;  ///< such a key is there

  bool null() {
    if (writer_.depth() > 0) return literal("null");
    if (depth_ == 0) return plain();
    if (depth_ > 1) return true;
    if (field_ == Field::session || field_ == Field::role || field_ == Field::content)
      return wrong(fmt::format("{} is null", name_of(field_)));
    return true;  // as if the key were not there
  }
  bool boolean(bool value) {
    if (in_metadata()) return literal(value ? "true" : "false");
    return depth_ == 0 ? plain() : unexpected();
  }
  bool number_integer(json::number_integer_t value) { return number(std::to_string(value), true); }
  bool number_unsigned(json::number_unsigned_t value) { return number(std::to_string(value), true); }
  bool number_float(json::number_float_t, const std::string& text) { return number(text, false); }
  bool string(std::string& value);
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open('{'); }
  bool end_object() { return close('}'); }
  bool start_array(std::size_t) { return open('['); }
  bool end_array() { return close(']'); }
  bool key(std::string& name);
  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    wrong(json_fault(error.what(), position));
    return false;
  }

 private:
  bool in_metadata() const { return depth_ == 1 && field_ == Field::metadata; }
  bool plain() {
    wrong("not a JSON object");
    return false;
  }
  /// The first fault counts, and the look goes on: a key that comes later may tell that it is another form.
  bool wrong(std::string reason) {
    if (line.fault.empty()) line.fault = std::move(reason);
    return true;
  }
  /// A value of the wrong type: ignored within what is ignored.
  bool unexpected() {
    if (depth_ > 1 || field_ == Field::ignored) return true;
    const bool counts = field_ == Field::tokens;
    return wrong(fmt::format("{} is {}", name_of(field_), counts ? "no count" : "no text"));
  }
  bool literal(std::string_view text) {
    writer_.scalar(text);
    return end_of_metadata();
  }
  bool end_of_metadata() {
    if (writer_.depth() == 0) line.message.metadata = writer_.take();
    return true;
  }
  bool number(const std::string& text, bool is_whole);
  bool open(char bracket);
  bool close(char bracket);

  std::size_t depth_ = 0;  ///< without what is open in the metadata
  Field field_ = Field::ignored;
  JsonWriter writer_;
};

bool Events::key(std::string& name) {
  if (writer_.depth() > 0) {
    writer_.key(name);
    return true;
  }
  if (depth_ > 1) return true;
  field_ = Field::ignored;
  for (const Key& key : kKeys) {
    if (key.name != name) continue;
    field_ = key.field;
    names_session |= field_ == Field::session;
    names_content |= field_ == Field::content;
    return true;
  }
  if (const auto other = shape_of(name)) {
    line.shape = *other;
    return false;
  }
  return true;
}

bool Events::string(std::string& value) {
  if (in_metadata()) {
    writer_.string(value);
    return end_of_metadata();
  }
  if (depth_ == 0) return plain();
  if (depth_ > 1) return true;
  NewMessage& message = line.message;
  switch (field_) {
    case Field::session:
      message.session = std::move(value);
      break;
    case Field::role:
      message.role = std::move(value);
      break;
    case Field::speaker:
      message.speaker = std::move(value);
      break;
    case Field::content:
      message.content = std::move(value);
      has_content = true;
      break;
    case Field::created:
      message.created = database_time(value);
      if (message.created.empty()) return wrong(fmt::format("created_at '{}' is not a time", value.substr(0, 40)));
      break;
    case Field::id:
      message.external_id = std::move(value);
      break;
    case Field::title:
      message.title = std::move(value);
      break;
    case Field::summary:
      message.summary = std::move(value);
      break;
    case Field::tokens:
      return unexpected();
    case Field::ignored:
    case Field::metadata:
      break;
  }
  return true;
}

bool Events::number(const std::string& text, bool is_whole) {
  // A column JSON makes a number of SQLite's out of one that stands alone: other digits than came.
  if (in_metadata()) return literal(writer_.depth() == 0 ? "{\"value\":" + text + "}" : text);
  if (depth_ == 0) return plain();
  if (depth_ > 1) return true;
  switch (field_) {
    case Field::session:
      line.message.session = text;
      return true;
    case Field::id:
      line.message.external_id = text;
      return true;
    case Field::created: {
      double seconds = 0;
      std::from_chars(text.data(), text.data() + text.size(), seconds);
      line.message.created = database_time_of_number(seconds);
      if (line.message.created.empty()) return wrong(fmt::format("created_at {} is not a time in seconds", text));
      return true;
    }
    case Field::tokens: {
      std::int64_t count = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
      if (!is_whole || error != std::errc{} || count < 0) return unexpected();
      line.message.tokens = count;
      return true;
    }
    default:
      return unexpected();
  }
}

bool Events::open(char bracket) {
  if (in_metadata()) {
    writer_.open(bracket);
    if (writer_.depth() <= kDeepestJson) return true;
    wrong(fmt::format("nested deeper than {}", kDeepestJson));
    return false;
  }
  if (depth_ == 0 && bracket != '{') return plain();
  if (depth_ == 1) unexpected();
  ++depth_;
  return true;
}

bool Events::close(char bracket) {
  if (writer_.depth() > 0) {
    writer_.close(bracket);
    return end_of_metadata();
  }
  --depth_;
  return true;
}

/// RFC 3339 of what ISO 8601 allows beside it: no seconds, "+0100", "+01". In `completed`, if it is not `text` itself.
std::string_view as_rfc3339(std::string_view text, std::string& completed) {
  constexpr std::size_t kMinute = std::string_view("2026-01-01T08:00").size();
  if (text.size() < kMinute || text[kMinute - 3] != ':') return text;
  const std::size_t sign = text.find_last_of("+-");
  std::string_view offset = sign < kMinute ? "" : text.substr(sign);
  const bool has_seconds = text.size() > kMinute && text[kMinute] == ':';
  const bool is_short = (offset.size() == 3 || offset.size() == 5) && offset.find(':') == std::string_view::npos;
  if (has_seconds && !is_short) return text;
  if (!has_seconds && text.size() > kMinute && std::string_view("Zz+-").find(text[kMinute]) == std::string_view::npos)
    return text;
  completed = text;
  if (is_short) completed.insert(sign + 3, offset.size() == 3 ? ":00" : ":");
  if (!has_seconds) completed.insert(kMinute, ":00");
  return completed;
}

}  // namespace

std::string database_time_of_seconds(double seconds) {
  return std::isfinite(seconds) ? database_time(fmt::format("@{:.3f}", seconds)) : "";
}

std::string database_time_of_number(double number) {
  constexpr double kFirstOfMilliseconds = 1e11;  // as seconds: the year 5138
  return database_time_of_seconds(number >= kFirstOfMilliseconds ? number / 1000 : number);
}

std::string database_time(std::string_view text) {
  constexpr std::size_t kFewestDigits = 9;  // fewer are a year, or a day without its dashes
  if (text.find_first_not_of("0123456789.") == std::string_view::npos && text.find('.') >= kFewestDigits &&
      text.size() >= kFewestDigits) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? database_time_of_number(number) : "";
  }
  try {
    std::string completed;
    return to_database_time(parse_time(as_rfc3339(text, completed)));
  } catch (const Error&) {
    return {};
  }
}

OwnLine read_own(std::string_view line) {
  Events events;
  const bool whole = json::sax_parse(line.data(), line.data() + line.size(), &events);
  OwnLine& out = events.line;
  out.is_bare = whole && !out.message.role.empty() && events.names_content && !events.names_session;
  if (out.shape != Shape::own || !out.fault.empty()) return std::move(out);
  if (!whole)
    out.fault = "not a JSON object";
  else if (out.message.session.empty())
    out.fault = "session is missing";
  else if (out.message.role.empty())
    out.fault = "role is missing";
  else if (!events.has_content)
    out.fault = "content is missing";
  return std::move(out);
}

void write_own(std::string& out, const Message& message, const OwnExport& place) {
  std::string repaired;
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!is_valid_utf8(value)) value = repaired = to_valid_utf8(value);
    out += key;
    append_json_string(out, value);
  };
  text("{\"session\":", message.session);
  text(",\"role\":", message.role);
  if (!message.speaker.empty()) text(",\"speaker\":", message.speaker);
  text(",\"content\":", message.content);
  text(",\"created_at\":", rfc3339_of(message.created));
  if (!message.external_id.empty()) text(",\"id\":", message.external_id);
  if (message.tokens) out += fmt::format(",\"tokens\":{}", *message.tokens);
  if (!message.metadata.empty()) {
    const auto json = compact_json(message.metadata);
    if (json)
      out += ",\"metadata\":" + *json;
    else
      text(",\"metadata\":", message.metadata);  // what another program put there
  }
  if (place.is_first && !place.session->title.empty()) text(",\"title\":", place.session->title);
  // What a language model wrote can be made again, and would be a person's in the tree that imports it.
  if (place.is_first && !place.session->summary.empty() && place.session->summary_model.empty())
    text(",\"summary\":", place.session->summary);
  out += "}\n";
}

}  // namespace reef::session::internal
