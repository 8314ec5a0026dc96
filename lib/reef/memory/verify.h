#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::memory {

struct VerifyFault {
  std::string persona;
  std::string file;
  std::string what;
  std::string next_step;
  bool mends_itself = false;  ///< the next run that writes memories does
};

struct VerifyReport {
  std::vector<std::string> personas;  ///< that have memories
  std::uint64_t memories = 0;
  std::uint64_t vectors = 0;
  std::vector<VerifyFault> faults;
};

/// Compares everything that belongs to the memories of those personas: the database with itself, its full text with the
/// texts, vectors with embeddings.npy, the JSON files with what they are made of, what was forgotten with what is
/// there. Changes nothing, works on a read-only tree. A persona that a run is writing to is waited for, else
/// Error{locked}. Those without memories are no fault.
VerifyReport verify(const tree::Tree& tree, const std::vector<std::string>& personas, std::chrono::milliseconds wait,
                    Progress& progress);

std::string to_text(const VerifyReport& report);
std::string to_json(const VerifyReport& report);

}  // namespace reef::memory
