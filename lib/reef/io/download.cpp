#include "reef/io/download.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

constexpr int kAttempts = 5;  ///< without progress
constexpr int kChanges = 3;   ///< of the server's file, after which it is given up
constexpr std::uint64_t kProgressBytes = 1 << 20;
constexpr std::size_t kMessageCells = 200;
constexpr const char* kGoesOn = "run the command again: it goes on from there";

std::uint64_t size_or_zero(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  return error ? 0 : bytes;
}

class Download {
 public:
  Download(const HttpHelper& http, const DownloadOptions& options, Progress& progress)
      : http_(http), options_(options), progress_(progress) {}

  Downloaded run() {
    int attempt = 0, changes = 0;
    std::uint64_t furthest = 0;  // where attempts begin anew each time, the same bytes again are no progress
    while (true) {
      const std::uint64_t present = size_or_zero(options_.file);
      const auto from = resume_at(present, fs::exists(etag_file_of(options_.file)), options_.bytes);
      if (!told_) furthest = done_.bytes_earlier = from.value_or(present);
      report(from.value_or(present));
      if (!from) return finished();
      const HttpReply reply = attempt_from(*from);
      const std::uint64_t now = size_or_zero(options_.file);
      done_.bytes_received += reply.received_bytes;
      const bool is_part = reply.status == 206 && now < reply.total_bytes.value_or(now);  // less than was asked for
      if (reply.status == 200 || (reply.status == 206 && !is_part)) return finished();
      // Where the server does not say how long the file is, its digest does.
      const bool is_end = reply.total_bytes ? *reply.total_bytes == *from : !options_.bytes && *from > 0;
      if (reply.status == 416 && is_end) return finished();
      if (reply.status == 404 || reply.status == 410 || (reply.status == 403 && options_.may_be_absent)) {
        if (options_.may_be_absent || now == 0) forget();
        done_.is_there = false;
        return done_;
      }
      if (reply.status == 416 || reply.kind == "changed") {
        log_info("{}: the file has changed; beginning anew", shown_url(options_.url));
        forget();
        if (++changes > kChanges) give_up(reply, changes);
        continue;
      }
      if (now >= *from + kProgressBytes && now >= furthest + kProgressBytes) {
        attempt = 0;
        furthest = now;
      }
      const bool may_go_on = is_part || is_worth_another_try(reply) || reply.kind == "timeout";
      if (++attempt == kAttempts || !may_go_on) give_up(reply, attempt);
      const auto wait = wait_after(reply, attempt);
      log_step("{}: {}; going on in {}", shown_url(options_.url), reason_of(reply), format_duration(wait));
      pause(wait);
    }
  }

 private:
  HttpReply attempt_from(std::uint64_t from) {
    HttpDownload wanted;
    wanted.url = options_.url;
    wanted.file = options_.file;
    wanted.from = from;
    wanted.bytes = options_.bytes;
    wanted.max_bytes = options_.max_bytes;
    wanted.sigv4 = options_.sigv4;
    HttpReply reply = http_.download(wanted, [&] { report(size_or_zero(options_.file)); });
    report(size_or_zero(options_.file));
    return reply;
  }

  /// A file that is begun anew is told of once.
  void report(std::uint64_t bytes) {
    if (bytes > told_.value_or(0)) progress_.advance(bytes - told_.value_or(0));
    told_ = std::max(told_.value_or(0), bytes);
  }

  Downloaded finished() const {
    const std::uint64_t bytes = size_or_zero(options_.file);
    if (options_.bytes && bytes != *options_.bytes)
      throw Error(Errc::corrupt, fmt::format("{}: the file that came has {} bytes, expected are {}",
                                             shown_url(options_.url), bytes, *options_.bytes));
    if (bytes == 0) open_file(options_.file, O_WRONLY | O_CREAT);  // an empty one needs no bytes
    return done_;
  }

  void forget() const {
    fs::remove(options_.file);
    fs::remove(etag_file_of(options_.file));
  }

  static std::string reason_of(const HttpReply& reply) {
    if (reply.status == 0) return reply.error;
    std::string message = ellipsis(printable(reply.body), kMessageCells);
    return fmt::format("status {}{}{}", reply.status, message.empty() ? "" : ": ", message);
  }

  [[noreturn]] void give_up(const HttpReply& reply, int attempts) const {
    const std::uint64_t here = size_or_zero(options_.file);
    const std::string of = options_.bytes ? fmt::format(" of {}", format_size(*options_.bytes)) : "";
    const Errc code = reply.kind == "size" || reply.kind == "too_large" ? Errc::corrupt : Errc::failed;
    throw Error(code,
                fmt::format("{}: {}{}{}", shown_url(options_.url), reason_of(reply),
                            attempts > 1 ? fmt::format(" ({} attempts)", attempts) : "",
                            here > 0 ? fmt::format("; {}{} are here", format_size(here), of) : ""),
                hint_for(reply, here));
  }

  std::string hint_for(const HttpReply& reply, std::uint64_t here) const {
    const bool is_refused = reply.status == 401 || reply.status == 403;
    const bool is_odd = options_.sigv4 && reply.status >= 300 && reply.status < 500 && reply.status != 429;  // a region
    if (is_refused || is_odd) return options_.on_refused;
    if (reply.kind == "tls") return "the certificate must be valid for the host";
    if (reply.kind == "resolve") return "check the host's name, or the network; what is here is kept for the next run";
    if (reply.kind == "local") return "free some space, then run the command again: it goes on from there";
    if (reply.kind == "size" || reply.kind == "too_large") return "the server has another file than was promised";
    return here > 0 ? kGoesOn : "run the command again later";
  }

  const HttpHelper& http_;
  const DownloadOptions& options_;
  Progress& progress_;
  Downloaded done_;
  std::optional<std::uint64_t> told_;
};

}  // namespace

std::optional<std::uint64_t> resume_at(std::uint64_t present, bool has_etag, std::optional<std::uint64_t> wanted) {
  if (wanted && present == *wanted) return std::nullopt;
  if (!has_etag || (wanted && present > *wanted)) return 0;
  return present;
}

Downloaded download(const HttpHelper& http, const DownloadOptions& options, Progress& progress) {
  return Download(http, options, progress).run();
}

}  // namespace reef::io
