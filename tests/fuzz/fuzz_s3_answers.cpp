// What an S3 service answers, and the record of an upload: whatever they hold, each is read or is none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "reef/io/internal/s3_answers.h"
#include "reef/io/internal/xml.h"

namespace {

using namespace reef::io::internal;

void require(bool truth) {
  if (!truth) std::abort();
}

void check(const XmlElement& element, std::size_t depth) {
  require(!element.name.empty() && depth <= 13);
  for (const XmlElement& child : element.children) check(child, depth + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto root = parse_xml(text);
  if (root) check(*root, 0);
  if (const auto fault = parse_s3_fault(text)) require(root && !fault->code.empty());
  if (const auto listing = parse_s3_listing(text)) {
    for (const auto& object : listing->objects) require(!object.key.empty());
  }
  if (const auto parts = parse_s3_parts(text)) {
    for (const auto& part : parts->parts) require(part.number >= 1 && part.number <= 10'000);
    const auto again = parse_xml(s3_completion(parts->parts));  // what a service says may be said to it
    require(again && again->children.size() == parts->parts.size());
    for (std::size_t i = 0; i < parts->parts.size(); ++i)
      require(again->children[i].text_of("ETag") == '"' + parts->parts[i].etag + '"');
  }
  if (const auto uploads = parse_s3_uploads(text)) {
    for (const auto& upload : uploads->uploads) require(!upload.key.empty() && !upload.id.empty());
  }
  if (const auto id = parse_s3_begun(text)) require(!id->empty());
  static_cast<void>(parse_s3_completed(text));
  static_cast<void>(parse_http_date(text));
  return 0;
}
