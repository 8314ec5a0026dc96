// reef-http REQUEST.json RESULT.json: one HTTP request, with everything in files.
//
// libcurl and what it draws in cost a command 5 ms of start-up, so only this helper links it.
//
// REQUEST.json
//   method              "GET", "POST", "PUT", "DELETE", "HEAD"
//   url                 http:// or https://; redirects are not followed, they are an answer
//   headers             {"Content-Type": "application/json"}; optional
//   key_file            its first line is sent as "Authorization: Bearer …"; optional. The secret is
//                       read here, so that no argument, environment or other file ever holds it
//   body_file           optional
//   response_file       where the body of the answer goes
//   timeout_ms          for everything; connect_timeout_ms (default 5000) for the connection alone
//   max_response_bytes  a longer body ends the request
//
// RESULT.json, written when the request was attempted
//   status              of HTTP; 0 when no answer came
//   kind                "" or "connect", "resolve", "timeout", "tls", "too_large", "broken", "other"
//   error               why there is no complete answer, for people; "" when there is one
//   retry_after_seconds what the server asked for, 0 when nothing
//
// Exit status: 0 an answer came, whatever its status; 1 none did (RESULT.json says why);
// 2 the request is unusable and nothing was sent (one line on stderr).
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/unique_handle.h"

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using reef::Errc;
using reef::Error;

constexpr std::uint64_t kMaxKeyBytes = 64 << 10;
constexpr std::uint64_t kMaxRequestBytes = 1 << 20;

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

std::string read_key(const fs::path& path) {
  std::string key = reef::io::read_file(path, kMaxKeyBytes);
  key.resize(std::min(key.find_first_of("\r\n"), key.size()));
  while (!key.empty() && (key.back() == ' ' || key.back() == '\t')) key.pop_back();
  if (key.empty()) throw Error(Errc::usage, fmt::format("{} holds no key in its first line", reef::io::shown(path)));
  return key;
}

/// The response body on its way into its file.
struct Sink {
  int fd;
  std::string path;
  std::uint64_t room;
  bool overflowed = false;
  std::string failure;  ///< of writing the file
};

std::size_t receive(char* bytes, std::size_t, std::size_t count, void* context) {
  auto& sink = *static_cast<Sink*>(context);
  if (count > sink.room) {
    sink.overflowed = true;
    return 0;
  }
  try {
    reef::io::write_all(sink.fd, {bytes, count}, sink.path);
  } catch (const std::exception& e) {  // must not pass through C
    sink.failure = e.what();
    return 0;
  }
  sink.room -= count;
  return count;
}

const char* kind_of(CURLcode code, const Sink& sink) {
  if (sink.overflowed) return "too_large";
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

void set_method(const UniqueCurl& curl, const std::string& method, const std::string* body) {
  if (body) {
    set(curl, CURLOPT_POSTFIELDS, body->data());
    set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
  }
  if (method == "HEAD") {
    set(curl, CURLOPT_NOBODY, 1L);
  } else if (method == "GET" || method == "POST" || method == "PUT" || method == "DELETE") {
    set(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  } else {
    throw Error(Errc::usage, fmt::format("unknown method \"{}\"", method));
  }
}

HeaderList headers_of(const Json& request) {
  HeaderList headers;
  add_header(headers, "Expect:");  // no round trip before the body is sent
  const Json given = request.value("headers", Json::object());
  for (const auto& [name, value] : given.items()) {
    add_header(headers, fmt::format("{}: {}", name, value.get<std::string>()));
  }
  if (const std::string key_file = request.value("key_file", ""); !key_file.empty()) {
    add_header(headers, "Authorization: Bearer " + read_key(key_file));
  }
  return headers;
}

/// Runs the request; returns the exit status.
int run(const fs::path& request_file, const fs::path& result_file) {
  const Json request = Json::parse(reef::io::read_file(request_file, kMaxRequestBytes));
  const UniqueCurl curl(::curl_easy_init());
  if (!curl) throw Error(Errc::failed, "libcurl does not start");
  const HeaderList headers = headers_of(request);
  const std::string url = request.at("url").get<std::string>();
  const std::string no_proxy = hosts_without_proxy();
  std::string body;
  const bool has_body = request.contains("body_file");
  if (has_body) body = reef::io::read_file(request.at("body_file").get<std::string>());
  const fs::path response_file = request.at("response_file").get<std::string>();
  const reef::io::UniqueFd response =
      reef::io::open_file(response_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  Sink sink{response.get(), response_file, request.at("max_response_bytes").get<std::uint64_t>(), false, {}};
  std::array<char, CURL_ERROR_SIZE> message{};

  set(curl, CURLOPT_URL, url.c_str());
  set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  set_method(curl, request.at("method").get<std::string>(), has_body ? &body : nullptr);
  set(curl, CURLOPT_HTTPHEADER, headers.get());
  set(curl, CURLOPT_USERAGENT, "reef");
  set(curl, CURLOPT_NOPROXY, no_proxy.c_str());
  set(curl, CURLOPT_NOSIGNAL, 1L);
  set(curl, CURLOPT_TIMEOUT_MS, request.at("timeout_ms").get<long>());
  set(curl, CURLOPT_CONNECTTIMEOUT_MS, request.value("connect_timeout_ms", 5000L));
  set(curl, CURLOPT_WRITEFUNCTION, receive);
  set(curl, CURLOPT_WRITEDATA, &sink);
  set(curl, CURLOPT_ERRORBUFFER, message.data());

  const CURLcode code = ::curl_easy_perform(curl.get());
  long status = 0;
  curl_off_t retry_after = 0;
  ::curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  ::curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &retry_after);
  std::string error;
  if (sink.overflowed) {
    error = "the answer is longer than allowed";
  } else if (!sink.failure.empty()) {
    error = sink.failure;
  } else if (code != CURLE_OK) {
    error = message[0] != '\0' ? message.data() : ::curl_easy_strerror(code);
  }
  const Json result = {{"status", code == CURLE_OK ? status : 0},
                       {"kind", kind_of(code, sink)},
                       {"error", error},
                       {"retry_after_seconds", retry_after}};
  reef::io::replace_file(result_file, result.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", 0600);
  return code == CURLE_OK ? 0 : 1;
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
