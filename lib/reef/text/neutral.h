#pragma once

#include <string>
#include <string_view>

#include "reef/text/document.h"

namespace reef::text {

/// The form in which a helper hands a document over in a file: lengths before every string, so
/// that nothing has to be escaped. Carries title, text and blocks.
///
/// "REEFDOC1", then little-endian u64 lengths and counts: title, text, number of blocks; a block is
/// u64 start, u64 end, u64 page, u64 verbatim (0 or 1), path.
std::string write_neutral(const Document& document);

/// Reads what write_neutral() wrote. The helper may have been killed or have been taken over by
/// the file that it read: every length, offset and byte of UTF-8 is checked. Throws Error{corrupt}.
Document read_neutral(std::string_view bytes);

}  // namespace reef::text
