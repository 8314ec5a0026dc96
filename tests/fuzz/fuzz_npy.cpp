#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/npy.h"

/// Any bytes give a header that lies within them, or Error{corrupt}.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  try {
    const vector::NpyHeader header = vector::parse_npy_header({data, size}, "fuzz.npy");
    if (header.data_offset > size || header.shape.size() > 32) std::abort();
    for (const std::uint64_t count : header.shape) {
      if (count > INT64_MAX) std::abort();
    }
    // Normalising is done once: doing it again must change nothing.
    if (header.descr.starts_with('[') && vector::internal::normalised_descr(header.descr) != header.descr) std::abort();
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) std::abort();
  }
  return 0;
}
