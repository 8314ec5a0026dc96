#include "reef/embed/internal/http_helper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "reef/tree/folders.h"

namespace reef::embed::internal {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// What the helper may take beyond the request's own time limit, which libcurl keeps.
constexpr std::chrono::milliseconds kSpareTime{5000};
constexpr std::uint64_t kMaxResultBytes = 1 << 20;

/// Files that live for one request need no durability, only privacy.
void write_private(const fs::path& path, std::string_view bytes) {
  io::write_all(io::open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600).get(), bytes, path);
}

}  // namespace

HttpHelper::HttpHelper(const fs::path& scratch) : program_(io::helper_path("reef-http")) {
  tree::make_folders(scratch);
  const fs::path folder = io::temporary_name(scratch / "endpoint");
  if (::mkdir(folder.c_str(), 0700) != 0) throw_errno("create", folder.string());
  folder_ = folder;
}

HttpHelper::~HttpHelper() {
  std::error_code ignored;  // what stays is removed by the next remove_stale()
  fs::remove_all(folder_, ignored);
}

HttpReply HttpHelper::post(const std::string& url, const fs::path& key_file, std::string_view json,
                           std::chrono::milliseconds timeout, std::uint64_t max_response_bytes) const {
  const fs::path request = folder_ / "request.json";
  const fs::path body = folder_ / "body.json";
  const fs::path response = folder_ / "response";
  const fs::path result = folder_ / "result.json";
  Json fields = {{"method", "POST"},
                 {"url", url},
                 {"headers", {{"Content-Type", "application/json"}, {"Accept", "application/json"}}},
                 {"body_file", body.string()},
                 {"response_file", response.string()},
                 {"timeout_ms", timeout.count()},
                 {"max_response_bytes", max_response_bytes}};
  if (!key_file.empty()) fields["key_file"] = key_file.string();
  write_private(body, json);
  write_private(request, fields.dump(-1, ' ', false, Json::error_handler_t::replace));
  fs::remove(result);

  io::ProcessLimits limits;
  limits.wall = timeout + kSpareTime;
  const io::ProcessResult run = io::run_process({program_.string(), request.string(), result.string()}, {}, limits);
  if (run.timed_out) return {0, "timeout", "the helper did not end in time", {}, {}};
  if (run.status == 2) {
    const std::string reason = run.error_text.substr(0, run.error_text.find('\n'));
    throw Error(Errc::usage, fmt::format("{}: {}", url, reason), "check endpoints.embedding in system.yaml");
  }
  if (run.status > 1) throw Error(Errc::failed, fmt::format("reef-http ended with status {}", run.status));

  HttpReply reply;
  const Json answer = Json::parse(io::read_file(result, kMaxResultBytes), nullptr, false);
  if (answer.is_discarded()) throw Error(Errc::failed, fmt::format("{}: reef-http wrote no result", io::shown(result)));
  reply.status = answer.value("status", 0);
  reply.kind = answer.value("kind", "");
  reply.error = answer.value("error", "");
  reply.retry_after = std::chrono::seconds(answer.value("retry_after_seconds", std::int64_t{0}));
  if (reply.status != 0) reply.body = io::read_file(response, max_response_bytes);
  return reply;
}

}  // namespace reef::embed::internal
