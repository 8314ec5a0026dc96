#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "reef/core/cancel.h"
#include "reef/embed/embedder.h"

namespace reef::test {

/// Bags of words hashed into 32 dimensions: texts that share words lie near each other.
class FakeEmbedder : public embed::Embedder {
 public:
  explicit FakeEmbedder(std::string name = "fake", std::function<void()> before_batch = {})
      : name_(std::move(name)), before_batch_(std::move(before_batch)) {}

  embed::Identity identity() const override { return {name_, "d1935700" + name_, 32}; }
  std::size_t passage_tokens() const override { return 40; }
  std::size_t count_tokens(std::string_view text) const override {
    std::size_t count = 0;
    each_word(text, [&](std::size_t) { ++count; });
    return count;
  }
  void embed_query(std::string_view text, std::span<float> out) override {
    std::fill(out.begin(), out.end(), 0.f);
    each_word(text, [&](std::size_t hash) { out[hash % out.size()] += 1; });
    float squares = 1e-6f;
    out[0] += 1e-3f;
    for (const float x : out) squares += x * x;
    for (float& x : out) x /= std::sqrt(squares - 1e-6f);
  }
  void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned,
                      Progress& progress) override {
    if (before_batch_) before_batch_();
    for (std::size_t i = 0; i < texts.size(); ++i) embed_query(texts[i], out.subspan(i * 32, 32));
    embedded += texts.size();
    progress.advance(texts.size());
  }

  std::size_t embedded = 0;

 private:
  template <typename Visit>
  static void each_word(std::string_view text, Visit visit) {
    std::string word;
    for (const char c : std::string(text) + " ") {
      if (std::isalnum(static_cast<unsigned char>(c))) {
        word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      } else if (!word.empty()) {
        std::size_t hash = 1469598103934665603u;
        for (const char w : word) hash = (hash ^ static_cast<unsigned char>(w)) * 1099511628211u;
        visit(hash >> 8);
        word.clear();
      }
    }
  }

  std::string name_;
  std::function<void()> before_batch_;
};

}  // namespace reef::test
