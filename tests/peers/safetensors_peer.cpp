// What tests/peers/safetensors_package.py compares with the safetensors package: reef's verdict on many files.
//
//   safetensors_peer CASES    CASES holds files one after the other, each after its length (u64, little-endian).
//                             Prints one line for each: "refused MESSAGE", or "accepted" with every tensor as
//                             NAME:DTYPE:SHAPE:BEGIN:END and all metadata as KEY=VALUE, names and texts in hexadecimal
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/mapped_file.h"
#include "reef/model/safetensors.h"

namespace {

using namespace reef;
using Bytes = std::span<const std::uint8_t>;

std::string hex(std::string_view text) {
  return to_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string verdict(Bytes file) {
  try {
    const model::SafetensorsHeader header = model::parse_safetensors(file, file.size(), "case");
    std::string line = "accepted";
    for (const model::Tensor& tensor : header.tensors) {
      line += fmt::format(" {}:{}:{}:{}:{}", hex(tensor.name), model::dtype_name(tensor.dtype),
                          fmt::join(tensor.shape, ","), tensor.begin, tensor.end);
    }
    for (const auto& [key, value] : header.metadata) line += fmt::format(" {}={}", hex(key), hex(value));
    return line;
  } catch (const Error& e) {
    return fmt::format("refused {}", e.what());
  }
}

void print_verdicts(Bytes cases) {
  constexpr std::size_t kLengthBytes = 8;
  while (cases.size() >= kLengthBytes) {
    std::uint64_t length = 0;
    for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | cases[i];
    cases = cases.subspan(kLengthBytes);
    const Bytes file = cases.first(std::min<std::uint64_t>(length, cases.size()));
    fmt::print("{}\n", verdict(file));
    cases = cases.subspan(file.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) {
      fmt::print(stderr, "usage: safetensors_peer CASES\n");
      return 2;
    }
    const io::MappedFile cases(argv[1]);
    print_verdicts(cases.bytes());
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
  return 0;
}
