#pragma once

#include <fstream>
#include <limits>
#include <string>

namespace reef::test {

/// The most that this program had resident, in KiB; not getrusage(), which counts what the process was before exec.
inline long peak_memory_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace reef::test
