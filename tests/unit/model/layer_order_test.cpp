#include "reef/model/layer_order.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace reef::model;

namespace {

/// A file of one-byte tensors in the order of their names here.
WeightFile file_of(const std::string& path, const std::vector<std::string>& names) {
  WeightFile file{path, 8, {}, {}};
  for (std::size_t i = 0; i < names.size(); ++i) file.tensors.push_back({names[i], "U8", {1}, i, i + 1, 1});
  return file;
}

std::vector<std::string> ordered(const std::vector<WeightFile>& files, const std::vector<std::string>& patterns = {}) {
  std::vector<std::string> names;
  for (const OrderedTensor& entry : layer_order(files, patterns))
    names.push_back(files[entry.file].tensors[entry.tensor].name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the layer of a tensor is the first number after a layer word") {
  const auto is = [](std::string_view tensor, std::string_view prefix, std::uint64_t number) {
    const auto layer = layer_of(tensor);
    return layer && layer->prefix == prefix && layer->number == number;
  };
  CHECK(is("bert.encoder.layer.11.output.dense.weight", "bert.encoder.layer", 11));
  CHECK(is("model.layers.3.experts.7.w", "model.layers", 3));
  CHECK(is("h.0.attn.bias", "h", 0));
  CHECK(is("blk.2", "blk", 2));
  CHECK_FALSE(layer_of("embeddings.word_embeddings.weight"));
  CHECK_FALSE(layer_of("layers.norm.weight"));
  CHECK_FALSE(layer_of(""));
}

TEST_CASE("a number that is no number of a layer belongs to none") {
  CHECK_FALSE(layer_of("h.18446744073709551616.w"));
  CHECK_FALSE(layer_of("h.-1.w"));
  CHECK_FALSE(layer_of("h.1x.w"));
  CHECK_FALSE(layer_of("h."));
  CHECK(layer_of("layers.norm.h.2")->number == 2);
}

TEST_CASE("a pattern overrides the words") {
  const Names patterns = {"bert/encoder/layer_{}/", "model.stage{}"};
  const auto layer = layer_of("bert/encoder/layer_10/attention", patterns);
  REQUIRE(layer);
  CHECK(layer->prefix == "bert/encoder/layer");
  CHECK(layer->number == 10);
  CHECK(layer_of("model.stage3.w", patterns)->prefix == "model.stage");
  CHECK_FALSE(layer_of("bert/encoder/layer_10", patterns));
  CHECK_FALSE(layer_of("bert/encoder/layer_x/w", patterns));
  CHECK_FALSE(layer_of("h.0.w", patterns));
}

TEST_CASE("embeddings come first, then layers by number, then norm and head") {
  const auto file = file_of("m", {"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.a", "model.layers.1.a",
                                  "model.layers.10.b", "model.layers.10.a", "model.layers.2.a", "model.norm.weight"});
  CHECK(ordered({file}) == Names{"model.embed_tokens.weight", "model.layers.0.a", "model.layers.1.a",
                                 "model.layers.2.a", "model.layers.10.b", "model.layers.10.a", "lm_head.weight",
                                 "model.norm.weight"});
}

TEST_CASE("the encoder runs before the decoder, other stacks between them by prefix") {
  const auto file = file_of("m", {"decoder.block.0.w", "dec.blk.0.w", "z.h.0.w", "a.h.0.w", "encoder.block.1.w",
                                  "encoder.block.0.w", "decoder.final.w", "shared.weight"});
  CHECK(ordered({file}) == Names{"shared.weight", "encoder.block.0.w", "encoder.block.1.w", "a.h.0.w", "z.h.0.w",
                                 "dec.blk.0.w", "decoder.block.0.w", "decoder.final.w"});
}

TEST_CASE("a layer that is spread over shards comes together, in the order of files") {
  const auto first = file_of("1", {"h.1.a", "h.0.a", "wte.weight"});
  const auto second = file_of("2", {"wpe.weight", "h.0.b", "ln_f.weight", "h.1.b"});
  CHECK(ordered({first, second}) ==
        Names{"wte.weight", "wpe.weight", "h.0.a", "h.0.b", "h.1.a", "h.1.b", "ln_f.weight"});
  CHECK(ordered({}).empty());
}

TEST_CASE("names of embeddings") {
  for (const char* name : {"embeddings.LayerNorm.bias", "token_embd.weight", "wpe.weight", "model.rotary_emb.inv_freq",
                           "bert/embeddings/word_embeddings"})
    CHECK_MESSAGE(is_embedding_name(name), name);
  for (const char* name : {"embed_out.weight", "unembed.W", "lm_head.weight", "output_norm.weight", "pooler.dense.bias",
                           "shared_head.weight"})
    CHECK_FALSE_MESSAGE(is_embedding_name(name), name);
}
