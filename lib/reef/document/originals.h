#pragma once

#include <filesystem>
#include <string>

#include "reef/io/file.h"
#include "reef/text/document.h"
#include "reef/tree/tree.h"

namespace reef::document {

/// raw/<sha256><ext>: the originals by content, copied once however many sources share them.
/// processed/<sha256><ext>.jsonl: their extracted text, one document (or part of a long one) a line.
///
/// Files appear by rename but are not synced one by one: the caller calls sync() once for many,
/// before it records them as done. Content that a crash cut is therefore replaced, not trusted,
/// while its source is still pending.
class Originals {
 public:
  Originals(const tree::Tree& tree, const tree::Scope& scope);

  /// Where files of a run of this scope are written before they appear: documents/.staging-<scope>.
  const std::filesystem::path& staging() const { return staging_; }
  /// Empties the staging folder, in which a killed run may have left files; makes it if need be.
  void prepare();
  /// Removes the staging folder at the end of a run.
  void clean_up();

  std::filesystem::path raw_path(const std::string& sha256, const std::string& extension) const;
  std::filesystem::path processed_path(const std::string& sha256, const std::string& extension) const;

  /// Copies `file` to raw/ unless the same bytes are there.
  void keep(const std::filesystem::path& file, const std::string& sha256, const std::string& extension);
  void sync() const;
  /// The original and its text.
  void remove(const std::string& sha256, const std::string& extension);

 private:
  std::filesystem::path raw_;
  std::filesystem::path processed_;
  std::filesystem::path staging_;
};

/// Writes a file of processed/: {"id","title","text","offset","tags","created","blocks"} a line.
class ProcessedWriter {
 public:
  ProcessedWriter(const Originals& originals, const std::string& sha256, const std::string& extension);
  void add(const std::string& id, const text::Document& document);
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  io::UniqueFd fd_;
  std::string buffer_;
};

}  // namespace reef::document
