#include "support/tiny_model.h"

#include <fmt/format.h>

#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace reef::test {
namespace {

constexpr const char* kWords =
    "the of and to in is was for on that with as it by at from are be this an or his he her she they we you not have "
    "has had were but which one all their there can will would more when who what where why how if out so up into no "
    "than them its about some other time only my me your our two first new like do did does after over may any these "
    "work year years day people know good also back use used make made see many way well even because most then now "
    "here just get go say said long great little own old right look think help man woman world life house city water "
    "school home drive disk backup model memory search vector index file data storage tower persona snapshot restore "
    "week month money name number part place system question answer story music dog cat tree book family friend "
    "support group red blue green white black small large high low night morning summer winter food";

std::vector<std::string> vocabulary() {
  std::vector<std::string> result = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (char c = '!'; c <= '~'; ++c) {
    if (std::isupper(static_cast<unsigned char>(c)) == 0) result.emplace_back(1, c);
  }
  for (char c = '0'; c <= 'z'; ++c) {
    if (c <= '9' || c >= 'a') result.push_back(fmt::format("##{}", c));
  }
  std::istringstream words(kWords);
  for (std::string word; words >> word;) result.push_back(word);
  return result;
}

std::string json_string(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string tokenizer_json(const std::vector<std::string>& words) {
  std::string vocab;
  for (std::size_t id = 0; id < words.size(); ++id) {
    vocab += fmt::format("{}{}:{}", id == 0 ? "" : ",", json_string(words[id]), id);
  }
  std::string added;
  for (std::size_t id = 0; id < 5; ++id) {
    added += fmt::format(
        R"({}{{"id":{},"special":true,"content":"{}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false}})",
        id == 0 ? "" : ",", id, words[id]);
  }
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{}],)"
      R"("normalizer":{{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}},)"
      R"("pre_tokenizer":{{"type":"BertPreTokenizer"}},)"
      R"("post_processor":{{"type":"TemplateProcessing","single":[{{"SpecialToken":{{"id":"[CLS]","type_id":0}}}},{{"Sequence":{{"id":"A","type_id":0}}}},{{"SpecialToken":{{"id":"[SEP]","type_id":0}}}}],)"
      R"("pair":[{{"SpecialToken":{{"id":"[CLS]","type_id":0}}}},{{"Sequence":{{"id":"A","type_id":0}}}},{{"SpecialToken":{{"id":"[SEP]","type_id":0}}}},{{"Sequence":{{"id":"B","type_id":1}}}},{{"SpecialToken":{{"id":"[SEP]","type_id":1}}}}],)"
      R"("special_tokens":{{"[CLS]":{{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]}},"[SEP]":{{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}}}}},)"
      R"("decoder":{{"type":"WordPiece","prefix":"##","cleanup":true}},)"
      R"("model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{{{}}}}}}})",
      added, vocab);
}

/// Collects tensors of random values; every value is an integer of 8 bits times a power of two.
class Tensors {
 public:
  explicit Tensors(const TinyModel& model) : model_(model), random_(model.seed) {}

  /// Uniform within +-`size`, rounded up to a power of two; around a `centre` in 33 steps.
  void add(const std::string& name, std::vector<std::size_t> shape, float size, float centre = 0) {
    const float step = std::exp2(std::ceil(std::log2(size)) - 8);
    std::size_t count = 1;
    for (const std::size_t n : shape) count *= n;
    const std::size_t begin = data_.size();
    for (std::size_t i = 0; i < count; ++i) {
      const auto whole = static_cast<float>(static_cast<int>(random_() % 511) - 255);
      append(centre != 0 ? centre + std::round(whole / 16) * size / 16 : whole * step);
    }
    const bool wide = model_.weights == TinyModel::Weights::f32;
    const char* dtype = wide ? "F32" : model_.weights == TinyModel::Weights::f16 ? "F16" : "BF16";
    header_ +=
        fmt::format(R"({}"{}{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", header_.empty() ? "" : ",",
                    model_.bert_prefix ? "bert." : "", name, dtype, fmt::join(shape, ","), begin, data_.size());
  }
  std::string file() const {
    std::string header = "{" + header_ + "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data_;
  }

 private:
  void append(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    std::uint32_t stored = bits;
    std::size_t bytes = 2;
    if (model_.weights == TinyModel::Weights::f32) {
      bytes = 4;
    } else if (model_.weights == TinyModel::Weights::bf16) {
      stored = bits >> 16;
    } else if (value == 0) {
      stored = 0;
    } else {  // always a normal number: exponents differ by the bias alone
      stored = (bits >> 16 & 0x8000U) | ((bits >> 23 & 0xffU) - 112) << 10 | (bits >> 13 & 0x3ffU);
    }
    data_.append(reinterpret_cast<const char*>(&stored), bytes);
  }

  const TinyModel& model_;
  std::mt19937 random_;
  std::string header_;
  std::string data_;
};

std::string safetensors(const TinyModel& model, std::size_t words) {
  Tensors out(model);
  const auto dense = [&](const std::string& name, std::size_t in, std::size_t outputs) {
    out.add(name + ".weight", {outputs, in}, 2 / std::sqrt(static_cast<float>(in)));
    out.add(name + ".bias", {outputs}, .125F);
  };
  const auto norm = [&](const std::string& name) {
    out.add(name + ".weight", {model.dim}, .25F, 1);
    out.add(name + ".bias", {model.dim}, .125F);
  };
  out.add("embeddings.word_embeddings.weight", {words, model.dim}, 1);
  out.add("embeddings.position_embeddings.weight", {model.positions, model.dim}, .0625F);
  out.add("embeddings.token_type_embeddings.weight", {2, model.dim}, .0625F);
  norm("embeddings.LayerNorm");
  for (std::size_t i = 0; i < model.layers; ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    for (const char* part : {"query", "key", "value"}) dense(layer + "attention.self." + part, model.dim, model.dim);
    dense(layer + "attention.output.dense", model.dim, model.dim);
    norm(layer + "attention.output.LayerNorm");
    dense(layer + "intermediate.dense", model.dim, model.ffn);
    dense(layer + "output.dense", model.ffn, model.dim);
    norm(layer + "output.LayerNorm");
  }
  return out.file();
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

void write_tiny_model(const std::filesystem::path& folder, const TinyModel& model) {
  const std::vector<std::string> words = vocabulary();
  std::filesystem::create_directories(folder);
  write_file(folder / "model.safetensors", safetensors(model, words.size()));
  write_file(folder / "tokenizer.json", tokenizer_json(words));
  write_file(folder / "config.json",
             fmt::format(
                 R"({{"architectures":["BertModel"],"hidden_act":"gelu","hidden_size":{},"intermediate_size":{},)"
                 R"("layer_norm_eps":1e-12,"max_position_embeddings":{},"model_type":"bert","num_attention_heads":{},)"
                 R"("num_hidden_layers":{},"position_embedding_type":"absolute","type_vocab_size":2,"vocab_size":{}}})",
                 model.dim, model.ffn, model.positions, model.heads, model.layers, words.size()));
}

}  // namespace reef::test
