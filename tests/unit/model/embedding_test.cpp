#include "reef/model/embedding.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/model/import.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

/// Imports what was written into source() under `name` and asks what it does.
struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() {
    fs::create_directories(tree.models());
    test::write_model(source());
  }
  fs::path source() const { return dir / "source"; }
  void settings(const std::string& yaml) const { test::write(tree.config("models.yaml"), yaml); }
  EmbeddingModel resolve(const std::string& name) const {
    const auto config = tree::Config::load(tree);
    import_model(tree, config, {.source = source(), .name = name}, no_progress());
    return resolve_embedding(tree, config, name);
  }
};

}  // namespace

TEST_CASE("MiniLM: mean, 256 tokens, no prefixes, whatever its tokenizer says") {
  const Fixture f;
  test::write(f.source() / "tokenizer_config.json", R"({"model_max_length":512})");
  const auto model = f.resolve("all-MiniLM-L6-v2");
  CHECK(model.dim == 2);
  CHECK(model.pooling == Pooling::mean);
  CHECK(model.max_tokens == 256);
  CHECK(model.query_prefix.empty());
  CHECK(model.fusion_weight == doctest::Approx(0.5));
  CHECK(model.weights_sha256.size() == 64);
}

TEST_CASE("bge: CLS, 512 tokens, no instruction") {
  const auto model = Fixture().resolve("bge-small-en-v1.5");
  CHECK(model.pooling == Pooling::cls);
  CHECK(model.max_tokens == 512);
  CHECK(model.query_prefix.empty());
}

TEST_CASE("e5: mean, with its prefixes") {
  const auto model = Fixture().resolve("e5-large-v2");
  CHECK(model.pooling == Pooling::mean);
  CHECK(model.query_prefix == "query: ");
  CHECK(model.passage_prefix == "passage: ");
}

TEST_CASE("what a model's own files say wins over its family") {
  const Fixture f;
  test::write(f.source() / "modules.json",
              R"([{"idx":0,"path":"","type":"sentence_transformers.models.Transformer"},)"
              R"({"idx":1,"path":"2_Pooling","type":"sentence_transformers.models.Pooling"}])");
  test::write(f.source() / "2_Pooling/config.json",
              R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})");
  test::write(f.source() / "sentence_bert_config.json", R"({"max_seq_length":64,"do_lower_case":false})");
  test::write(f.source() / "config_sentence_transformers.json",
              R"({"prompts":{"query":"q: ","document":"d: ","x":null}})");
  const auto model = f.resolve("e5-custom");
  CHECK(model.pooling == Pooling::cls);
  CHECK(model.max_tokens == 64);
  CHECK(model.query_prefix == "q: ");
  CHECK(model.passage_prefix == "d: ");
}

TEST_CASE("models.yaml wins over everything") {
  const Fixture f;
  test::write(f.source() / "1_Pooling/config.json", R"({"pooling_mode_max_tokens":true})");
  f.settings(
      "models:\n  e5-large-v2:\n    pooling: cls\n    query_prefix: \"\"\n    max_tokens: 100\n    fusion_weight: "
      "0.25\n");
  const auto model = f.resolve("e5-large-v2");
  CHECK(model.pooling == Pooling::cls);
  CHECK(model.query_prefix.empty());
  CHECK(model.passage_prefix == "passage: ");
  CHECK(model.max_tokens == 100);
  CHECK(model.fusion_weight == doctest::Approx(0.25));
}

TEST_CASE("an unknown encoder takes as many tokens as its tokenizer and positions allow") {
  const Fixture f;
  CHECK(f.resolve("plain").max_tokens == 512);
  test::write(f.source() / "tokenizer_config.json", R"({"model_max_length":1000000000000000019884624838656})");
  CHECK(f.resolve("unbounded").max_tokens == 512);
  test::write(f.source() / "tokenizer_config.json", R"({"model_max_length":128})");
  CHECK(f.resolve("bounded").max_tokens == 128);
}

TEST_CASE("vectors that reef cannot compute are refused, not guessed") {
  const Fixture f;
  test::write(f.source() / "1_Pooling/config.json",
              R"({"pooling_mode_max_tokens":true,"pooling_mode_mean_tokens":true})");
  CHECK_THROWS_WITH_AS(f.resolve("a"), doctest::Contains("pooling 'max_tokens + mean_tokens' is not supported"), Error);
  fs::remove_all(f.source() / "1_Pooling");
  test::write(f.source() / "modules.json", R"([{"path":"2_Dense","type":"sentence_transformers.models.Dense"}])");
  CHECK_THROWS_WITH_AS(f.resolve("b"), doctest::Contains("the module 'Dense' is not supported"), Error);
}

TEST_CASE("settings that cannot be are usage errors") {
  const Fixture f;
  f.settings("models:\n  a:\n    pooling: max\n");
  CHECK_THROWS_WITH_AS(f.resolve("a"), doctest::Contains("models.a.pooling: unknown value 'max'"), Error);
  f.settings("models:\n  b:\n    max_tokens: 513\n  c:\n    max_tokens: 1\n");
  CHECK_THROWS_WITH_AS(f.resolve("b"), doctest::Contains("the model has 512 positions"), Error);
  CHECK_THROWS_WITH_AS(f.resolve("c"), doctest::Contains("8 are the least"), Error);
  test::write(f.source() / "config.json", R"({"model_type":"clip","hidden_size":null})");
  CHECK_THROWS_WITH_AS(f.resolve("d"), doctest::Contains("d is no embedding model"), Error);
}

TEST_CASE("only BERT with a tokenizer is compiled") {
  const Fixture f;
  CHECK_FALSE(is_bert_encoder(f.source()));
  test::write(f.source() / "vocab.txt", "a\n");
  CHECK(is_bert_encoder(f.source()));
  test::write(f.source() / "config.json", R"({"model_type":"llama"})");
  CHECK_FALSE(is_bert_encoder(f.source()));
}
