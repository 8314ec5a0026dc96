#include "reef/memory/language_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/log.h"
#include "reef/io/json_service.h"

namespace reef::memory {
namespace {

constexpr const char* kPath = "/chat/completions";
constexpr std::uint64_t kMaxResponseBytes = 1 << 20;

/// What comes behind a "?" stays there.
std::string full_url(const std::string& url) {
  const std::size_t query = std::min(url.find('?'), url.size());
  std::string base = url.substr(0, query);
  while (base.ends_with('/')) base.pop_back();
  if (!base.empty() && !base.ends_with(kPath)) base += kPath;
  return base + url.substr(query);
}

io::JsonServiceOptions service_options(const LanguageModelOptions& options) {
  return {"endpoints.llm", "/v1", options.url, options.model, options.key_file, options.timeout, kMaxResponseBytes};
}

/// It is about what was sent, not about the service: another request may do better.
bool is_refusal(int status) { return status == 400 || status == 413 || status == 422; }

}  // namespace

std::optional<LanguageModelOptions> language_model_options(const tree::Config& config) {
  LanguageModelOptions options;
  options.url = full_url(config.text("system", "endpoints.llm.url"));
  if (options.url.empty()) return std::nullopt;
  options.model = config.text("system", "endpoints.llm.model");
  options.key_file = config.text("system", "endpoints.llm.key_file");
  options.timeout = std::chrono::seconds(config.count("system", "endpoints.llm.timeout_seconds"));
  service_options(options).require_usable();
  return options;
}

bool is_sent_in_the_open(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return false;
  std::string_view host = std::string_view(url).substr(kScheme.size());
  host = host.substr(0, host.find_first_of("/?#"));
  if (const auto at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  if (host.starts_with('[')) return !host.starts_with("[::1]");
  host = host.substr(0, host.find(':'));
  return host != "localhost" &&
         !(host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

LanguageModel::LanguageModel(LanguageModelOptions options) : options_(std::move(options)) {
  options_.url = full_url(options_.url);
}

std::optional<std::string> LanguageModel::ask(const std::filesystem::path& scratch, const Request& request) {
  if (!is_usable()) return std::nullopt;
  const io::JsonService service(service_options(options_), scratch);
  ++requests_;
  const auto begin = std::chrono::steady_clock::now();
  auto reply = service.ask(request(with_schema_));
  // Some services know no schema. The task says which form the answer is to have, too.
  if (with_schema_ && is_refusal(reply.http.status)) {
    ++requests_;
    auto without = service.ask(request(false));
    with_schema_ = without.http.status != 200;
    if (!with_schema_) reply = std::move(without);
  }
  waited_ += std::chrono::steady_clock::now() - begin;
  if (reply.http.status == 200) {
    if (waited_ >= options_.patience)
      note({Errc::failed,
            fmt::format("{}: a run waits for {} minutes of answers at most", io::shown_url(options_.url),
                        std::chrono::duration_cast<std::chrono::minutes>(options_.patience).count()),
            "the next run goes on with what is left of the summaries"});
    return std::move(reply.http.body);
  }
  if (is_refusal(reply.http.status)) {
    ++useless_;
  } else {
    useless_ = kMostUseless;
  }
  note(service.error_of(reply));
  return std::nullopt;
}

void LanguageModel::judge(bool is_of_use, const std::string& fault) {
  useless_ = is_of_use ? 0 : useless_ + 1;
  if (!fault.empty())
    note({Errc::corrupt, fmt::format("{}: {}", io::shown_url(options_.url), fault),
          "the model must answer in the form that is asked for; -v tells more"});
}

void LanguageModel::note(Error fault) {
  log_step("language model: {}", fault.what());
  if (!fault_) fault_ = std::move(fault);
}

}  // namespace reef::memory
