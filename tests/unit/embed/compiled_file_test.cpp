#include "reef/embed/internal/compiled_file.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "support/tiny_encoder.h"

using namespace reef;
using namespace reef::embed::internal;

namespace {

/// The file with its header changed and signed again: what only the bounds can refuse.
std::string forged(const std::string& whole, const std::function<void(FileHeader&)>& change) {
  FileHeader header;
  std::memcpy(&header, whole.data(), sizeof header);
  change(header);
  header.header_xxh3 = header_checksum(header);
  std::string result = whole;
  std::memcpy(result.data(), &header, sizeof header);
  return result;
}

}  // namespace

TEST_CASE("sections lie where the layout says") {
  const test::TempDir dir;
  embed::compile_encoder(test::tiny_embedding(dir / "model"), dir / "compiled");
  const CompiledFile file(dir / "compiled");
  const Network& network = file.network();
  CHECK(network.hidden == 64);
  CHECK(network.head_width == 32);  // 16, filled up
  CHECK(network.layers.size() == 2);
  CHECK(network.layers[0].qkv.out == 3 * 4 * 32);
  CHECK(file.header().front_bytes < file.header().file_bytes);
  for (const void* start :
       {static_cast<const void*>(file.vocabulary().data()), static_cast<const void*>(network.layers[1].down.weights)}) {
    CHECK(reinterpret_cast<std::uintptr_t>(start) % kLine == 0);
  }
  CHECK(reinterpret_cast<std::uintptr_t>(network.word_rows) % kPage == 0);
  CHECK(file.payload_is_intact());
}

TEST_CASE("a header that lies is refused, whatever its checksum says") {
  const test::TempDir dir;
  embed::compile_encoder(test::tiny_embedding(dir / "model"), dir / "compiled");
  const std::string whole = io::read_file(dir / "compiled");
  const auto refused = [&](const std::function<void(FileHeader&)>& change) {
    io::replace_file(dir / "forged", forged(whole, change));
    CHECK_THROWS_AS(CompiledFile{dir / "forged"}, Error);
  };
  refused([](FileHeader& h) { h.version += 1; });
  refused([](FileHeader& h) { h.layers = 0; });
  refused([](FileHeader& h) { h.layers = 3; });
  refused([](FileHeader& h) { h.layers = 0xffffffff; });
  refused([](FileHeader& h) { h.hidden = 65; });
  refused([](FileHeader& h) { h.hidden = 128; });
  refused([](FileHeader& h) { h.heads = 0; });
  refused([](FileHeader& h) { h.heads = 3; });
  refused([](FileHeader& h) { h.heads = 64; });
  refused([](FileHeader& h) { h.ffn = 0xfffffff0; });
  refused([](FileHeader& h) { h.words += 1; });
  refused([](FileHeader& h) { h.words = 0; });
  refused([](FileHeader& h) { h.positions *= 2; });
  refused([](FileHeader& h) { h.epsilon = -1; });
  refused([](FileHeader& h) { h.vocabulary_bytes = ~std::uint64_t{0}; });
  refused([](FileHeader& h) { h.vocabulary_bytes += 64; });
  refused([](FileHeader& h) { h.front_bytes -= 64; });
  refused([](FileHeader& h) { h.file_bytes += 1; });
  io::replace_file(dir / "forged", forged(whole, [](FileHeader&) {}));
  CHECK(CompiledFile(dir / "forged").payload_is_intact());
}
