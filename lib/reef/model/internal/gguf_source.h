#pragma once

#include <filesystem>

#include "reef/model/internal/source.h"

namespace reef::model::internal {

/// The model of one GGUF file: that file, and the other parts when it is one of several ("…-00001-of-00003.gguf").
/// Throws Error{usage} naming a part that is missing, Error{corrupt} for a damaged header.
Source open_gguf(const std::filesystem::path& path);

/// Of the files of a folder that holds no other weights: leaves them alone if they are one GGUF model (its parts, and
/// projectors, "mmproj-…"), fills in kind and licence. Throws Error{usage} naming the models when there are several.
void complete_gguf_folder(Source& source);

}  // namespace reef::model::internal
