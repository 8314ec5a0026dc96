#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "reef/core/error.h"
#include "reef/tree/config.h"

namespace reef::memory {

/// An OpenAI-compatible `/v1/chat/completions` service (endpoints.llm in system.yaml).
struct LanguageModelOptions {
  std::string url;                 ///< "http://127.0.0.1:8080/v1", with or without "/chat/completions"
  std::string model;               ///< the name sent in the request
  std::filesystem::path key_file;  ///< holds the API key; empty: none is sent
  std::chrono::milliseconds timeout{60000};
  /// For all answers of one run together: whoever writes memories waits for that run.
  std::chrono::milliseconds patience = std::chrono::minutes(20);
};
/// nullopt when no url is set: then nothing is ever sent. Throws as io::JsonServiceOptions::require_usable().
std::optional<LanguageModelOptions> language_model_options(const tree::Config& config);
/// Whether others on the way can read what is sent: http:// to another machine.
bool is_sent_in_the_open(const std::string& url);

/// The language model of one run, which may be about several personas.
///
/// It is never needed: whoever asks goes on without an answer. Requests are tried again as those to the embedding
/// service are; one that brings no answer even then is the last of the run, and so is the third in a row whose answer
/// is of no use, and the one that ends behind the run's patience. That bounds what a run waits for.
class LanguageModel {
 public:
  explicit LanguageModel(LanguageModelOptions options);

  const std::string& name() const { return options_.model; }
  bool is_usable() const { return useless_ < kMostUseless && waited_ < options_.patience; }
  std::uint64_t requests() const { return requests_; }
  /// What went wrong first in this run; nullopt: nothing.
  const std::optional<Error>& fault() const { return fault_; }

  /// The request's JSON, with a schema of the answer (response_format) or without.
  using Request = std::function<std::string(bool with_schema)>;
  /// The body of an answer with status 200; nullopt when there is none, or nothing is asked any more. The files of the
  /// request are in `scratch`, for nobody else to read, while it is on its way. A service that refuses it is asked
  /// without the schema, and from then on, if it answers so. Throws Error{usage} for a configuration by which nothing
  /// can be sent, Error{interrupted}.
  std::optional<std::string> ask(const std::filesystem::path& scratch, const Request& request);
  /// Whether the answer could be used, in part at least; `fault`: what of it could not, empty: nothing.
  void judge(bool is_of_use, const std::string& fault);

 private:
  static constexpr int kMostUseless = 3;
  void note(Error fault);

  LanguageModelOptions options_;
  std::uint64_t requests_ = 0;
  bool with_schema_ = true;
  int useless_ = 0;  ///< answers in a row
  std::chrono::steady_clock::duration waited_{0};
  std::optional<Error> fault_;
};

/// What one persona's run asked, and got.
struct LanguageModelUse {
  std::string model;
  std::uint64_t requests = 0;
  std::uint64_t asked = 0;           ///< messages that a second score was asked for
  std::uint64_t answered = 0;        ///< of them, with one that counts
  std::uint64_t fell_back = 0;       ///< messages that were decided without, though they were to be asked about
  std::uint64_t summaries = 0;       ///< sessions that have one since
  std::uint64_t not_summarised = 0;  ///< sessions that should have one, and wait for another run
};

}  // namespace reef::memory
