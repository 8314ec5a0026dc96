// How much of indexing a conversation is the embedder's time. Embeds what is pending of a persona with the tree's
// default model, as reef-session index does, and prints one JSON object.
//
//   bench_turns ROOT PERSONA [THREADS]    two threads
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>

#include "reef/embed/default_embedder.h"
#include "reef/session/index.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace {

using namespace reef;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Another embedder, timed.
class Timed : public embed::Embedder {
 public:
  explicit Timed(std::unique_ptr<embed::Embedder> inner) : inner_(std::move(inner)) {}

  embed::Identity identity() const override { return inner_->identity(); }
  std::size_t passage_tokens() const override { return inner_->passage_tokens(); }
  std::size_t count_tokens(std::string_view text) const override { return inner_->count_tokens(text); }
  void embed_query(std::string_view text, std::span<float> out) override { inner_->embed_query(text, out); }
  void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned threads,
                      Progress& progress) override {
    const double begin = now_seconds();
    inner_->embed_passages(texts, out, threads, progress);
    seconds += now_seconds() - begin;
  }

  double seconds = 0;

 private:
  std::unique_ptr<embed::Embedder> inner_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: bench_turns ROOT PERSONA [THREADS]\n");
    return 2;
  }
  const tree::Tree tree = tree::Tree::open(argv[1]);
  Timed embedder(embed::open_default_embedder(tree, tree::Config::load(tree)));
  session::IndexOptions options;
  options.persona = argv[2];
  options.threads = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 2;
  const double begin = now_seconds();
  const session::IndexReport report = session::index_turns(tree, options, embedder, no_progress());
  fmt::print("{{\"turns\":{},\"embedded\":{},\"seconds\":{:.3f},\"embedder_seconds\":{:.3f}}}\n", report.turns,
             report.embedded, now_seconds() - begin, embedder.seconds);
  return 0;
}
