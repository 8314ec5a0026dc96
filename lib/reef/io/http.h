#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/io/checksum.h"

namespace reef::io {

/// What came back from one request: tools/libexec/reef-http.cpp documents the fields.
struct HttpReply {
  int status = 0;    ///< 0: no answer, or not all of it
  std::string kind;  ///< why: "connect", "timeout", …
  std::string error;
  std::chrono::seconds retry_after{0};
  std::string body;  ///< of post() and send(); of download(), how an answer begins that is no file
  std::uint64_t received_bytes = 0;
  std::optional<std::uint64_t> total_bytes{};    ///< of download(): the whole file's, where the server told
  std::map<std::string, std::string> headers{};  ///< their names in small letters

  /// Empty where there is none.
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

/// Whom a request to an object store is signed for (Amazon's signature, version 4).
struct SigV4 {
  std::string region;
  std::filesystem::path key_file;  ///< two lines: key id and secret. Only the helper reads it
};

/// A part of a file that is the body of a request.
struct HttpFilePart {
  std::filesystem::path file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  Sha256Digest sha256{};  ///< what the request is signed with: a service refuses other bytes
};

/// Any request, with an answer that fits into memory. Redirects are answers.
struct HttpRequest {
  std::string method = "GET";
  std::string url{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};                  ///< sent where the method is to have one ("POST", "PUT"), also when empty
  std::optional<HttpFilePart> part{};  ///< in its place
  std::optional<SigV4> sigv4{};
  std::uint64_t max_response_bytes = 1 << 20;
  std::chrono::seconds stall = std::chrono::seconds(30);  ///< of less than 1 KiB/s, after which it ends
  std::chrono::seconds connect = std::chrono::seconds(15);
};

/// A file that a server has, or the part of it that is missing here.
struct HttpDownload {
  std::string url;
  std::filesystem::path file;                             ///< appended to; its ETag stands in etag_file_of(file)
  std::uint64_t from = 0;                                 ///< the bytes that it has, of the file with that ETag
  std::optional<std::uint64_t> bytes{};                   ///< what it must have at the end, if that is known
  std::uint64_t max_bytes = 0;                            ///< what it may have at most
  std::optional<SigV4> sigv4{};                           ///< redirects are followed only without
  std::chrono::seconds stall = std::chrono::seconds(30);  ///< of less than 1 KiB/s, after which it ends
  std::chrono::seconds connect = std::chrono::seconds(15);
};

/// "model.safetensors.etag": which version of the server's file the part here is of.
std::filesystem::path etag_file_of(const std::filesystem::path& file);

/// Sends requests through libexec/reef/reef-http, so that no command links libcurl. Owns a private folder for their
/// files, which is removed with the object.
class HttpHelper {
 public:
  /// scratch: where the folder is made; remove_stale() finds what a killed run left of it. hint: what to check when a
  /// request cannot be sent as configured. Throws Error{not_found} when the helper is not installed.
  HttpHelper(const std::filesystem::path& scratch, std::string hint);
  HttpHelper(const HttpHelper&) = delete;
  HttpHelper& operator=(const HttpHelper&) = delete;
  ~HttpHelper();

  /// Posts JSON. key_file may be empty. Throws Error{usage} when the request cannot be sent as
  /// configured (an unreadable key, say), Error{interrupted} on a signal.
  HttpReply post(const std::string& url, const std::filesystem::path& key_file, std::string_view json,
                 std::chrono::milliseconds timeout, std::uint64_t max_response_bytes) const;

  /// One attempt. Throws as post() does.
  HttpReply send(const HttpRequest& wanted) const;

  /// One attempt, after which the file has what came. `meanwhile` is called some ten times a second, and may throw to
  /// stop. Throws as post() does.
  HttpReply download(const HttpDownload& wanted, const std::function<void()>& meanwhile) const;

 private:
  std::filesystem::path program_;
  std::filesystem::path folder_;
  std::string hint_;
};

/// What stands between the slashes of a URL for a file's name: '%41' for what is not among A-Z a-z 0-9 - . _ ~ /.
std::string url_path(std::string_view path);
/// What stands for a text between '&' and '=' of a query: the same, and "%2F" for '/'.
std::string url_query(std::string_view text);
/// A URL for people: without its query, which may hold a key.
std::string shown_url(const std::string& url);
/// Whether the same request may find an answer a moment later. After a timeout it may, too, but would take as long
/// again.
bool is_worth_another_try(const HttpReply& reply);
/// How long to wait after the given attempt, counted from 1: 250 ms, doubled each time, or what the server asks for; 30
/// s at most.
std::chrono::milliseconds wait_after(const HttpReply& reply, int attempt);
/// Pauses, and notices a signal at once. Throws Error{interrupted}.
void pause(std::chrono::milliseconds duration);

}  // namespace reef::io
