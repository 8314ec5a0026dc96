#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "reef/core/error.h"
#include "reef/embed/encoder.h"
#include "reef/embed/internal/batches.h"
#include "reef/embed/internal/compile.h"
#include "reef/embed/internal/identity.h"
#include "reef/embed/tokenizer.h"
#include "reef/embed/vocabulary.h"

namespace reef::embed {
namespace {

using internal::Source;
using internal::Tokens;

using Row = std::vector<float>;
using Rows = std::vector<Row>;

float dot(const float* a, const float* b, std::size_t size) {
  std::array<float, 16> sums{};  // short sums lose less, and vectorise
  for (std::size_t i = 0; i < size; i += 16) {
    for (std::size_t k = 0; k < 16; ++k) sums[k] += a[i + k] * b[i + k];
  }
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

struct Dense {
  std::vector<float> weights;  ///< one row of `in` values per output
  std::vector<float> bias;

  Dense(const Source& source, const std::string& name, std::size_t in, std::size_t out)
      : weights(source.weights.matrix(name + ".weight", out, in)), bias(source.weights.vector(name + ".bias", out)) {}

  Rows operator()(const Rows& rows) const {
    Rows result(rows.size(), Row(bias.size()));
    for (std::size_t c = 0; c < bias.size(); ++c) {
      for (std::size_t r = 0; r < rows.size(); ++r) {
        const std::size_t in = rows[r].size();
        result[r][c] = dot(weights.data() + c * in, rows[r].data(), in) + bias[c];
      }
    }
    return result;
  }
};

struct LayerNorm {
  std::vector<float> gain;
  std::vector<float> shift;
  float epsilon;

  LayerNorm(const Source& source, const std::string& name)
      : gain(source.weights.vector(name + ".weight", source.config.hidden)),
        shift(source.weights.vector(name + ".bias", source.config.hidden)),
        epsilon(source.config.epsilon) {}

  void operator()(Row& x) const {
    const auto width = static_cast<double>(x.size());
    double mean = 0;
    for (const float value : x) mean += value;
    mean /= width;
    double variance = 0;
    for (const float value : x) variance += (value - mean) * (value - mean);
    const double factor = 1 / std::sqrt(variance / width + static_cast<double>(epsilon));
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>((x[i] - mean) * factor) * gain[i] + shift[i];
    }
  }
  void operator()(Rows& rows, const Rows& added) const {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t i = 0; i < gain.size(); ++i) rows[r][i] += added[r][i];
      (*this)(rows[r]);
    }
  }
};

struct EncoderLayer {
  Dense query, key, value, mix;
  LayerNorm after_mix;
  Dense up, down;
  LayerNorm after_down;
  std::size_t heads;

  EncoderLayer(const Source& source, const std::string& p)
      : query(source, p + "attention.self.query", source.config.hidden, source.config.hidden),
        key(source, p + "attention.self.key", source.config.hidden, source.config.hidden),
        value(source, p + "attention.self.value", source.config.hidden, source.config.hidden),
        mix(source, p + "attention.output.dense", source.config.hidden, source.config.hidden),
        after_mix(source, p + "attention.output.LayerNorm"),
        up(source, p + "intermediate.dense", source.config.hidden, source.config.ffn),
        down(source, p + "output.dense", source.config.ffn, source.config.hidden),
        after_down(source, p + "output.LayerNorm"),
        heads(source.config.heads) {}

  Rows attend(const Rows& x) const {
    const Rows q = query(x);
    const Rows k = key(x);
    const Rows v = value(x);
    const std::size_t width = x.front().size() / heads;
    const float divisor = std::sqrt(static_cast<float>(width));
    Rows result(x.size(), Row(x.front().size()));
    std::vector<float> score(x.size());
    for (std::size_t at = 0; at < x.front().size(); at += width) {
      for (std::size_t i = 0; i < x.size(); ++i) {
        for (std::size_t j = 0; j < x.size(); ++j) {
          float sum = 0;
          for (std::size_t d = at; d < at + width; ++d) sum += q[i][d] * k[j][d];
          score[j] = sum / divisor;
        }
        const float top = *std::max_element(score.begin(), score.end());
        float total = 0;
        for (float& value_of : score) total += value_of = std::exp(value_of - top);
        for (std::size_t j = 0; j < x.size(); ++j) {
          const float share = score[j] / total;
          for (std::size_t d = at; d < at + width; ++d) result[i][d] += share * v[j][d];
        }
      }
    }
    return result;
  }

  void operator()(Rows& x) const {
    after_mix(x, mix(attend(x)));
    Rows inner = up(x);
    for (Row& row : inner) {
      for (float& value_of : row) value_of = value_of * .5F * (1 + std::erf(value_of / std::sqrt(2.0F)));
    }
    after_down(x, down(inner));
  }
};

class ReferenceEncoder final : public Embedder {
 public:
  explicit ReferenceEncoder(const model::EmbeddingModel& model)
      : model_(model),
        source_(internal::open_source(model)),
        tokenizer_(source_.vocabulary),
        words_(
            source_.weights.matrix("embeddings.word_embeddings.weight", source_.config.words, source_.config.hidden)),
        positions_(source_.weights.matrix("embeddings.position_embeddings.weight", source_.config.positions,
                                          source_.config.hidden)),
        type_(source_.weights.token_type(source_.config.hidden)),
        first_norm_(source_, "embeddings.LayerNorm") {
    for (std::size_t i = 0; i < source_.config.layers; ++i) {
      layers_.emplace_back(source_, fmt::format("encoder.layer.{}.", i));
    }
  }

  Identity identity() const override {
    const std::vector<std::uint8_t>& block = source_.vocabulary;
    const io::Sha256Digest words = io::sha256({reinterpret_cast<const char*>(block.data()), block.size()});
    return {model_.name, internal::identity_digest(model_, source_.weights_sha256, words, source_.config, "float32"),
            source_.config.hidden};
  }

  std::size_t passage_tokens() const override {
    return internal::passage_tokens(model_.passage_prefix, model_.max_tokens, tokenizer_);
  }
  std::size_t count_tokens(std::string_view text) const override { return tokenizer_.count(text); }

  void embed_query(std::string_view text, std::span<float> out) override {
    embed(tokenizer_.encode(std::string(model_.query_prefix).append(text), model_.max_tokens), out.data());
  }

  void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned threads,
                      Progress& progress) override {
    const auto work = [&](std::size_t, std::span<const Tokens> batch, float* vectors) {
      for (std::size_t i = 0; i < batch.size(); ++i) embed(batch[i], vectors + i * source_.config.hidden);
    };
    internal::embed_in_batches(tokenizer_, model_.passage_prefix, model_.max_tokens, texts, source_.config.hidden,
                               threads, progress, work, out);
  }

 private:
  void embed(const Tokens& tokens, float* out) const {
    const std::size_t hidden = source_.config.hidden;
    Rows x(tokens.size(), Row(hidden));
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (std::size_t i = 0; i < hidden; ++i) {
        x[t][i] = words_[tokens[t] * hidden + i] + positions_[t * hidden + i] + type_[i];
      }
      first_norm_(x[t]);
    }
    for (const EncoderLayer& layer : layers_) layer(x);
    const std::size_t pooled = model_.pooling == model::Pooling::mean ? x.size() : 1;
    std::fill(out, out + hidden, 0.0F);
    for (std::size_t t = 0; t < pooled; ++t) {
      for (std::size_t i = 0; i < hidden; ++i) out[i] += x[t][i];
    }
    const float length = std::sqrt(dot(out, out, hidden));
    for (std::size_t i = 0; i < hidden; ++i) out[i] /= length;
  }

  model::EmbeddingModel model_;
  Source source_;
  Tokenizer tokenizer_;
  std::vector<float> words_;
  std::vector<float> positions_;
  std::vector<float> type_;
  LayerNorm first_norm_;
  std::vector<EncoderLayer> layers_;
};

}  // namespace

std::unique_ptr<Embedder> open_reference_encoder(const model::EmbeddingModel& model) {
  return std::make_unique<ReferenceEncoder>(model);
}

}  // namespace reef::embed
