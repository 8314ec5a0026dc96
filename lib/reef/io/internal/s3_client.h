#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/http.h"
#include "reef/io/internal/s3_answers.h"
#include "reef/io/s3_store.h"

namespace reef::io::internal {

/// A request to the bucket, or to an object in it.
struct S3Request {
  std::string method = "GET";
  std::optional<std::string> key{};                          ///< the store's; none: the bucket
  std::vector<std::pair<std::string, std::string>> query{};  ///< in no certain order, not yet encoded
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::optional<HttpFilePart> part{};
  std::uint64_t max_response_bytes = 64 << 20;
  std::vector<int> accepts{};       ///< statuses that are answers, beside 200 to 299
  bool is_slow = false;             ///< the service may think for minutes, and end an answer 200 with an error
  bool* was_answer_lost = nullptr;  ///< set when an attempt may have been carried out without our learning of it
};

/// Sends requests until one is answered, a fault lasts, or none is left.
class S3Client {
 public:
  S3Client(const S3Place& place, const std::filesystem::path& scratch, const S3Options& options);

  /// An answer with a status of 200 to 299 and no error in it, or with one that the request accepts. Throws
  /// Error{failed} naming URL, the service's code and what to look at; Error{corrupt} for an answer that is too long.
  HttpReply ask(const S3Request& request) const;

  /// "http://127.0.0.1:8333/tower/reef/KEY", without a query; of the bucket where there is no key.
  std::string url_of(const std::optional<std::string>& key) const;
  /// A key as the service knows it, and back: nullopt for one that is not the store's.
  std::string full_key(const std::string& key) const;
  std::optional<std::string> own_key(const std::string& full) const;
  const HttpHelper& http() const { return http_; }

  /// Why an answer is none, with what to look at.
  Error error_of(const std::string& url, const HttpReply& reply, int attempts) const;
  /// An answer that is not what S3 says there.
  Error odd_answer(const std::string& url) const;
  std::string key_hint() const;

 private:
  std::string hint_for(const HttpReply& reply, const S3Fault& fault) const;

  S3Place place_;
  S3Options options_;
  HttpHelper http_;
};

}  // namespace reef::io::internal
