#include "reef/embed/endpoint.h"

#include <fmt/format.h>

#include <vector>

#include "reef/core/cancel.h"
#include "reef/embed/internal/embedding_protocol.h"
#include "reef/io/checksum.h"
#include "reef/io/json_service.h"
#include "reef/tree/folders.h"

namespace reef::embed {
namespace {

/// 64 vectors of 8192 numbers written with 20 digits each fit.
constexpr std::uint64_t kMaxResponseBytes = 64u << 20;
constexpr std::size_t kBytesPerToken = 4;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The helper's files lie in the scratch folder, which is made at need.
const std::filesystem::path& made(const std::filesystem::path& scratch) {
  tree::make_folders(scratch);
  return scratch;
}

class Endpoint final : public Embedder {
 public:
  explicit Endpoint(EndpointOptions options)
      : options_(std::move(options)),
        service_({"endpoints.embedding", "/v1/embeddings", options_.url, options_.model, options_.key_file,
                  options_.timeout, kMaxResponseBytes},
                 made(options_.scratch)) {
    if (options_.dim == 0) {
      const std::string_view probe = "dimension";
      options_.dim = internal::read_dimension(ask({}, {&probe, 1}), options_.url);
    }
  }

  /// The address is no part of it: a service that moves keeps its vectors.
  Identity identity() const override {
    const std::string all = fmt::format("endpoint\n{}\n{}\n{}\n{}\n{}", options_.model, options_.dim,
                                        options_.max_tokens, options_.query_prefix, options_.passage_prefix);
    return {options_.model, io::to_hex(io::sha256(all)), options_.dim};
  }

  std::size_t passage_tokens() const override {
    const std::size_t taken = 2 + count_tokens(options_.passage_prefix);
    return options_.max_tokens > taken ? options_.max_tokens - taken : 1;
  }

  /// The service's tokenizer is unknown: each word counts a quarter of its bytes, at least one.
  std::size_t count_tokens(std::string_view text) const override {
    std::size_t tokens = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      while (at < text.size() && !is_space(text[at])) ++at;
      tokens += (at - begin + kBytesPerToken - 1) / kBytesPerToken;
      while (at < text.size() && is_space(text[at])) ++at;
    }
    return tokens;
  }

  void embed_query(std::string_view text, std::span<float> out) override {
    internal::read_vectors(ask(options_.query_prefix, {&text, 1}), options_.url, 1, options_.dim, out);
  }

  /// One request after the other, whatever `threads` says: the work is the service's to spread.
  void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned /*threads*/,
                      Progress& progress) override {
    while (!texts.empty()) {
      check_interrupt();
      const std::size_t count = internal::batch_size(texts);
      internal::read_vectors(ask(options_.passage_prefix, texts.first(count)), options_.url, count, options_.dim,
                             out.first(count * options_.dim));
      texts = texts.subspan(count);
      out = out.subspan(count * options_.dim);
      progress.advance(count);
    }
  }

 private:
  /// The body of a good answer, after as many attempts as it takes.
  std::string ask(const std::string& prefix, std::span<const std::string_view> texts) const {
    auto reply = service_.ask(internal::request_body(options_.model, prefix, texts));
    if (reply.http.status != 200) throw service_.error_of(reply);
    return std::move(reply.http.body);
  }

  EndpointOptions options_;
  io::JsonService service_;
};

}  // namespace

std::unique_ptr<Embedder> open_endpoint(const EndpointOptions& options) { return std::make_unique<Endpoint>(options); }

}  // namespace reef::embed
