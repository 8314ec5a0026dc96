#include "reef/embed/internal/vocabulary_source.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "reef/core/error.h"
#include "reef/core/text.h"

namespace reef::embed::internal {
namespace {

using Json = nlohmann::json;

constexpr const char* kKinds = "reef reads WordPiece tokenizers of BERT models (all-MiniLM, bge, e5 and their like)";

[[noreturn]] void refuse(const std::string& name, const std::string& what, const char* hint = kKinds) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", name, what), hint);
}

Json parse(std::string_view text, const std::string& name) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    const std::string_view what = e.what();
    refuse(name, fmt::format("no JSON: {}", what.substr(what.find("] ") + 2)), "bring the model's files again");
  }
}

/// One object of a file, whose path of keys stands in messages.
class Object {
 public:
  Object(const Json& value, std::string name, std::string path)
      : value_(value), name_(std::move(name)), path_(std::move(path)) {
    if (!value_.is_object()) fail("is no object");
  }

  [[noreturn]] void fail(const std::string& what) const {
    refuse(name_, path_.empty() ? what : fmt::format("{} {}", path_, what));
  }
  std::string path_to(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  /// Null when the key is absent or null.
  const Json* find(const std::string& key) const {
    const auto found = value_.find(key);
    return found == value_.end() || found->is_null() ? nullptr : &*found;
  }
  const Json& at(const std::string& key) const {
    if (const Json* value = find(key)) return *value;
    refuse(name_, fmt::format("{} is missing", path_to(key)));
  }
  Object object(const std::string& key) const { return {at(key), name_, path_to(key)}; }
  Object element(const std::string& key, std::size_t index) const {
    return {at(key).at(index), name_, fmt::format("{}[{}]", path_to(key), index)};
  }
  std::size_t array_size(const std::string& key) const {
    const Json* value = find(key);
    if (value && !value->is_array()) refuse(name_, fmt::format("{} is no list", path_to(key)));
    return value ? value->size() : 0;
  }

  std::string text(const std::string& key) const {
    const Json& value = at(key);
    if (!value.is_string()) refuse(name_, fmt::format("{} is no string", path_to(key)));
    return value.get<std::string>();
  }
  std::string text(const std::string& key, const std::string& otherwise) const {
    return find(key) ? text(key) : otherwise;
  }
  std::optional<bool> flag(const std::string& key) const {
    const Json* value = find(key);
    if (value && !value->is_boolean()) refuse(name_, fmt::format("{} is neither true nor false", path_to(key)));
    return value ? std::optional(value->get<bool>()) : std::nullopt;
  }
  std::uint32_t number(const std::string& key) const { return number_of(at(key), path_to(key)); }
  std::uint32_t number_of(const Json& value, const std::string& path) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > UINT32_MAX) {
      refuse(name_, fmt::format("{} is no number from 0 to 4294967295", path));
    }
    return value.get<std::uint32_t>();
  }
  /// The value of `key` must be one of those for which ids are known to agree.
  void require(const std::string& key, const std::string& wanted) const {
    if (const std::string got = text(key); got != wanted) {
      refuse(name_, fmt::format("{} is \"{}\", not \"{}\"", path_to(key), got, wanted));
    }
  }
  const std::string& name() const { return name_; }

 private:
  const Json& value_;
  std::string name_;
  std::string path_;
};

std::uint32_t flags_of(bool clean, bool cjk, std::optional<bool> strip, bool lower) {
  // strip_accents follows lower case unless it is set, as in the original BERT.
  return (clean ? kCleanText : 0u) | (cjk ? kSpaceCjk : 0u) | (strip.value_or(lower) ? kStripAccents : 0u) |
         (lower ? kLowercase : 0u);
}

void read_model(const Object& model, VocabularySource& source) {
  // Files written before the type was recorded are told by WordPiece's own key.
  if (model.find("type") || !model.find("max_input_chars_per_word")) model.require("type", "WordPiece");
  if (model.find("continuing_subword_prefix")) model.require("continuing_subword_prefix", "##");
  source.unknown = model.text("unk_token", "[UNK]");
  if (model.find("max_input_chars_per_word")) source.max_word_chars = model.number("max_input_chars_per_word");
  if (source.max_word_chars > kMaxWordChars) {
    model.fail(fmt::format("has max_input_chars_per_word above {}", kMaxWordChars));
  }
  const Json& words = model.at("vocab");
  if (!words.is_object()) model.fail("has a vocab that is no object");
  for (const auto& [token, id] : words.items())
    source.words.emplace(token, model.number_of(id, "model.vocab." + token));
}

void read_added_tokens(const Object& root, VocabularySource& source) {
  for (std::size_t i = 0; i < root.array_size("added_tokens"); ++i) {
    const Object token = root.element("added_tokens", i);
    const std::string content = token.text("content");
    if (content.empty()) continue;
    // lstrip and rstrip take white space away, which gives no ids: they change nothing.
    for (const char* key : {"single_word", "normalized"}) {
      if (token.flag(key).value_or(false)) token.fail(fmt::format("(\"{}\") has {}: true", content, key));
    }
    const std::uint32_t id = token.number("id");
    if (const auto word = source.words.find(content); word != source.words.end() && word->second != id) {
      token.fail(fmt::format("gives \"{}\" the id {}, model.vocab {}", content, id, word->second));
    }
    source.specials[content] = id;
  }
}

/// [CLS] text [SEP], which two kinds of post-processor write differently.
void read_post_processor(const Object& processor, VocabularySource& source) {
  const auto pair = [&](const char* key, std::string& text, std::uint32_t& id) {
    const Json& value = processor.at(key);
    if (!value.is_array() || value.size() != 2 || !value[0].is_string()) {
      processor.fail(fmt::format("has a {} that is no pair of text and id", key));
    }
    text = value[0].get<std::string>();
    id = processor.number_of(value[1], processor.path_to(key));
  };
  if (processor.text("type") == "BertProcessing") {
    pair("cls", source.start, source.start_id);
    pair("sep", source.stop, source.stop_id);
    return;
  }
  processor.require("type", "TemplateProcessing");
  if (processor.array_size("single") != 3) processor.fail("does not put [CLS] before and [SEP] behind the text");
  static_cast<void>(processor.element("single", 1).object("Sequence"));
  const Object known = processor.object("special_tokens");
  const auto special = [&](std::size_t at, std::string& text, std::uint32_t& id) {
    const Object entry = processor.element("single", at).object("SpecialToken");
    text = entry.text("id");
    const Object token = known.object(text);
    if (token.array_size("ids") != 1) token.fail("stands for more or fewer than one id");
    id = token.number_of(token.at("ids")[0], token.path_to("ids"));
  };
  special(0, source.start, source.start_id);
  special(2, source.stop, source.stop_id);
}

/// tokenizer_config.json writes a token as its text, or as an object with its text in "content".
std::string token_text(const Object& config, const std::string& key, const char* otherwise) {
  const Json* value = config.find(key);
  return value && value->is_object() ? config.object(key).text("content") : config.text(key, otherwise);
}

std::uint32_t required_id(const VocabularySource& source, const std::string& token) {
  const auto found = source.words.find(token);
  if (found == source.words.end()) refuse(source.name, fmt::format("the vocabulary lacks \"{}\"", token));
  return found->second;
}

}  // namespace

VocabularySource read_tokenizer_json(std::string_view json, const std::string& name) {
  const Json document = parse(json, name);
  const Object root(document, name, "");
  VocabularySource source;
  source.name = name;
  read_model(root.object("model"), source);

  const Object normalizer = root.object("normalizer");
  normalizer.require("type", "BertNormalizer");
  source.flags =
      flags_of(normalizer.flag("clean_text").value_or(true), normalizer.flag("handle_chinese_chars").value_or(true),
               normalizer.flag("strip_accents"), normalizer.flag("lowercase").value_or(true));
  root.object("pre_tokenizer").require("type", "BertPreTokenizer");
  read_added_tokens(root, source);
  read_post_processor(root.object("post_processor"), source);
  return source;
}

VocabularySource read_vocab_txt(std::string_view lines, const std::string& name, std::string_view config,
                                const std::string& config_name) {
  VocabularySource source;
  source.name = name;
  if (!is_valid_utf8(lines)) refuse(name, "is no UTF-8", "bring the model's files again");
  std::uint32_t id = 0;
  for (; !lines.empty(); ++id) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    std::string_view token = lines.substr(0, end);
    if (token.ends_with('\r')) token.remove_suffix(1);
    if (!token.empty()) source.words.insert_or_assign(std::string(token), id);  // the last of equal lines counts
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }

  const Json document = config.empty() ? Json::object() : parse(config, config_name);
  const Object settings(document, config_name, "");
  source.flags = flags_of(true, settings.flag("tokenize_chinese_chars").value_or(true), settings.flag("strip_accents"),
                          settings.flag("do_lower_case").value_or(true));
  source.unknown = token_text(settings, "unk_token", "[UNK]");
  source.start = token_text(settings, "cls_token", "[CLS]");
  source.stop = token_text(settings, "sep_token", "[SEP]");
  source.start_id = required_id(source, source.start);
  source.stop_id = required_id(source, source.stop);
  const std::array named = {source.unknown, source.start, source.stop, token_text(settings, "pad_token", "[PAD]"),
                            token_text(settings, "mask_token", "[MASK]")};
  for (const std::string& token : named) {
    if (const auto found = source.words.find(token); found != source.words.end() && !token.empty()) {
      source.specials.insert(*found);
    }
  }
  return source;
}

}  // namespace reef::embed::internal
