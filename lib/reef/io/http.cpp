#include "reef/io/http.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"

namespace reef::io {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

/// What the helper may take beyond the request's own time limit, which libcurl keeps.
constexpr std::chrono::milliseconds kSpareTime{5000};
constexpr std::uint64_t kMaxResultBytes = 1 << 20;
constexpr std::chrono::milliseconds kFirstWait = 250ms;
constexpr std::chrono::milliseconds kLongestWait = 30s;
constexpr int kStallBytesPerSecond = 1024;

/// Files that live for one request need no durability, only privacy.
void write_private(const fs::path& path, std::string_view bytes) {
  write_all(open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600).get(), bytes, path);
}

/// Runs the helper on `request`; `limit` 0 means none.
HttpReply run(const fs::path& program, const fs::path& folder, const Json& request, std::chrono::milliseconds limit,
              const std::string& hint, const std::function<void()>& meanwhile) {
  const fs::path request_file = folder / "request.json";
  const fs::path result = folder / "result.json";
  write_private(request_file, request.dump(-1, ' ', false, Json::error_handler_t::replace));
  fs::remove(result);
  ProcessLimits limits;
  if (limit.count() > 0) limits.wall = limit + kSpareTime;
  const ProcessResult done =
      run_process({program.string(), request_file.string(), result.string()}, {}, limits, meanwhile);
  if (done.timed_out) return {0, "timeout", "the helper did not end in time", {}, {}, 0, {}};
  const std::string reason = done.error_text.substr(0, done.error_text.find('\n'));
  if (done.status == 3) return {0, "local", reason, {}, {}, 0, {}};
  if (done.status == 2) {
    throw Error(Errc::usage, fmt::format("{}: {}", shown_url(request["url"].get<std::string>()), reason), hint);
  }
  if (done.status > 1) throw Error(Errc::failed, fmt::format("reef-http ended with status {}", done.status));

  HttpReply reply;
  const Json answer = Json::parse(read_file(result, kMaxResultBytes), nullptr, false);
  if (answer.is_discarded()) throw Error(Errc::failed, fmt::format("{}: reef-http wrote no result", shown(result)));
  reply.status = answer.value("status", 0);
  reply.kind = answer.value("kind", "");
  reply.error = answer.value("error", "");
  reply.retry_after =
      std::chrono::seconds(std::clamp<std::int64_t>(answer.value("retry_after_seconds", std::int64_t{0}), 0, 86400));
  reply.received_bytes = answer.value("received_bytes", std::uint64_t{0});
  reply.body = answer.value("message", "");
  if (answer.contains("headers")) reply.headers = answer["headers"].get<std::map<std::string, std::string>>();
  if (answer.contains("total_bytes")) reply.total_bytes = answer["total_bytes"].get<std::uint64_t>();
  return reply;
}

std::string encoded(std::string_view text, std::string_view plain) {
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        plain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

std::string url_path(std::string_view path) { return encoded(path, "-._~/"); }
std::string url_query(std::string_view text) { return encoded(text, "-._~"); }
std::string shown_url(const std::string& url) { return url.substr(0, url.find('?')); }

fs::path etag_file_of(const fs::path& file) {
  fs::path path = file;
  return path += ".etag";
}

HttpHelper::HttpHelper(const fs::path& scratch, std::string hint)
    : program_(helper_path("reef-http")), hint_(std::move(hint)) {
  const fs::path folder = temporary_name(scratch / "http");
  if (::mkdir(folder.c_str(), 0700) != 0) throw_errno("create", folder.string());
  folder_ = folder;
}

HttpHelper::~HttpHelper() {
  std::error_code ignored;  // what stays is removed by the next remove_stale()
  fs::remove_all(folder_, ignored);
}

HttpReply HttpHelper::post(const std::string& url, const fs::path& key_file, std::string_view json,
                           std::chrono::milliseconds timeout, std::uint64_t max_response_bytes) const {
  const fs::path body = folder_ / "body.json";
  const fs::path response = folder_ / "response";
  Json request = {{"method", "POST"},
                  {"url", url},
                  {"headers", {{"Content-Type", "application/json"}, {"Accept", "application/json"}}},
                  {"body_file", body.string()},
                  {"response_file", response.string()},
                  {"timeout_ms", timeout.count()},
                  {"max_response_bytes", max_response_bytes}};
  if (!key_file.empty()) request["key_file"] = key_file.string();
  write_private(body, json);
  HttpReply reply = run(program_, folder_, request, timeout, hint_, {});
  if (reply.status != 0) reply.body = read_file(response, max_response_bytes);
  return reply;
}

HttpReply HttpHelper::send(const HttpRequest& wanted) const {
  const fs::path body = folder_ / "body";
  const fs::path response = folder_ / "response";
  Json request = {{"method", wanted.method},
                  {"url", wanted.url},
                  {"headers", Json::object()},
                  {"response_file", response.string()},
                  {"timeout_ms", 0},
                  {"connect_timeout_ms", std::chrono::milliseconds(wanted.connect).count()},
                  {"low_speed", {{"bytes_per_second", kStallBytesPerSecond}, {"seconds", wanted.stall.count()}}},
                  {"max_response_bytes", wanted.max_response_bytes}};
  for (const auto& [name, value] : wanted.headers) request["headers"][name] = value;
  if (wanted.sigv4) {
    request["sigv4"] = {{"region", wanted.sigv4->region}, {"key_file", wanted.sigv4->key_file.string()}};
  }
  if (wanted.part) {
    request["body_file"] = wanted.part->file.string();
    request["body_part"] = {{"offset", wanted.part->offset}, {"bytes", wanted.part->bytes}};
    request["body_sha256"] = to_hex(wanted.part->sha256);
  } else if (wanted.method == "POST" || wanted.method == "PUT") {
    write_private(body, wanted.body);
    request["body_file"] = body.string();
  }
  HttpReply reply = run(program_, folder_, request, 0ms, hint_, {});
  if (reply.status != 0) reply.body = read_file(response, wanted.max_response_bytes);
  return reply;
}

HttpReply HttpHelper::download(const HttpDownload& wanted, const std::function<void()>& meanwhile) const {
  Json request = {{"method", "GET"},
                  {"url", wanted.url},
                  {"response_file", wanted.file.string()},
                  {"timeout_ms", 0},
                  {"connect_timeout_ms", std::chrono::milliseconds(wanted.connect).count()},
                  {"low_speed", {{"bytes_per_second", kStallBytesPerSecond}, {"seconds", wanted.stall.count()}}},
                  {"max_response_bytes", wanted.bytes.value_or(wanted.max_bytes)},
                  {"download", {{"from", wanted.from}, {"etag_file", etag_file_of(wanted.file).string()}}}};
  if (wanted.bytes) request["download"]["bytes"] = *wanted.bytes;
  if (wanted.sigv4) {
    request["sigv4"] = {{"region", wanted.sigv4->region}, {"key_file", wanted.sigv4->key_file.string()}};
  } else {
    request["follow_redirects"] = true;
  }
  return run(program_, folder_, request, 0ms, hint_, meanwhile);
}

bool is_worth_another_try(const HttpReply& reply) {
  if (reply.status != 0) return reply.status == 429 || reply.status >= 500;
  return reply.kind == "connect" || reply.kind == "resolve" || reply.kind == "broken";
}

std::chrono::milliseconds wait_after(const HttpReply& reply, int attempt) {
  const auto least = std::min(kFirstWait * (1 << std::min(attempt - 1, 16)), kLongestWait);
  return std::clamp<std::chrono::milliseconds>(reply.retry_after, least, kLongestWait);
}

void pause(std::chrono::milliseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  for (auto left = duration; left > 0ms;) {
    check_interrupt();
    std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(left, 50ms));
    left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  }
  check_interrupt();
}

}  // namespace reef::io
