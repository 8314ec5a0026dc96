#include "reef/io/internal/s3_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"

namespace reef::io::internal {
namespace {

using namespace std::chrono_literals;

/// While a service puts parts together nothing is sent; Amazon's keeps the connection alive for minutes.
constexpr auto kSlowStall = 600s;
/// S3 refuses requests that are further away from its own time.
constexpr auto kMaxSkew = 15min;

bool is_success(int status) { return status >= 200 && status < 300; }

template <std::size_t Count>
bool is_among(const std::string& code, const std::array<std::string_view, Count>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

/// Faults that pass, whatever the status they come with.
bool is_passing(const std::string& code) {
  return is_among<8>(code, {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted",
                            "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"});
}

bool is_full(const HttpReply& reply, const std::string& code) {
  return reply.status == 507 || is_among<5>(code, {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull",
                                                   "XMinioAdminBucketQuotaExceeded", "StorageFull"});
}

/// By how much the clock here is ahead, where that can be why a request is refused.
std::optional<std::chrono::seconds> skew_of(const HttpReply& reply, const std::string& code) {
  if (reply.status != 403 && reply.status != 400) return std::nullopt;
  const auto there = parse_http_date(reply.header("date"));
  const bool is_named = code == "RequestTimeTooSkewed";
  if (!there) return is_named ? std::optional(0s) : std::nullopt;
  const auto here = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (!is_named && std::chrono::abs(here - *there) < kMaxSkew) return std::nullopt;
  return here - *there;
}

S3Fault fault_of(const HttpReply& reply) { return parse_s3_fault(reply.body).value_or(S3Fault{}); }

std::string reason_of(const HttpReply& reply, const S3Fault& fault) {
  if (reply.status == 0) return reply.error;
  if (fault.code.empty()) return fmt::format("status {}", reply.status);
  if (const auto skew = skew_of(reply, fault.code); skew && skew->count() != 0) {
    return fmt::format("{}: the clock of this machine is {} {} the service's", fault.code,
                       format_duration(std::chrono::abs(*skew)), skew->count() > 0 ? "ahead of" : "behind");
  }
  return fmt::format("{}{}{}", fault.code, fault.message.empty() ? "" : ": ", fault.message);
}

}  // namespace

S3Client::S3Client(const S3Place& place, const fs::path& scratch, const S3Options& options)
    : place_(place),
      options_(options),
      http_(scratch, fmt::format("check {0}.key_file, .region and .endpoint in system.yaml", place.section)) {}

std::string S3Client::full_key(const std::string& key) const {
  return place_.prefix.empty() ? key : place_.prefix + "/" + key;
}

std::optional<std::string> S3Client::own_key(const std::string& full) const {
  const std::string start = full_key("");
  if (!full.starts_with(start) || !is_object_key(full.substr(start.size()))) return std::nullopt;
  return full.substr(start.size());
}

std::string S3Client::url_of(const std::optional<std::string>& key) const {
  if (key) return place_.url() + "/" + *key;
  S3Place bucket = place_;
  bucket.prefix.clear();
  return bucket.url();
}

HttpReply S3Client::ask(const S3Request& request) const {
  HttpRequest wanted;
  wanted.method = request.method;
  const std::string url = url_of(request.key);
  wanted.url = url;
  for (const auto& [name, value] : request.query)
    wanted.url += fmt::format("{}{}={}", wanted.url.size() == url.size() ? "?" : "&", name, url_query(value));
  wanted.headers = request.headers;
  if (request.part || request.method == "PUT" || request.method == "POST")
    wanted.headers.emplace_back("Content-Type", "application/octet-stream");
  wanted.body = request.body;
  wanted.part = request.part;
  wanted.sigv4 = place_.sigv4;
  wanted.max_response_bytes = request.max_response_bytes;
  wanted.stall = request.is_slow ? std::max<std::chrono::seconds>(kSlowStall, options_.stall) : options_.stall;
  for (int attempt = 1;; ++attempt) {
    const HttpReply reply = http_.send(wanted);
    const bool is_accepted =
        std::find(request.accepts.begin(), request.accepts.end(), reply.status) != request.accepts.end();
    // An answer that began with 200 may end with an error: the service writes its head before it is done.
    const S3Fault fault = request.is_slow || !is_success(reply.status) ? fault_of(reply) : S3Fault{};
    if (is_accepted || (is_success(reply.status) && fault.code.empty())) return reply;
    const bool is_passing_one = is_passing(fault.code) ||
                                (reply.status != 501 && !is_full(reply, fault.code) && is_worth_another_try(reply)) ||
                                reply.kind == "timeout";
    const bool is_lost = reply.status == 0 ? reply.kind != "connect" && reply.kind != "resolve"
                                           : reply.status >= 500 || is_success(reply.status);
    if (request.was_answer_lost && is_lost) *request.was_answer_lost = true;
    if (!is_passing_one || attempt >= options_.attempts) throw error_of(url, reply, attempt);
    const auto wait = wait_after(reply, attempt);
    log_step("{}: {}; trying again in {}", url, reason_of(reply, fault), format_duration(wait));
    pause(wait);
  }
}

Error S3Client::error_of(const std::string& url, const HttpReply& reply, int attempts) const {
  const S3Fault fault = fault_of(reply);
  const std::string tried = attempts > 1 ? fmt::format(" ({} attempts)", attempts) : std::string();
  const Errc code = reply.kind == "too_large" ? Errc::corrupt : Errc::failed;
  return {code, fmt::format("{}: {}{}", url, reason_of(reply, fault), tried), hint_for(reply, fault)};
}

Error S3Client::odd_answer(const std::string& url) const {
  return {Errc::failed, fmt::format("{}: the answer is none that an S3 service gives", url),
          fmt::format("check {}.endpoint in system.yaml", place_.section)};
}

std::string S3Client::key_hint() const {
  return fmt::format("check key id and secret key in {} ({}.key_file)", shown(place_.sigv4.key_file), place_.section);
}

std::string S3Client::hint_for(const HttpReply& reply, const S3Fault& fault) const {
  const std::string& section = place_.section;
  if (reply.kind == "connect")
    return fmt::format("is the service running? {}.endpoint in system.yaml says where it is", section);
  if (reply.kind == "resolve") return fmt::format("check the host's name in {}.endpoint of system.yaml", section);
  if (reply.kind == "tls") return fmt::format("the certificate must be valid for the host in {}.endpoint", section);
  if (reply.kind == "too_large") return "something else than reef has written there";
  if (reply.kind == "local") return "free some space, then run the command again: it goes on from there";
  if (reply.status == 0) return "run the command again: it goes on from there";
  if (skew_of(reply, fault.code))
    return "set the clock, as with 'timedatectl set-ntp true', then run the command again";
  if (fault.code == "InvalidAccessKeyId")
    return fmt::format("check the key id, line 1 of {} ({}.key_file)", shown(place_.sigv4.key_file), section);
  if (fault.code == "SignatureDoesNotMatch")
    return fmt::format("check the secret key, line 2 of {} ({}.key_file)", shown(place_.sigv4.key_file), section);
  if (fault.code == "NoSuchBucket")
    return fmt::format("make the bucket '{}', or check {}.to in system.yaml", place_.bucket, section);
  const bool is_elsewhere = is_among<4>(fault.code, {"AuthorizationHeaderMalformed", "PermanentRedirect",
                                                     "IllegalLocationConstraintException", "InvalidRegion"}) ||
                            (reply.status >= 300 && reply.status < 400);
  if (is_elsewhere) {
    const std::string wanted = fault.region.empty() ? "" : fmt::format("; the service's is {}", fault.region);
    return fmt::format("check {0}.region and .endpoint in system.yaml{1}", section, wanted);
  }
  if (is_full(reply, fault.code)) return "free some space there, as with 'reef-backup prune', or have its quota raised";
  if (reply.status == 401 || reply.status == 403)
    return fmt::format("the key in {} ({}.key_file) may not do this in the bucket '{}': check what it is allowed",
                       shown(place_.sigv4.key_file), section, place_.bucket);
  if (reply.status >= 500) return "the service's own log says more; a full one answers so, too";
  return "";
}

}  // namespace reef::io::internal
