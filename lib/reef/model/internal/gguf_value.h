#pragma once

#include "reef/model/gguf.h"
#include "reef/model/internal/gguf_cursor.h"

namespace reef::model::internal {

/// The type and the value of a metadata key. Throws Error{corrupt} as parse_gguf() does.
GgufValue read_gguf_value(GgufCursor& cursor);

}  // namespace reef::model::internal
