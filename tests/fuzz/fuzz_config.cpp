// Configuration files: whatever their text, they are read or refused with a reef::Error, and what
// was read can be asked for by every key.
#include <cstdint>
#include <string>

#include "reef/core/error.h"
#include "reef/tree/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* file : {"system", "models", "personas"}) {
    try {
      const auto config = reef::tree::Config::parse(file, text, "fuzz.yaml");
      for (const auto& [key, value] : config.all())
        if (value.origin.empty()) __builtin_trap();
    } catch (const reef::Error& error) {
      if (error.code() != reef::Errc::usage) __builtin_trap();
    }
  }
  return 0;
}
