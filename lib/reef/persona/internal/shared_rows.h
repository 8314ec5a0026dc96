#pragma once

#include <filesystem>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/persona/rows.h"

/// What rows.h says, for each of the two databases.
namespace reef::persona::internal {

/// `copy`: made by now, without rows, and without triggers; `source` is attached to it, and read from for the first
/// time.
void extract_conversations(io::Database& copy, const std::string& persona);
void extract_documents(io::Database& copy, const std::string& persona);

/// `live`: without triggers; `copy` is attached to it.
ReplaceReport replace_conversations(io::Database& live, const std::string& persona, const ReplaceOptions& options);
ReplaceReport replace_documents(io::Database& live, const std::string& persona, const ReplaceOptions& options);

}  // namespace reef::persona::internal
