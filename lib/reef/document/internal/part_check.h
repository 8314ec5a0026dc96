#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/document/verify.h"
#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::document::internal {

constexpr const char* kNextRun = "the next 'reef-index ingest' or 'remove' of this scope mends it";
constexpr const char* kRestore = "restore it from a backup, or remove what is in the folder and ingest the files again";

/// What `verify` finds in one folder with a store: a scope's own, or that of a part of one. Faults go into the report.
class PartCheck {
 public:
  PartCheck(const tree::Scope& scope, std::filesystem::path folder, std::string name, VerifyReport& report)
      : scope_(scope), folder_(std::move(folder)), name_(std::move(name)), report_(report) {}

  /// The database, for what spans parts; nullopt when it cannot be read.
  std::optional<io::Database> run(Progress& progress);

 private:
  void add(std::string file, std::string what, std::string next_step, bool mends_itself = false);
  void add(const vector::StoreFault& fault);
  std::int64_t number(const char* sql);
  void check_text_index();
  void check_map();
  void check_rows();
  void check_id_mapping();
  void check_leftovers();
  void compare_with_faiss();
  void count();

  const tree::Scope& scope_;
  std::filesystem::path folder_;
  std::string name_;
  VerifyReport& report_;
  io::Database database_;
};

}  // namespace reef::document::internal
