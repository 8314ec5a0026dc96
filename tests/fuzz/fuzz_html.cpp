// Any bytes as an HTML page: what comes out survives the strict reader of the neutral form. The
// same bytes are read as the neutral form itself, too.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "html_text.h"
#include "reef/core/error.h"
#include "reef/text/neutral.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    reef::text::read_neutral(bytes);
  } catch (const reef::Error& e) {
    if (e.code() != reef::Errc::corrupt) std::abort();
  }
  reef::text::Document document;
  try {
    document = reef::text::html_text(bytes);
  } catch (const reef::Error& e) {
    if (e.code() != reef::Errc::failed) std::abort();
    return 0;
  }
  const reef::text::Document back = reef::text::read_neutral(reef::text::write_neutral(document));
  if (back.text != document.text || back.blocks.size() != document.blocks.size()) std::abort();
  return 0;
}
