#include "reef/embed/endpoint.h"

#include <fmt/format.h>

#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/embed/internal/embedding_protocol.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/http.h"
#include "reef/tree/folders.h"

namespace reef::embed {
namespace {

using io::HttpReply;

constexpr int kAttempts = 4;
constexpr const char* kHint = "check endpoints.embedding in system.yaml";
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
  explicit Endpoint(EndpointOptions options) : options_(std::move(options)), http_(made(options_.scratch), kHint) {
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
    const std::string body = internal::request_body(options_.model, prefix, texts);
    for (int attempt = 1;; ++attempt) {
      HttpReply reply = http_.post(options_.url, options_.key_file, body, options_.timeout, kMaxResponseBytes);
      if (reply.status == 200) return std::move(reply.body);
      // A timeout is not tried again: the request would only take as long once more.
      if (attempt == kAttempts || !io::is_worth_another_try(reply)) give_up(reply, attempt);
      const auto wait = io::wait_after(reply, attempt);
      log_step("{}: {}; trying again in {} ms", options_.url, reason_of(reply), wait.count());
      io::pause(wait);
    }
  }

  static std::string reason_of(const HttpReply& reply) {
    if (reply.status == 0) return reply.error;
    const std::string message = internal::service_message(reply.body);
    return fmt::format("status {}{}{}", reply.status, message.empty() ? "" : ": ", message);
  }

  [[noreturn]] void give_up(const HttpReply& reply, int attempts) const {
    const std::string tried = attempts > 1 ? fmt::format(" ({} attempts)", attempts) : std::string();
    throw Error(Errc::failed, fmt::format("{}: {}{}", options_.url, reason_of(reply), tried), hint_for(reply));
  }

  std::string hint_for(const HttpReply& reply) const {
    if (reply.kind == "connect")
      return "is the service running? endpoints.embedding.url in system.yaml says where it is";
    if (reply.kind == "resolve") return "check the host's name in endpoints.embedding.url of system.yaml";
    if (reply.kind == "timeout")
      return "is the model still loading? endpoints.embedding.timeout_seconds gives it longer";
    if (reply.kind == "tls") return "the certificate must be valid for the host in endpoints.embedding.url";
    switch (reply.status) {
      case 401:
      case 403:
        return options_.key_file.empty()
                   ? "the service wants a key: put it into a file and name that in endpoints.embedding.key_file"
                   : fmt::format("check the key in {} (endpoints.embedding.key_file)", io::shown(options_.key_file));
      case 404:
        return "check endpoints.embedding.url (it ends in /v1/embeddings) and endpoints.embedding.model";
      case 429:
        return "the service asks for fewer requests; run the command again later";
      default:
        return reply.status >= 500 ? "the service's own log says more" : "";
    }
  }

  EndpointOptions options_;
  io::HttpHelper http_;
};

}  // namespace

std::unique_ptr<Embedder> open_endpoint(const EndpointOptions& options) {
  if (!options.url.starts_with("http://") && !options.url.starts_with("https://")) {
    throw Error(Errc::usage, fmt::format("endpoints.embedding.url is \"{}\"", options.url),
                "it begins with http:// or https://, such as http://127.0.0.1:8080/v1/embeddings");
  }
  if (options.model.empty()) throw Error(Errc::usage, "endpoints.embedding.model is empty", "name the service's model");
  return std::make_unique<Endpoint>(options);
}

}  // namespace reef::embed
