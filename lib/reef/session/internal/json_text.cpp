#include "reef/session/internal/json_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/text.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

class CompactEvents {
 public:
  JsonWriter writer;

  bool null() { return literal("null"); }
  bool boolean(bool value) { return literal(value ? "true" : "false"); }
  bool number_integer(json::number_integer_t value) { return literal(std::to_string(value)); }
  bool number_unsigned(json::number_unsigned_t value) { return literal(std::to_string(value)); }
  bool number_float(json::number_float_t, const std::string& text) { return literal(text); }
  bool string(std::string& value) {
    writer.string(value);
    return true;
  }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open('{'); }
  bool end_object() { return close('}'); }
  bool start_array(std::size_t) { return open('['); }
  bool end_array() { return close(']'); }
  bool key(std::string& name) {
    writer.key(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception&) { return false; }

 private:
  bool literal(std::string_view text) {
    writer.scalar(text);
    return true;
  }
  bool open(char bracket) {
    writer.open(bracket);
    return writer.depth() <= kDeepestJson;
  }
  bool close(char bracket) {
    writer.close(bracket);
    return true;
  }
};

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // where the part begins that is taken as it is
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += fmt::format("\\u{:04x}", c);
    }
  }
  out.append(text, plain);
  out += '"';
}

void JsonWriter::begin_value() {
  if (after_key_) {
    after_key_ = false;
  } else if (!first_.empty()) {
    if (!first_.back()) out_ += ',';
    first_.back() = false;
  }
}

void JsonWriter::key(std::string_view name) {
  begin_value();
  append_json_string(out_, name);
  out_ += ':';
  after_key_ = true;
}

void JsonWriter::open(char bracket) {
  begin_value();
  out_ += bracket;
  first_.push_back(true);
}

void JsonWriter::close(char bracket) {
  out_ += bracket;
  first_.pop_back();
}

std::optional<std::string> compact_json(std::string_view text) {
  CompactEvents events;
  if (!json::sax_parse(text.data(), text.data() + text.size(), &events)) return std::nullopt;
  return events.writer.take();
}

std::string json_fault(std::string_view what, std::size_t position) {
  // "... syntax error while parsing value - unexpected end of input; expected '}'"
  if (const auto dash = what.find(" - "); dash != std::string_view::npos) what.remove_prefix(dash + 3);
  what = what.substr(0, what.find(';'));
  if (what.starts_with("unexpected end of input") || what.find("missing closing quote") != std::string_view::npos)
    return fmt::format("cut off at byte {}", position);
  return fmt::format("not JSON at byte {}: {}", position, to_valid_utf8(what.substr(0, 100)));
}

}  // namespace reef::session::internal
