#include "reef/embed/encoder.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/embed/internal/batches.h"
#include "reef/embed/internal/compile.h"
#include "reef/embed/internal/compiled_file.h"
#include "reef/embed/internal/identity.h"
#include "reef/embed/internal/kernels.h"
#include "reef/embed/tokenizer.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::embed {
namespace {

using internal::Activations;
using internal::CompiledFile;
using internal::Network;
using internal::Tokens;
using internal::Workspace;

/// The arithmetic of the compiled kernels: vectors made by another one are not byte-equal to these.
constexpr const char* kArithmetic = "w8a14/w8a8 1";

/// The compiled form without a file, for a cache that cannot be written: gone with the process.
CompiledFile compile_in_memory(const internal::Source& source) {
  const io::UniqueFd fd(::memfd_create("reef-encoder", MFD_CLOEXEC));
  if (!fd) throw_errno("create", "a file in memory");
  const std::filesystem::path name = fmt::format("/proc/self/fd/{}", fd.get());
  internal::write_compiled(source, fd.get(), name);
  return CompiledFile(name);
}

void compile_into(const internal::Source& source, const std::filesystem::path& target) {
  tree::make_folders(target.parent_path());
  // Two processes that do this at once each rename a whole file of equal content: harmless.
  io::StagedFile staged(target);
  internal::write_compiled(source, staged.fd(), staged.temporary_path());
  staged.commit();
}

CompiledFile open_or_compile(const std::filesystem::path& cache, const model::EmbeddingModel& model) {
  const std::filesystem::path path = compiled_path(cache, model);
  try {
    return CompiledFile(path);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) log_detail("{}", error.what());
  }
  log_step("compiling the embedding model {} into {}", model.name, io::shown(path));
  const internal::Source source = internal::open_source(model);
  try {
    compile_into(source, path);
    return CompiledFile(path);
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt || error.code() == Errc::interrupted) throw;
    log_detail("{}; going on with the compiled model in memory", error.what());
  }
  return compile_in_memory(source);
}

class LocalEncoder final : public Embedder {
 public:
  LocalEncoder(CompiledFile file, const model::EmbeddingModel& model)
      : file_(std::move(file)), network_(file_.network()), tokenizer_(file_.vocabulary()), model_(model) {
    const internal::FileHeader& header = file_.header();
    if (tokenizer_.vocabulary_size() != header.words) {
      throw Error(Errc::corrupt,
                  fmt::format("the compiled model {} has {} words in its vocabulary and {} rows", model_.name,
                              tokenizer_.vocabulary_size(), header.words),
                  "remove the embedding cache; the next run compiles it again");
    }
    internal::check_request(model_, header.hidden, header.positions);
    network_.mean_pooling = model_.pooling == model::Pooling::mean;
  }

  Identity identity() const override {
    const internal::FileHeader& h = file_.header();
    const internal::BertConfig shape{h.layers, h.hidden, h.heads, h.ffn, h.words, h.positions, h.epsilon};
    return {model_.name, internal::identity_digest(model_, h.weights_sha256, h.vocabulary_sha256, shape, kArithmetic),
            h.hidden};
  }

  std::size_t passage_tokens() const override {
    return internal::passage_tokens(model_.passage_prefix, model_.max_tokens, tokenizer_);
  }
  std::size_t count_tokens(std::string_view text) const override { return tokenizer_.count(text); }

  void embed_query(std::string_view text, std::span<float> out) override {
    if (out.size() != network_.hidden) {
      throw Error(Errc::failed, fmt::format("a vector of {} floats for {} dimensions", out.size(), network_.hidden));
    }
    const Tokens tokens = tokenizer_.encode(std::string(model_.query_prefix).append(text), model_.max_tokens);
    if (!read_ahead_) file_.read_ahead(tokens);
    read_ahead_ = true;
    internal::kernels().forward(network_, {&tokens, 1}, Activations::kBits14, workspaces_.front(), out.data());
  }

  void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned threads,
                      Progress& progress) override {
    if (!read_ahead_) file_.read_ahead();
    read_ahead_ = true;
    if (workspaces_.size() < threads) workspaces_.resize(threads);
    const internal::Kernels& kernels = internal::kernels();
    const auto embed = [&](std::size_t worker, std::span<const Tokens> batch, float* vectors) {
      kernels.forward(network_, batch, Activations::kBits8, workspaces_[worker], vectors);
    };
    internal::embed_in_batches(tokenizer_, model_.passage_prefix, model_.max_tokens, texts, network_.hidden, threads,
                               progress, embed, out);
  }

 private:
  CompiledFile file_;
  Network network_;
  Tokenizer tokenizer_;
  model::EmbeddingModel model_;
  std::vector<Workspace> workspaces_{1};
  bool read_ahead_ = false;
};

/// What changes when a file is replaced, for a name that needs no reading: size and time of change.
void append_stat(std::string& text, const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    text += fmt::format("{} {}.{:09}\n", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  } else {
    text += "absent\n";
  }
}

}  // namespace

std::filesystem::path compiled_path(const std::filesystem::path& cache, const model::EmbeddingModel& model) {
  std::string text;
  for (const char* name :
       {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json"}) {
    append_stat(text, model.folder / name);
  }
  const std::uint64_t files = io::xxh3({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  const std::string weights = model.weights_sha256.empty() ? "unlisted" : model.weights_sha256.substr(0, 16);
  return cache / fmt::format("{}-{:016x}-v{}.reefenc", weights, files, internal::kFormatVersion);
}

std::unique_ptr<Embedder> open_encoder(const std::filesystem::path& cache, const model::EmbeddingModel& model) {
  return std::make_unique<LocalEncoder>(open_or_compile(cache, model), model);
}

}  // namespace reef::embed
