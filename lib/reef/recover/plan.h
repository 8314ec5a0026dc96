#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/recover/check.h"
#include "reef/recover/source.h"

namespace reef::recover {

/// What is in the tree, and will not be there afterwards.
struct Loss {
  std::string what;         ///< "messages of alice"
  std::uint64_t count = 0;  ///< newer than the snapshot
  std::string unknown;      ///< why it could not be counted; empty: it was
};

/// A restore before it is done, and what became of it.
struct RestoreReport {
  std::string scenario;  ///< "persona" or "system"
  std::string name;      ///< of the persona, or where the tree goes
  int tier = 1;
  std::string destination;
  backup::Snapshot snapshot;
  bool dry_run = false;
  bool applied = false;
  std::vector<std::string> steps;  ///< as a person reads them, in order
  std::vector<Loss> losses;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;                            ///< to be written, or written
  std::optional<std::chrono::milliseconds> expected;  ///< by the rate of the last drill of that tier
  std::optional<std::chrono::milliseconds> bound;     ///< that the design sets
  std::chrono::milliseconds duration{0};
  std::uint64_t rows_came = 0, rows_went = 0;  ///< of shared databases
  std::vector<CheckFault> faults;              ///< what is damaged or unsound, and cannot be made again
  std::vector<std::string> rebuilt;
};

std::string to_text(const RestoreReport& report);
std::string to_json(const RestoreReport& report);

}  // namespace reef::recover
