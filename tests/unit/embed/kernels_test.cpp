#include "reef/embed/internal/kernels.h"

#include <doctest/doctest.h>

#include <vector>

#include "reef/embed/internal/compiled_file.h"
#include "reef/io/checksum.h"
#include "support/temp_dir.h"
#include "support/tiny_encoder.h"

using namespace reef;
using namespace reef::embed::internal;

namespace {

/// Texts of 1 to 70 tokens: tiles of every height, one key block and several.
std::vector<Tokens> some_tokens(std::size_t words) {
  std::vector<Tokens> texts;
  for (std::size_t length = 1; length <= 70; length += 1 + length / 8) {
    Tokens text;
    for (std::size_t i = 0; i < length; ++i) text.push_back(static_cast<std::uint32_t>((length * 31 + i * 17) % words));
    texts.push_back(text);
  }
  return texts;
}

std::vector<const Kernels*> kernels_of_this_cpu() {
  std::vector<const Kernels*> result = {&kBaselineKernels};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") != 0) result.push_back(&kAvx2Kernels);
  if (&kernels() == &kAvx512Kernels) result.push_back(&kAvx512Kernels);
  return result;
}

std::vector<float> run(const Kernels& set, const Network& network, std::span<const Tokens> texts, Activations kind) {
  Workspace workspace;
  std::vector<float> result(texts.size() * network.hidden);
  set.forward(network, texts, kind, workspace, result.data());
  return result;
}

}  // namespace

TEST_CASE("every instruction set gives the same bytes, alone and in batches") {
  const test::TempDir dir;
  struct Shape {
    std::size_t dim, heads, ffn;
  };
  // Heads of 16, 32 and 64; an odd number of panels; a head of 12 that is filled up.
  for (const Shape shape : {Shape{64, 4, 256}, {64, 2, 256}, {128, 2, 512}, {48, 3, 80}, {48, 4, 16}, {32, 1, 4096}}) {
    test::TinyModel tiny;
    tiny.dim = shape.dim;
    tiny.heads = shape.heads;
    tiny.ffn = shape.ffn;
    embed::compile_encoder(test::tiny_embedding(dir / "model", tiny), dir / "compiled");
    const CompiledFile file(dir / "compiled");
    const std::vector<Tokens> texts = some_tokens(file.network().words);
    for (const Activations kind : {Activations::kBits14, Activations::kBits8}) {
      const std::vector<float> expected = run(kBaselineKernels, file.network(), texts, kind);
      for (const Kernels* set : kernels_of_this_cpu()) {
        CAPTURE(set->name);
        CHECK(run(*set, file.network(), texts, kind) == expected);
        for (std::size_t i = 0; i < texts.size(); ++i) {
          const std::vector<float> alone = run(*set, file.network(), std::span(texts).subspan(i, 1), kind);
          CHECK(std::equal(alone.begin(), alone.end(), expected.begin() + static_cast<std::ptrdiff_t>(i * shape.dim)));
        }
      }
    }
  }
}

TEST_CASE("the arithmetic is what its version says") {
  // These digests may change only together with kFormatVersion or the arithmetic's name in
  // encoder.cpp, since stored vectors then no longer compare with new ones.
  const test::TempDir dir;
  embed::compile_encoder(test::tiny_embedding(dir / "model"), dir / "compiled");
  const CompiledFile file(dir / "compiled");
  const auto digest = [&](Activations kind) {
    const std::vector<float> vectors = run(kernels(), file.network(), some_tokens(file.network().words), kind);
    return io::xxh3({reinterpret_cast<const std::uint8_t*>(vectors.data()), vectors.size() * sizeof(float)});
  };
  CHECK(digest(Activations::kBits14) == 667768010406222932U);
  CHECK(digest(Activations::kBits8) == 13294119522788856841U);
}
