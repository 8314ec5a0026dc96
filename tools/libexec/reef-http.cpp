// reef-http REQUEST.json RESULT.json: one HTTP request, with everything in files.
//
// libcurl and what it draws in cost a command 5 ms of start-up, so only this helper links it.
//
// REQUEST.json
//   method              "GET", "POST", "PUT", "DELETE", "HEAD"
//   url                 http:// or https://
//   headers             {"Content-Type": "application/json"}; optional
//   key_file            its first line is sent as "Authorization: Bearer …"; optional. The secret is
//                       read here, so that no argument, environment or other file ever holds it; in the body of
//                       an answer that is an error it becomes "…"
//   sigv4               {"region", "key_file"}: signed for an S3 service; the two lines of the file are
//                       key id and secret. The query is sorted here; redirects are not followed
//   body_file           optional
//   body_part           {"offset", "bytes"}: that part of it alone is the body, read as it is sent; optional
//   body_sha256         of the body, in hexadecimal digits; with body_part needed, else found out where it is
//   response_file       where the body of the answer goes
//   follow_redirects    else, and by default, they are an answer. From https to http never; the
//                       Authorization header goes to the host of `url` alone
//   timeout_ms          for everything, 0: none; connect_timeout_ms (default 5000) for the connection alone
//   low_speed           {"bytes_per_second", "seconds"}: a slower transfer ends; optional
//   max_response_bytes  a longer body, or a longer file of a download, ends the request
//   download            the body of an answer 200 or 206 is a file; optional. {
//     "from"            response_file has so many bytes of it, and what follows is asked for. An answer with
//                       the whole file replaces them
//     "etag_file"       the strong ETag of the file that response_file is a part of: If-Range with it keeps
//                       two versions of a file apart. Written before the first byte; absent where there is none
//     "bytes"           what the whole file must have; optional }
//
// RESULT.json, written when the request was attempted
//   status              of HTTP; 0 when no complete answer came
//   kind                "" or "connect", "resolve", "timeout", "tls", "too_large", "broken", "redirect", "other";
//                       "local": response_file cannot be written, or the body not read; "changed": the server sent a
//                       part of another file; "size": the server's file has not `bytes` bytes
//   error               why there is no complete answer, for people; "" when there is one
//   retry_after_seconds what the server asked for, 0 when nothing
//   received_bytes      that were written to response_file
//   headers             {"etag": "…"}: the answer's, their names in small letters, the last of several of a name
//   total_bytes         of the whole file of a download, where the server tells
//   message             of a download: the first bytes of an answer that is no file
//
// Exit status: 0 an answer came, whatever its status; 1 none did (RESULT.json says why);
// 2 the request is unusable and nothing was sent (one line on stderr); 3 RESULT.json cannot be written, as on
// a full disk (one line on stderr: why, or what went wrong before).
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "http_answer.h"
#include "http_body.h"
#include "http_key.h"
#include "http_url.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/unique_handle.h"

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using reef::Errc;
using reef::Error;

constexpr std::uint64_t kMaxRequestBytes = 1 << 20;
constexpr int kMaxRedirects = 10;

struct CurlTraits {
  using value_type = CURL*;
  static constexpr CURL* empty() noexcept { return nullptr; }
  static void release(CURL* handle) noexcept { ::curl_easy_cleanup(handle); }
};
struct HeaderListTraits {
  using value_type = curl_slist*;
  static constexpr curl_slist* empty() noexcept { return nullptr; }
  static void release(curl_slist* list) noexcept { ::curl_slist_free_all(list); }
};
using UniqueCurl = reef::io::UniqueHandle<CurlTraits>;
using HeaderList = reef::io::UniqueHandle<HeaderListTraits>;

template <typename Value>
void set(const UniqueCurl& curl, CURLoption option, Value value) {
  if (const CURLcode code = ::curl_easy_setopt(curl.get(), option, value); code != CURLE_OK) {
    throw Error(Errc::usage,
                fmt::format("libcurl refuses option {}: {}", static_cast<int>(option), ::curl_easy_strerror(code)));
  }
}

void add_header(HeaderList& list, const std::string& line) {
  if (line.find_first_of("\r\n") != std::string::npos) throw Error(Errc::usage, "a header holds a line break");
  curl_slist* longer = ::curl_slist_append(list.get(), line.c_str());
  if (!longer) throw Error(Errc::failed, "out of memory");
  static_cast<void>(list.release());  // its nodes belong to `longer` now
  list.reset(longer);
}

const char* kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return "";
    case CURLE_COULDNT_CONNECT:
      return "connect";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "resolve";
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION:
      return "tls";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "broken";
    default:
      return "other";
  }
}

/// A proxy for the outside world is no way to a service on this machine.
std::string hosts_without_proxy() {
  std::string hosts = "localhost,127.0.0.1,::1";
  for (const char* name : {"no_proxy", "NO_PROXY"}) {
    if (const char* more = std::getenv(name)) hosts += std::string(",") + more;
  }
  return hosts;
}

std::size_t send_part(char* into, std::size_t size, std::size_t count, void* body) {
  const long length = static_cast<reef::http::Body*>(body)->read(into, size * count);
  return length < 0 ? static_cast<std::size_t>(CURL_READFUNC_ABORT) : static_cast<std::size_t>(length);
}

int seek_part(void* body, curl_off_t offset, int origin) {
  const bool done = origin == SEEK_SET && static_cast<reef::http::Body*>(body)->seek(offset);
  return done ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

void set_method(const UniqueCurl& curl, const std::string& method, reef::http::Body& body) {
  if (body.is_part()) {
    set(curl, CURLOPT_UPLOAD, 1L);
    set(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body.bytes()));
    set(curl, CURLOPT_READFUNCTION, send_part);
    set(curl, CURLOPT_READDATA, &body);
    set(curl, CURLOPT_SEEKFUNCTION, seek_part);
    set(curl, CURLOPT_SEEKDATA, &body);
  } else if (body.is_there()) {
    set(curl, CURLOPT_POSTFIELDS, body.text().data());
    set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.bytes()));
  }
  if (method == "HEAD") {
    set(curl, CURLOPT_NOBODY, 1L);
  } else if (method == "GET" || method == "POST" || method == "PUT" || method == "DELETE") {
    set(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  } else {
    throw Error(Errc::usage, fmt::format("unknown method \"{}\"", method));
  }
}

/// `is_first`: the request goes to the host of the request's own URL.
HeaderList headers_of(const Json& request, const std::string& url, bool is_first, const reef::http::Body& body) {
  HeaderList headers;
  const Json given = request.value("headers", Json::object());
  for (const auto& [name, value] : given.items()) {
    add_header(headers, fmt::format("{}: {}", name, value.get<std::string>()));
  }
  if (request.contains("sigv4")) {
    // libcurl 7.88 signs a digest of its own only for what POSTFIELDS holds, and the host without its port.
    add_header(headers, "x-amz-content-sha256: " + body.sha256());
    add_header(headers, "Host: " + reef::http::Url(url).authority());
    return headers;  // without an empty Expect, which would be signed and not sent
  }
  add_header(headers, "Expect:");  // no round trip before the body is sent
  const std::string key_file = request.value("key_file", "");
  if (!key_file.empty() && is_first) add_header(headers, "Authorization: Bearer " + reef::http::read_key(key_file));
  return headers;
}

/// Services quote a key that they do not take ("bad key …"), and people put errors into logs.
void hide_key(const Json& request, long status) {
  const std::string key_file = request.value("key_file", "");
  if (key_file.empty() || status < 300 || request.contains("download")) return;
  const fs::path file = request.at("response_file").get<std::string>();
  const std::string key = reef::http::read_key(key_file);
  std::string text = reef::io::read_file(file);
  bool is_there = false;
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; is_there = true)
    text.replace(at, key.size(), "…");
  if (is_there) reef::io::write_all(reef::io::open_file(file, O_WRONLY | O_TRUNC | O_CLOEXEC).get(), text, file);
}

void set_sigv4(const UniqueCurl& curl, const Json& sigv4) {
  const std::string region = sigv4.at("region").get<std::string>();
  if (region.empty() || region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos)
    throw Error(Errc::usage, fmt::format("\"{}\" is no region", region));
  const reef::http::Secrets secrets = reef::http::read_secrets(sigv4.at("key_file").get<std::string>());
  set(curl, CURLOPT_AWS_SIGV4, fmt::format("aws:amz:{}:s3", region).c_str());
  set(curl, CURLOPT_USERNAME, secrets.id.c_str());  // not USERPWD: a key may hold a colon
  set(curl, CURLOPT_PASSWORD, secrets.secret.c_str());
}

std::size_t receive(char* bytes, std::size_t, std::size_t count, void* context) {
  return static_cast<reef::http::Answer*>(context)->take({bytes, count}) ? count : 0;
}

std::size_t receive_header(char* bytes, std::size_t, std::size_t count, void* context) {
  static_cast<reef::http::Answer*>(context)->header({bytes, count});
  return count;
}

/// Everything that is the same for each redirect.
void set_up(const UniqueCurl& curl, const Json& request, const std::string& no_proxy, reef::http::Answer& answer) {
  set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  set(curl, CURLOPT_USERAGENT, "reef");
  set(curl, CURLOPT_NOPROXY, no_proxy.c_str());
  set(curl, CURLOPT_NOSIGNAL, 1L);
  set(curl, CURLOPT_TIMEOUT_MS, request.at("timeout_ms").get<long>());
  set(curl, CURLOPT_CONNECTTIMEOUT_MS, request.value("connect_timeout_ms", 5000L));
  set(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (request.contains("low_speed")) {
    set(curl, CURLOPT_LOW_SPEED_LIMIT, request["low_speed"].at("bytes_per_second").get<long>());
    set(curl, CURLOPT_LOW_SPEED_TIME, request["low_speed"].at("seconds").get<long>());
  }
  if (!answer.range().empty()) set(curl, CURLOPT_RANGE, answer.range().c_str());
  if (request.contains("sigv4")) set_sigv4(curl, request["sigv4"]);
  set(curl, CURLOPT_WRITEFUNCTION, receive);
  set(curl, CURLOPT_WRITEDATA, &answer);
  set(curl, CURLOPT_HEADERFUNCTION, receive_header);
  set(curl, CURLOPT_HEADERDATA, &answer);
}

/// Runs the request; returns the exit status.
int run(const fs::path& request_file, const fs::path& result_file) {
  const Json request = Json::parse(reef::io::read_file(request_file, kMaxRequestBytes));
  const UniqueCurl curl(::curl_easy_init());
  if (!curl) throw Error(Errc::failed, "libcurl does not start");
  const bool is_signed = request.contains("sigv4");
  const bool follows = request.value("follow_redirects", false) && !is_signed;
  const std::string first = is_signed ? reef::http::with_sorted_query(request.at("url").get<std::string>())
                                      : request.at("url").get<std::string>();
  const std::string no_proxy = hosts_without_proxy();
  reef::http::Body body(request);
  std::unique_ptr<reef::http::Answer> opened;
  try {
    opened = std::make_unique<reef::http::Answer>(request);
  } catch (const Error& e) {  // as on a full disk
    if (e.code() != Errc::failed) throw;
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  }
  reef::http::Answer& answer = *opened;
  std::array<char, CURL_ERROR_SIZE> message{};
  set_up(curl, request, no_proxy, answer);
  set_method(curl, request.at("method").get<std::string>(), body);
  set(curl, CURLOPT_ERRORBUFFER, message.data());

  CURLcode code = CURLE_OK;
  long status = 0;
  for (std::string url = first; true;) {
    const bool is_first = reef::http::Url(url).origin() == reef::http::Url(first).origin();
    HeaderList headers = headers_of(request, url, is_first, body);
    if (!answer.if_range().empty()) add_header(headers, "If-Range: " + answer.if_range());
    set(curl, CURLOPT_URL, url.c_str());
    set(curl, CURLOPT_HTTPHEADER, headers.get());
    answer.begin_attempt();
    code = ::curl_easy_perform(curl.get());
    if (!body.error().empty()) answer.fail("local", body.error());
    ::curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    char* next = nullptr;
    ::curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &next);
    if (code != CURLE_OK || !follows || next == nullptr) break;
    if (answer.redirects() == kMaxRedirects) {
      answer.fail("redirect", fmt::format("more than {} redirects", kMaxRedirects));
      break;
    }
    if (url.starts_with("https:") && !std::string_view(next).starts_with("https:")) {
      const std::string_view to(next);
      answer.fail("redirect", fmt::format("redirected from https to {}", to.substr(0, to.find('?'))));
      break;
    }
    url = next;
    answer.redirected();
  }
  if (code == CURLE_OK) answer.finish();
  if (code == CURLE_OK) hide_key(request, status);
  curl_off_t retry_after = 0;
  ::curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &retry_after);
  const bool is_complete = code == CURLE_OK && answer.kind().empty();
  std::string error = answer.error();
  if (!is_complete && error.empty()) error = message[0] != '\0' ? message.data() : ::curl_easy_strerror(code);
  Json result = {{"status", is_complete ? status : 0},
                 {"kind", answer.kind().empty() ? kind_of(code) : answer.kind()},
                 {"error", error},
                 {"retry_after_seconds", retry_after},
                 {"received_bytes", answer.received_bytes()},
                 {"headers", answer.headers()},
                 {"message", answer.message()}};
  if (answer.total_bytes()) result["total_bytes"] = *answer.total_bytes();
  try {
    // Read as soon as this ends, and by nobody else: it needs no durability.
    const reef::io::UniqueFd file = reef::io::open_file(result_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const std::string text = result.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    reef::io::write_all(file.get(), text, result_file);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", error.empty() ? e.what() : error.c_str());
    return 3;
  }
  return is_complete ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: reef-http REQUEST.json RESULT.json\n", stderr);
    return 2;
  }
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
