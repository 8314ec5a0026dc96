// How long a run takes that adds many memories with given vectors to the store of a persona.
// Prints one JSON object a line: each quarter of the run, then the end of it (derived files), then opening it again.
//
//   bench_remember [MEMORIES [DIM]]    20,000 of 384 dimensions
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../support/temp_dir.h"
#include "reef/memory/store.h"
#include "reef/tree/init.h"

namespace {

using namespace reef;

/// Names what the given vectors are of.
class Given : public embed::Embedder {
 public:
  explicit Given(std::size_t dim) : dim_(dim) {}
  embed::Identity identity() const override { return {"bench", "d1935700", dim_}; }
  std::size_t passage_tokens() const override { return 0; }
  std::size_t count_tokens(std::string_view) const override { return 0; }
  void embed_query(std::string_view, std::span<float>) override {}
  void embed_passages(std::span<const std::string_view>, std::span<float>, unsigned, Progress&) override {}

 private:
  std::size_t dim_;
};

class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    begin_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Sentences of words as frequent as words are, with what a store looks at: speakers, entities, some attributes.
std::string sentence(std::minstd_rand& random) {
  std::string text = random() % 20 == 0 ? fmt::format("My favourite thing{} is", random() % 50) : "I saw";
  for (int i = 0; i < 12; ++i) {
    const double uniform = static_cast<double>(random()) / 2147483647.0;
    text += fmt::format(" word{}", static_cast<int>(std::pow(20000.0, uniform)));
  }
  return text;
}

int run(std::size_t memories, std::size_t dim) {
  const test::TempDir dir;
  const auto root = tree::Tree::at(dir / "tree");
  tree::InitOptions options;
  options.personas = {"alice"};
  tree::apply_init(root, options);
  std::minstd_rand random(1);
  Stopwatch watch;
  {
    memory::Store store(root, "alice");
    Given given(dim);
    store.use_embedder(given, 1, no_progress());
    std::vector<float> vector(dim);
    constexpr std::size_t kBatch = 500;
    for (std::size_t i = 0; i < memories;) {
      io::Transaction transaction(store.database());
      for (std::size_t end = std::min(memories, i + kBatch); i < end; ++i) {
        float squares = 0;
        for (float& x : vector) {
          x = static_cast<float>(random()) / 2147483648.0F - .4F;  // as models do, not centred
          squares += x * x;
        }
        for (float& x : vector) x /= std::sqrt(squares);
        memory::NewMemory memory;
        memory.content = sentence(random);
        memory.speaker = i % 2 == 0 ? "ann" : "bob";
        memory.embedding = vector;
        memory.created_at = parse_time("2026-01-01") + std::chrono::minutes(i);
        memory.source = memory::Source{static_cast<std::int64_t>(i) + 1, fmt::format("s{}", i / 100), ""};
        memory.valence = .1;
        for (int e = 0; e < 2; ++e) memory.entities.push_back({fmt::format("name{}", random() % 2000), "person"});
        store.remember(memory);
      }
      transaction.commit();
      if (i % std::max<std::size_t>(kBatch, memories / 4 / kBatch * kBatch) == 0)
        fmt::print("{{\"stage\":\"remember\",\"memories\":{},\"seconds\":{:.2f}}}\n", i, watch.lap());
    }
    watch.lap();
    store.finish_run();
    fmt::print("{{\"stage\":\"finish\",\"memories\":{},\"seconds\":{:.2f}}}\n", memories, watch.lap());
  }
  watch.lap();
  memory::Store store(root, "alice");
  store.nearest(std::vector<float>(dim, 1 / std::sqrt(static_cast<float>(dim))));
  fmt::print("{{\"stage\":\"open\",\"memories\":{},\"seconds\":{:.2f}}}\n", memories, watch.lap());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000,
             argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 384);
}
