#include "reef/model/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/internal/model_config.h"
#include "reef/model/library.h"
#include "reef/tree/config.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::JsonScanner;
using internal::legible;

constexpr std::string_view kWeightsFile = "model.safetensors";
constexpr std::string_view kSettingsHint =
    "set models.<name>.pooling (mean or cls) in config/models.yaml if you know better";

/// What a model's files and its family say; absent: they say nothing.
struct Known {
  std::optional<Pooling> pooling;
  std::optional<std::string> query_prefix;
  std::optional<std::string> passage_prefix;
  std::optional<std::uint64_t> max_tokens;
};

/// Calls use(scanner) at the start of `folder`/`name`'s JSON, where there is such a file.
template <class Use>
void with_json(const fs::path& folder, const std::string& name, Use use) {
  const fs::path path = folder / name;
  if (!fs::exists(path)) return;
  const std::string json = io::read_file(path, internal::kMaxConfigBytes);
  JsonScanner scanner(json, path.string(), 0);
  use(scanner);
  scanner.expect_end();
}

bool flag_or_false(JsonScanner& scanner) {
  const bool is_true = scanner.peek() == 't';
  scanner.skip_value();
  return is_true;
}

std::optional<std::uint64_t> count_or_nothing(JsonScanner& scanner) {
  const char next = scanner.peek();
  if (next < '0' || next > '9') {
    scanner.skip_value();
    return std::nullopt;
  }
  // "no limit" is written as 1e30, or as an integer of 31 digits.
  const std::string_view digits = scanner.number("a number");
  if (digits.size() > 15 || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value;
}

/// modules.json: the folder of the pooling module. Modules that change vectors in ways that reef
/// does not compute are refused: wrong vectors would be worse than none.
std::string read_modules(const fs::path& folder) {
  std::string pooling = "1_Pooling";
  with_json(folder, "modules.json", [&](JsonScanner& scanner) {
    scanner.array("an array of modules", [&] {
      std::string type;
      std::string path;
      scanner.object("an object", [&](const std::string& key, std::size_t) {
        if (key == "type") {
          type = scanner.string("a type");
        } else if (key == "path") {
          path = scanner.string("a path");
        } else {
          scanner.skip_value();
        }
      });
      const std::string module = type.substr(type.rfind('.') + 1);
      if (module == "Pooling") {
        pooling = path;
      } else if (module != "Transformer" && module != "Normalize") {
        throw Error(
            Errc::usage,
            fmt::format("{}: the module '{}' is not supported", io::shown(folder / "modules.json"), legible(module)),
            "reef computes encoders with mean or CLS pooling; choose another embedding model");
      }
    });
  });
  const bool is_inner = pooling.find('/') == std::string::npos && pooling != "..";
  return is_inner ? pooling : "1_Pooling";
}

void read_pooling(const fs::path& folder, Known& known) {
  const std::string name = read_modules(folder) + "/config.json";
  std::vector<std::string> modes;
  with_json(folder, name, [&](JsonScanner& scanner) {
    constexpr std::string_view kPrefix = "pooling_mode_";
    scanner.object("'{'", [&](const std::string& key, std::size_t) {
      if (key.starts_with(kPrefix)) {
        if (flag_or_false(scanner)) modes.push_back(key.substr(kPrefix.size()));
      } else if (key == "pooling_mode" && scanner.peek() == '"') {
        modes.push_back(scanner.string("a mode"));
      } else {
        scanner.skip_value();
      }
    });
  });
  if (modes.empty()) return;
  if (modes.size() == 1 && (modes[0] == "mean_tokens" || modes[0] == "mean")) {
    known.pooling = Pooling::mean;
  } else if (modes.size() == 1 && (modes[0] == "cls_token" || modes[0] == "cls")) {
    known.pooling = Pooling::cls;
  } else {
    throw Error(Errc::usage,
                fmt::format("{}: pooling '{}' is not supported", io::shown(folder / name),
                            legible(fmt::format("{}", fmt::join(modes, " + ")))),
                std::string(kSettingsHint));
  }
}

void read_prompts(const fs::path& folder, Known& known) {
  with_json(folder, "config_sentence_transformers.json", [&](JsonScanner& scanner) {
    scanner.object("'{'", [&](const std::string& key, std::size_t) {
      if (key != "prompts" || scanner.peek() != '{') return scanner.skip_value();
      scanner.object("'{'", [&](const std::string& prompt, std::size_t) {
        if (scanner.peek() != '"') return scanner.skip_value();
        std::string text = scanner.string("a prompt");
        // New versions write empty prompts for every model: those say nothing.
        if (text.empty()) return;
        if (prompt == "query")
          known.query_prefix = std::move(text);
        else if (prompt == "passage" || prompt == "document")
          known.passage_prefix = std::move(text);
      });
    });
  });
}

void read_limit(const fs::path& folder, const std::string& file, std::string_view wanted, Known& known) {
  if (known.max_tokens) return;
  with_json(folder, file, [&](JsonScanner& scanner) {
    scanner.object("'{'", [&](const std::string& key, std::size_t) {
      if (key == wanted) {
        known.max_tokens = count_or_nothing(scanner);
      } else {
        scanner.skip_value();
      }
    });
  });
}

/// Families whose files do not always travel with the weights. By the name under models/ or the
/// last part of where it came from. Sources: the model cards of sentence-transformers/all-MiniLM-*,
/// BAAI/bge-*-v1.5 (no instruction needed) and intfloat/e5-*.
void apply_family(const std::string& name, Known& known) {
  const auto is = [&](std::string_view prefix) { return name.starts_with(prefix); };
  if (is("all-MiniLM-") || is("all-minilm-")) {
    if (!known.pooling) known.pooling = Pooling::mean;
    if (!known.max_tokens) known.max_tokens = 256;
  } else if (is("bge-")) {
    if (!known.pooling) known.pooling = Pooling::cls;
  } else if (is("e5-") || is("multilingual-e5-")) {
    if (!known.pooling) known.pooling = Pooling::mean;
    if (!known.max_tokens) known.max_tokens = 512;
    if (!known.query_prefix) known.query_prefix = "query: ";
    if (!known.passage_prefix) known.passage_prefix = "passage: ";
  }
}

/// "sentence-transformers/all-MiniLM-L6-v2@c9745e" -> "all-MiniLM-L6-v2".
std::string published_name(const std::string& source) {
  const std::string path = source.substr(0, source.find('@'));
  return path.substr(path.rfind('/') + 1);
}

/// models.yaml wins over everything; only what stands in the file counts, not its defaults.
void apply_settings(const tree::Config& config, const std::string& name, Known& known) {
  const auto setting = [&](std::string_view key) -> std::optional<std::string> {
    const tree::ConfigValue& value = config.value("models", fmt::format("models.{}.{}", name, key));
    if (value.origin == "default") return std::nullopt;
    return value.text;
  };
  if (const auto pooling = setting("pooling"); pooling && !pooling->empty())
    known.pooling = *pooling == "cls" ? Pooling::cls : Pooling::mean;
  if (auto prefix = setting("query_prefix")) known.query_prefix = std::move(*prefix);
  if (auto prefix = setting("passage_prefix")) known.passage_prefix = std::move(*prefix);
  if (setting("max_tokens")) {
    const std::uint64_t tokens = config.count("models", fmt::format("models.{}.max_tokens", name));
    if (tokens > 0) known.max_tokens = tokens;
  }
}

void check_limit(const EmbeddingModel& model, const internal::ModelConfig& config) {
  constexpr std::size_t kLeastTokens = 8;
  if (model.max_tokens < kLeastTokens) {
    throw Error(Errc::usage,
                fmt::format("{}: max_tokens is {}, {} are the least", model.name, model.max_tokens, kLeastTokens),
                "set models.<name>.max_tokens in config/models.yaml");
  }
  if (config.max_position_embeddings && model.max_tokens > *config.max_position_embeddings) {
    throw Error(Errc::usage,
                fmt::format("{}: max_tokens is {}, the model has {} positions", model.name, model.max_tokens,
                            *config.max_position_embeddings),
                "set models.<name>.max_tokens in config/models.yaml to no more than that");
  }
}

}  // namespace

EmbeddingModel resolve_embedding(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  const Installed installed = find_model(tree, name);
  const fs::path& folder = installed.folder;
  const internal::ModelConfig model_config = internal::read_model_config(folder);
  const ManifestFile* weights = installed.manifest.find(kWeightsFile);
  if (!weights || !model_config.hidden_size) {
    throw Error(Errc::usage,
                fmt::format("{} is no embedding model: {}", name,
                            weights ? "config.json has no hidden_size" : "there is no model.safetensors"),
                "name an encoder such as all-MiniLM-L6-v2 as default_embedding in config/models.yaml");
  }
  Known known;
  apply_settings(config, installed.manifest.name, known);
  Known published;
  if (!known.pooling) read_pooling(folder, published);
  read_prompts(folder, published);
  read_limit(folder, "sentence_bert_config.json", "max_seq_length", published);
  if (!known.pooling) known.pooling = published.pooling;
  if (!known.query_prefix) known.query_prefix = published.query_prefix;
  if (!known.passage_prefix) known.passage_prefix = published.passage_prefix;
  if (!known.max_tokens) known.max_tokens = published.max_tokens;
  apply_family(installed.manifest.name, known);
  apply_family(published_name(installed.manifest.source), known);
  if (!known.max_tokens) {
    // Both are upper bounds that a model may not use, so they come last.
    read_limit(folder, "tokenizer_config.json", "model_max_length", known);
    const std::uint64_t positions = model_config.max_position_embeddings.value_or(512);
    known.max_tokens = std::min(known.max_tokens.value_or(positions), positions);
  }

  EmbeddingModel model;
  model.name = installed.manifest.name;
  model.folder = folder;
  model.weights_sha256 = weights->sha256;
  model.dim = *model_config.hidden_size;
  model.pooling = known.pooling.value_or(Pooling::mean);
  model.query_prefix = known.query_prefix.value_or("");
  model.passage_prefix = known.passage_prefix.value_or("");
  model.max_tokens = *known.max_tokens;
  model.fusion_weight = config.number("models", fmt::format("models.{}.fusion_weight", model.name));
  check_limit(model, model_config);
  return model;
}

bool is_bert_encoder(const fs::path& folder) {
  const internal::ModelConfig config = internal::read_model_config(folder);
  const bool has_tokenizer = fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.txt");
  return config.model_type == "bert" && has_tokenizer && fs::exists(folder / kWeightsFile);
}

}  // namespace reef::model
