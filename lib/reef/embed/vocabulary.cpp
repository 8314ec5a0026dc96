#include "reef/embed/vocabulary.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/embed/internal/vocabulary_source.h"
#include "reef/io/file.h"

namespace reef::embed {
namespace {

/// A vocabulary of 2^20 tokens of 64 bytes fits; anything larger is another kind of file.
constexpr std::uint64_t kFileLimit = 64u << 20;

}  // namespace

std::vector<std::uint8_t> compile_vocabulary(const std::filesystem::path& folder) {
  const std::filesystem::path json = folder / "tokenizer.json";
  if (std::filesystem::exists(json)) return compile_vocabulary_json(io::read_file(json, kFileLimit), io::shown(json));

  const std::filesystem::path words = folder / "vocab.txt";
  if (!std::filesystem::exists(words)) {
    throw Error(Errc::not_found, fmt::format("{} has neither tokenizer.json nor vocab.txt", io::shown(folder)),
                "bring the model's tokenizer.json beside its model.safetensors");
  }
  const std::filesystem::path config = folder / "tokenizer_config.json";
  const std::string settings = std::filesystem::exists(config) ? io::read_file(config, kFileLimit) : std::string();
  return internal::build_block(
      internal::read_vocab_txt(io::read_file(words, kFileLimit), io::shown(words), settings, io::shown(config)));
}

std::vector<std::uint8_t> compile_vocabulary_json(std::string_view json, const std::string& name) {
  return internal::build_block(internal::read_tokenizer_json(json, name));
}

}  // namespace reef::embed
