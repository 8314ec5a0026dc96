#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/text.h"
#include "reef/text/internal/faults.h"
#include "reef/text/internal/record.h"
#include "reef/text/internal/strings.h"
#include "reef/text/parse.h"

namespace reef::text {
namespace {

using nlohmann::json;

/// Events of one line, without a tree of it: half of the time of an ingest's reading would go there.
class LineEvents {
 public:
  internal::RecordBuilder record;
  std::string fault;

  bool null() { return plain(); }
  bool boolean(bool) { return plain(); }
  bool number_integer(json::number_integer_t value) { return value_of(std::to_string(value), false); }
  bool number_unsigned(json::number_unsigned_t value) { return value_of(std::to_string(value), false); }
  bool number_float(json::number_float_t, const std::string& text) { return value_of(std::string(text), false); }
  bool string(std::string& value) { return value_of(std::move(value), true); }
  bool binary(json::binary_t&) { return plain(); }
  bool start_object(std::size_t) {
    record.open();
    return true;
  }
  bool end_object() { return end(); }
  bool start_array(std::size_t) {
    if (record.finished()) return plain();
    record.open();
    return true;
  }
  bool end_array() { return end(); }
  bool key(std::string& name) {
    record.key(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    fault = internal::json_fault(error.what(), position);
    return false;
  }

 private:
  bool plain() {
    if (!record.finished()) return true;
    fault = "not a JSON object";
    return false;
  }
  bool value_of(std::string&& value, bool is_string) {
    if (record.finished()) return plain();
    record.scalar(std::move(value), is_string);
    return true;
  }
  bool end() {
    record.close();
    return true;
  }
};

}  // namespace

struct JsonLinesParser::State {
  DocumentSink on_document;
  internal::SeenIds seen;
  internal::FaultList faults;
  std::uint64_t documents = 0;
};

JsonLinesParser::JsonLinesParser(DocumentSink on_document) : state_(std::make_unique<State>()) {
  state_->on_document = std::move(on_document);
}
JsonLinesParser::~JsonLinesParser() = default;
JsonLinesParser::JsonLinesParser(JsonLinesParser&&) noexcept = default;
JsonLinesParser& JsonLinesParser::operator=(JsonLinesParser&&) noexcept = default;

void JsonLinesParser::line(std::string_view bytes, std::uint64_t number) {
  if (internal::is_blank(bytes)) return;
  std::string repaired;
  if (!is_valid_utf8(bytes)) {
    repaired = to_valid_utf8(bytes);
    bytes = repaired;
  }
  LineEvents events;
  if (!json::sax_parse(bytes.data(), bytes.data() + bytes.size(), &events)) {
    return fault(number, std::move(events.fault));
  }
  auto [document, reason] = events.record.take();
  if (!document) return fault(number, std::move(reason));
  document->id_is_place = document->id.empty();
  if (document->id_is_place) document->id = fmt::format("line-{}", number);
  if (const auto first = state_->seen.find_or_add(document->id, number)) {
    state_->faults.add(
        number,
        fmt::format("id '{}' stands on line {} already, which is kept", internal::shortened(document->id, 80), *first),
        false);
    return;
  }
  document->line = number;
  ++state_->documents;
  state_->on_document(std::move(*document));
}

void JsonLinesParser::fault(std::uint64_t number, std::string reason) { state_->faults.add(number, std::move(reason)); }

std::uint64_t JsonLinesParser::documents() const { return state_->documents; }

std::vector<Fault> JsonLinesParser::take_faults() { return state_->faults.take(); }

}  // namespace reef::text
