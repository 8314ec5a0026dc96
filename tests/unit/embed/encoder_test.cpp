#include "reef/embed/encoder.h"

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "support/tiny_encoder.h"

namespace fs = std::filesystem;
using namespace reef;
using namespace reef::test;

namespace {

/// Texts of many lengths, some longer than the model takes.
std::vector<std::string> some_texts(std::size_t count) {
  const std::vector<std::string> words = {"the",   "story", "of",        "my",     "cat,",
                                          "drive", "42",    "xylophone", "backup", "?"};
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text;
    for (std::size_t k = 0; k <= i * 7 % 60; ++k) text += words[(i + k * k) % words.size()] + ' ';
    texts.push_back(text);
  }
  return texts;
}

float cosine(const std::vector<float>& a, const std::vector<float>& b, std::size_t row, std::size_t dim) {
  float sum = 0;
  for (std::size_t i = row * dim; i < (row + 1) * dim; ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<float> row_of(const std::vector<float>& vectors, std::size_t row, std::size_t dim) {
  const auto begin = vectors.begin() + static_cast<std::ptrdiff_t>(row * dim);
  return {begin, begin + static_cast<std::ptrdiff_t>(dim)};
}

Errc code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    return error.code();
  }
  FAIL("nothing was thrown");
  return Errc::failed;
}

/// Counts what it is told.
class Counter final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t count) override { total += count; }
  void end() override {}
  std::uint64_t total = 0;
};

}  // namespace

TEST_CASE("vectors follow the float32 reference") {
  const TempDir dir;
  for (const auto pooling : {model::Pooling::mean, model::Pooling::cls}) {
    auto model = tiny_embedding(dir / "model");
    model.pooling = pooling;
    const auto encoder = embed::open_encoder(dir / "cache", model);
    const auto reference = embed::open_reference_encoder(model);
    const std::vector<std::string> texts = some_texts(40);
    const std::vector<float> exact = passage_vectors(*reference, texts);
    const std::vector<float> passages = passage_vectors(*encoder, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CHECK(cosine(exact, exact, i, model.dim) == doctest::Approx(1).epsilon(1e-5));
      CHECK(cosine(exact, passages, i, model.dim) > .997F);
      const std::vector<float> question = query_vector(*encoder, texts[i]);
      CHECK(cosine(question, row_of(exact, i, model.dim), 0, model.dim) > .999F);
    }
  }
}

TEST_CASE("inputs too wide for 14 bits get what fits in 32-bit sums") {
  const TempDir dir;
  TinyModel tiny;
  tiny.layers = 1;
  tiny.ffn = 4096;  // as e5-large has: 13 bits
  const auto model = tiny_embedding(dir / "model", tiny);
  const auto exact = query_vector(*embed::open_reference_encoder(model), "my dog and the cat");
  const auto rounded = query_vector(*embed::open_encoder(dir / "cache", model), "my dog and the cat");
  CHECK(cosine(exact, rounded, 0, model.dim) > .999F);
}

TEST_CASE("a text's vector does not depend on its batch or the threads") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  const auto encoder = embed::open_encoder(dir / "cache", model);
  const std::vector<std::string> texts = some_texts(150);
  Counter counter;
  const std::vector<float> together = passage_vectors(*encoder, texts, 1, counter);
  CHECK(counter.total == texts.size());
  CHECK(passage_vectors(*encoder, texts, 3) == together);
  for (std::size_t i = 0; i < texts.size(); i += 7) {
    CHECK(passage_vectors(*encoder, {texts[i]}) == row_of(together, i, model.dim));
  }
  CHECK(passage_vectors(*encoder, {}).empty());
}

TEST_CASE("types and names of the tensors change no byte") {
  const TempDir dir;
  const std::vector<std::string> texts = some_texts(10);
  const auto plain = tiny_embedding(dir / "f32");
  const auto expected = passage_vectors(*embed::open_encoder(dir / "cache", plain), texts);
  const std::string digest = embed::open_encoder(dir / "cache", plain)->identity().digest;
  CHECK(digest.size() == 32);
  for (const auto weights : {TinyModel::Weights::f16, TinyModel::Weights::bf16}) {
    TinyModel tiny;
    tiny.weights = weights;
    tiny.bert_prefix = true;
    const auto encoder = embed::open_encoder(dir / "cache", tiny_embedding(dir / "other", tiny));
    CHECK(passage_vectors(*encoder, texts) == expected);
    CHECK(encoder->identity().digest != digest);  // the weights' file is another one
  }
}

TEST_CASE("the digest covers all that decides a vector") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  const auto digest = [&](const model::EmbeddingModel& other) {
    return embed::open_encoder(dir / "cache", other)->identity().digest;
  };
  auto renamed = model;
  renamed.name = "other";
  CHECK(digest(renamed) == digest(model));
  auto pooled = model;
  pooled.pooling = model::Pooling::cls;
  CHECK(digest(pooled) != digest(model));
  auto shorter = model;
  shorter.max_tokens = 64;
  CHECK(digest(shorter) != digest(model));
  auto query = model;
  query.query_prefix = "query: ";
  auto passage = model;
  passage.passage_prefix = "query: ";
  CHECK(digest(query) != digest(model));
  CHECK(digest(query) != digest(passage));
}

TEST_CASE("prefixes and lengths") {
  const TempDir dir;
  auto model = tiny_embedding(dir / "model");
  const auto plain = embed::open_encoder(dir / "cache", model);
  CHECK(plain->passage_tokens() == 126);
  CHECK(plain->count_tokens("the cat") == 2);
  model.query_prefix = "question: ";
  model.passage_prefix = "story: ";
  model.max_tokens = 16;
  const auto prefixed = embed::open_encoder(dir / "cache", model);
  CHECK(prefixed->passage_tokens() == 12);
  CHECK(query_vector(*prefixed, "my cat") == query_vector(*plain, "question: my cat"));
  CHECK(passage_vectors(*prefixed, {"my cat"}) == passage_vectors(*plain, {"story: my cat"}));
  const std::string long_text = some_texts(9).back();
  CHECK(prefixed->count_tokens(long_text) > 16);
  CHECK(passage_vectors(*prefixed, {long_text}) == passage_vectors(*prefixed, {long_text + "and more"}));
  CHECK(query_vector(*prefixed, "").size() == model.dim);
}

TEST_CASE("a damaged cache is compiled again") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  const auto expected = query_vector(*embed::open_encoder(dir / "cache", model), "the cat");
  const fs::path path = embed::compiled_path(dir / "cache", model);
  CHECK(embed::verify_compiled(path));
  const std::string whole = io::read_file(path);
  for (const std::size_t size : {std::size_t{0}, std::size_t{8}, std::size_t{200}, whole.size() - 1}) {
    io::replace_file(path, whole.substr(0, size));
    CHECK_FALSE(embed::verify_compiled(path));
    CHECK(query_vector(*embed::open_encoder(dir / "cache", model), "the cat") == expected);
    CHECK(io::read_file(path) == whole);
  }
  for (const std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{13}, std::size_t{140}}) {
    std::string flipped = whole;
    flipped[at] ^= 1;
    io::replace_file(path, flipped);
    CHECK_FALSE(embed::verify_compiled(path));
    CHECK(query_vector(*embed::open_encoder(dir / "cache", model), "the cat") == expected);
  }
  std::string payload = whole;
  payload[whole.size() / 2] ^= 64;
  io::replace_file(path, payload);
  CHECK_FALSE(embed::verify_compiled(path));
  CHECK(code_of([&] { embed::verify_compiled(dir / "absent"); }) == Errc::not_found);
}

TEST_CASE("a cache that cannot be written is done without") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  const auto expected = query_vector(*embed::open_encoder(dir / "cache", model), "the cat");
  std::ofstream(dir / "file") << "no folder";
  CHECK(query_vector(*embed::open_encoder(dir / "file" / "cache", model), "the cat") == expected);
  CHECK(io::read_file(dir / "file") == "no folder");
}

TEST_CASE("compile_encoder publishes a whole file and names what is wrong") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  embed::compile_encoder(model, dir / "a");
  embed::compile_encoder(model, dir / "b");
  CHECK(io::read_file(dir / "a") == io::read_file(dir / "b"));
  auto other = model;
  other.weights_sha256 = std::string(64, '0');
  CHECK(code_of([&] { embed::compile_encoder(other, dir / "c"); }) == Errc::corrupt);
  other = model;
  other.dim = 384;
  CHECK(code_of([&] { embed::open_encoder(dir / "cache", other); }) == Errc::usage);
  other = model;
  other.max_tokens = 129;
  CHECK(code_of([&] { embed::open_encoder(dir / "cache", other); }) == Errc::usage);
  CHECK_FALSE(fs::exists(dir / "c"));
  fs::remove(dir / "model" / "config.json");
  CHECK(code_of([&] { embed::compile_encoder(model, dir / "c"); }) == Errc::not_found);
}

TEST_CASE("weights that are none are refused") {
  const TempDir dir;
  auto model = tiny_embedding(dir / "model");
  const fs::path path = dir / "model" / "model.safetensors";
  std::string bytes = io::read_file(path);
  bytes.replace(bytes.size() - 4, 4, std::string("\x00\x00\xc0\x7f", 4));  // NaN, in the last bias
  io::replace_file(path, bytes);
  model.weights_sha256.clear();
  CHECK_THROWS_WITH_AS(embed::open_encoder(dir / "cache", model),
                       doctest::Contains("encoder.layer.1.output.LayerNorm.bias"), Error);
}

TEST_CASE("config.json of other networks is refused by key") {
  const TempDir dir;
  const auto model = tiny_embedding(dir / "model");
  const fs::path path = dir / "model" / "config.json";
  const std::string good = io::read_file(path);
  const auto refused = [&](const std::string& from, const std::string& to, const char* key) {
    std::string text = good;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    io::replace_file(path, text.replace(at, from.size(), to));
    CHECK_THROWS_WITH_AS(embed::compile_encoder(model, dir / "out"), doctest::Contains(key), Error);
  };
  refused("\"gelu\"", "\"relu\"", "hidden_act");
  refused("\"absolute\"", "\"relative_key\"", "position_embedding_type");
  refused("\"bert\"", "\"roberta\"", "model_type");
  refused("\"hidden_size\":64", "\"hidden_size\":60", "hidden_size");
  refused("\"intermediate_size\":256", "\"intermediate_size\":272", "has shape");
  refused("\"num_attention_heads\":4", "\"num_attention_heads\":5", "num_attention_heads");
  refused("\"num_attention_heads\":4", "\"num_attention_heads\":-4", "num_attention_heads");
  refused("\"num_hidden_layers\":2", "\"num_hidden_layers\":3", "encoder.layer.2");
  refused("\"layer_norm_eps\":1e-12", "\"layer_norm_eps\":0", "layer_norm_eps");
  refused("\"vocab_size\"", "\"vocab\"", "vocab_size");
  refused("{", "[", "not a JSON object");
}

TEST_CASE("a signal stops bulk work") {
  const TempDir dir;
  const auto encoder = embed::open_encoder(dir / "cache", tiny_embedding(dir / "model"));
  pending_signal = SIGINT;
  CHECK(code_of([&] { passage_vectors(*encoder, some_texts(100), 2); }) == Errc::interrupted);
  pending_signal = 0;
}
