#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/tree/tree.h"

namespace reef::document {

struct ExportOptions {
  tree::Scope scope = tree::Scope::shared();
  std::filesystem::path to;  ///< a folder that is absent or empty
  std::chrono::milliseconds wait{0};
};

struct ExportReport {
  std::string scope;
  std::string folder;
  std::int64_t generation = 0;
  std::vector<std::string> files;
  std::uint64_t bytes = 0;
};

/// Copies the files of a store under their plain names, all of one generation, for programs that read them without
/// reef. The folder appears whole or not at all. Throws Error{not_found} without a store, Error{usage} when the folder
/// holds anything, Error{locked} while another run writes the scope.
ExportReport export_store(const tree::Tree& tree, const ExportOptions& options);

std::string to_text(const ExportReport& report);
std::string to_json(const ExportReport& report);

}  // namespace reef::document
