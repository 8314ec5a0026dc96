#include "reef/io/json_service.h"

#include <fmt/format.h>
#include <unistd.h>

#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

constexpr int kAttempts = 4;

JsonServiceOptions checked(JsonServiceOptions options) {
  options.require_usable();
  return options;
}

std::string reason_of(const HttpReply& reply) {
  if (reply.status == 0) return reply.error;
  const std::string message = service_message(reply.body);
  return fmt::format("status {}{}{}", reply.status, message.empty() ? "" : ": ", message);
}

}  // namespace

void JsonServiceOptions::require_usable() const {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    throw Error(Errc::usage, fmt::format("{}.url is \"{}\"", section, shown_url(url)),
                fmt::format("it begins with http:// or https://, such as http://127.0.0.1:8080{}", path));
  if (model.empty()) throw Error(Errc::usage, fmt::format("{}.model is empty", section), "name the service's model");
  if (!key_file.empty() && ::access(key_file.c_str(), R_OK) != 0)
    throw Error(Errc::usage, fmt::format("{}.key_file: {} cannot be read", section, shown(key_file)),
                fmt::format("check {} in system.yaml", section));
}

JsonService::JsonService(JsonServiceOptions options, const std::filesystem::path& scratch)
    : options_(checked(std::move(options))), http_(scratch, fmt::format("check {} in system.yaml", options_.section)) {}

JsonService::Reply JsonService::ask(std::string_view json) const {
  for (int attempt = 1;; ++attempt) {
    HttpReply reply = http_.post(options_.url, options_.key_file, json, options_.timeout, options_.max_response_bytes);
    // A timeout is not tried again: the request would only take as long once more.
    if (reply.status == 200 || attempt == kAttempts || !is_worth_another_try(reply)) return {std::move(reply), attempt};
    const auto wait = wait_after(reply, attempt);
    log_step("{}: {}; trying again in {} ms", shown_url(options_.url), reason_of(reply), wait.count());
    pause(wait);
  }
}

Error JsonService::error_of(const Reply& reply) const {
  const std::string tried = reply.attempts > 1 ? fmt::format(" ({} attempts)", reply.attempts) : std::string();
  return {Errc::failed, fmt::format("{}: {}{}", shown_url(options_.url), reason_of(reply.http), tried),
          hint_for(reply.http)};
}

std::string JsonService::hint_for(const HttpReply& reply) const {
  const std::string& section = options_.section;
  if (reply.kind == "connect")
    return fmt::format("is the service running? {}.url in system.yaml says where it is", section);
  if (reply.kind == "resolve") return fmt::format("check the host's name in {}.url of system.yaml", section);
  if (reply.kind == "timeout")
    return fmt::format("is the model still loading? {}.timeout_seconds gives it longer", section);
  if (reply.kind == "tls") return fmt::format("the certificate must be valid for the host in {}.url", section);
  switch (reply.status) {
    case 401:
    case 403:
      return options_.key_file.empty()
                 ? fmt::format("the service wants a key: put it into a file and name that in {}.key_file", section)
                 : fmt::format("check the key in {} ({}.key_file)", shown(options_.key_file), section);
    case 404:
      return fmt::format("check {0}.url (it ends in {1}) and {0}.model", section, options_.path);
    case 429:
      return "the service asks for fewer requests; run the command again later";
    default:
      return reply.status >= 500 ? "the service's own log says more" : "";
  }
}

}  // namespace reef::io
