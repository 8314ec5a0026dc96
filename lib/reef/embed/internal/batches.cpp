#include "reef/embed/internal/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "reef/core/error.h"
#include "reef/core/share_work.h"

namespace reef::embed::internal {
namespace {

constexpr std::size_t kBatchRows = 256;
constexpr std::size_t kTextsAtOnce = 64;

std::vector<Tokens> tokenise(const Tokenizer& tokenizer, const std::string& prefix, std::size_t max_tokens,
                             std::span<const std::string_view> texts, unsigned threads) {
  std::vector<Tokens> result(texts.size());
  const auto work = [&](std::size_t, std::size_t block) {
    const std::size_t end = std::min(texts.size(), (block + 1) * kTextsAtOnce);
    std::string text;
    for (std::size_t i = block * kTextsAtOnce; i < end; ++i) {
      text.assign(prefix).append(texts[i]);
      result[i] = tokenizer.encode(text, max_tokens);
    }
  };
  share_work(threads, (texts.size() + kTextsAtOnce - 1) / kTextsAtOnce, work, [] {});
  return result;
}

/// Begins of the batches in a list sorted by falling length, and its end.
std::vector<std::size_t> cut_into_batches(std::span<const Tokens> sorted) {
  std::vector<std::size_t> begins;
  std::size_t rows = kBatchRows;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (rows + sorted[i].size() > kBatchRows) {
      begins.push_back(i);
      rows = 0;
    }
    rows += sorted[i].size();
  }
  begins.push_back(sorted.size());
  return begins;
}

}  // namespace

std::size_t passage_tokens(const std::string& prefix, std::size_t max_tokens, const Tokenizer& tokenizer) {
  const std::size_t taken = 2 + tokenizer.count(prefix);
  return max_tokens > taken ? max_tokens - taken : 1;
}

void embed_in_batches(const Tokenizer& tokenizer, const std::string& prefix, std::size_t max_tokens,
                      std::span<const std::string_view> texts, std::size_t dim, unsigned threads, Progress& progress,
                      const EmbedBatch& embed, std::span<float> out) {
  if (out.size() != texts.size() * dim) {
    throw Error(Errc::failed,
                fmt::format("{} texts of {} dimensions do not fill {} floats", texts.size(), dim, out.size()));
  }
  std::vector<Tokens> tokens = tokenise(tokenizer, prefix, max_tokens, texts, threads);
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return tokens[a].size() > tokens[b].size(); });
  std::vector<Tokens> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) sorted.push_back(std::move(tokens[i]));

  const std::vector<std::size_t> begins = cut_into_batches(sorted);
  std::atomic<std::size_t> done{0};
  std::size_t told = 0;
  const auto work = [&](std::size_t worker, std::size_t batch) {
    const std::size_t begin = begins[batch];
    const std::size_t count = begins[batch + 1] - begin;
    std::vector<float> vectors(count * dim);
    embed(worker, std::span(sorted).subspan(begin, count), vectors.data());
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(vectors.data() + i * dim, dim, out.data() + order[begin + i] * dim);
    }
    done += count;
  };
  share_work(threads, begins.size() - 1, work, [&] {
    const std::size_t now = done;
    progress.advance(now - std::exchange(told, now));
  });
}

}  // namespace reef::embed::internal
