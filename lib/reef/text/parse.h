#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reef/text/document.h"
#include "reef/text/extract.h"

namespace reef::text {

using DocumentSink = std::function<void(Document&&)>;

/// What extract() does with a file, for bytes that are in memory already.

/// One document of `text`, which is valid UTF-8. `format`: text, markdown, source or man.
Document parse_text(std::string text, Format format);

/// A JSON file: one document (an object with a text field), an array of documents, or anything
/// else flattened to lines of "path: value". `bytes` need not be UTF-8. Throws Error{failed} with
/// the byte at which the JSON stops making sense; elements that are no documents are returned.
std::vector<Fault> parse_json(std::string_view bytes, const DocumentSink& on_document);

/// JSON lines, one call a line: {id, title, text, tags, created}. "content", "body" and "contents"
/// stand in for "text", "date" for "created"; other fields are ignored; blank lines are skipped.
class JsonLinesParser {
 public:
  explicit JsonLinesParser(DocumentSink on_document);
  ~JsonLinesParser();
  JsonLinesParser(JsonLinesParser&&) noexcept;
  JsonLinesParser& operator=(JsonLinesParser&&) noexcept;

  /// `number` counts from 1 and stands in faults and ids.
  void line(std::string_view bytes, std::uint64_t number);
  /// A line that could not even be read.
  void fault(std::uint64_t number, std::string reason);
  std::uint64_t documents() const;
  /// The lines that were not used, the first 1,000 by name.
  std::vector<Fault> take_faults();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reef::text
