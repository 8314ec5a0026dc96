#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/document/ingest.h"

namespace reef::document::internal {

/// One file that a run takes in.
struct InputFile {
  std::filesystem::path file;  ///< where its bytes are
  std::string source;          ///< its name in the registry
  std::uint64_t bytes = 0;
};

struct InputFiles {
  std::vector<InputFile> files;
  std::vector<std::string> folders;  ///< absolute, for --prune
};

/// Expands operands into files: folders recursively, names sorted, hidden entries and links to
/// folders left out. What cannot be taken is added to `faults`. Throws Error{not_found} for an
/// operand that does not exist.
InputFiles list_files(const std::vector<std::string>& paths, std::vector<IngestFault>& faults);

}  // namespace reef::document::internal
