#include "reef/io/s3_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/download.h"
#include "reef/io/file.h"
#include "reef/io/internal/s3_client.h"
#include "reef/io/internal/s3_upload.h"

namespace reef::io {
namespace {

using internal::S3Request;

constexpr std::uint64_t kPieceBytes = 16 << 20;
constexpr int kMaxPages = 100'000;
constexpr const char* kBeingBrought = ".part";  ///< what get_file() has of a file

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool is_number = !digits.empty() && error == std::errc{} && end == digits.data() + digits.size();
  return is_number ? std::optional(value) : std::nullopt;
}

/// Of "bytes 0-99/300" or "bytes */0" the number behind the slash.
std::optional<std::uint64_t> total_of(const std::string& content_range) {
  const std::size_t slash = content_range.find('/');
  return slash == std::string::npos ? std::nullopt : number(std::string_view(content_range).substr(slash + 1));
}

void require_key(const std::string& key) {
  if (!is_object_key(key)) throw std::logic_error("no key of an object: " + key);
}

bool is_bucket(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == std::string_view::npos;
}

}  // namespace

std::string S3Place::name() const { return fmt::format("s3://{}{}{}", bucket, prefix.empty() ? "" : "/", prefix); }

std::string S3Place::url() const {
  return fmt::format("{}{}{}{}{}", endpoint, endpoint.ends_with('/') ? "" : "/", bucket, prefix.empty() ? "" : "/",
                     url_path(prefix));
}

void S3Place::require_named() const {
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://"))
    throw Error(Errc::usage, fmt::format("{}.endpoint in system.yaml is \"{}\"", section, shown_url(endpoint)),
                "it begins with http:// or https://, such as http://127.0.0.1:8333");
  if (!is_bucket(bucket))
    throw Error(Errc::usage, fmt::format("{} names no bucket", name()), "it is s3://BUCKET/PREFIX");
  if (sigv4.key_file.empty())
    throw Error(Errc::usage, fmt::format("{} needs a key, and {}.key_file in system.yaml is empty", name(), section),
                "put key id and secret key into a file, one line each, and name it there");
}

void S3Place::require_usable() const {
  require_named();
  if (!prefix.empty() && !is_object_key(prefix))
    throw Error(Errc::usage, fmt::format("what stands behind the bucket of {} cannot stand there", name()),
                "it is of A-Z a-z 0-9 . _ - and '/' between parts of which none begins with a dot");
  require_private(sigv4.key_file, section + ".key_file");
}

void require_private(const fs::path& file, const std::string& setting) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0)
    throw Error(Errc::usage, fmt::format("{}: {} cannot be read", setting, shown(file)),
                fmt::format("check {} in system.yaml", setting));
  if ((info.st_mode & 077U) != 0)
    throw Error(
        Errc::usage,
        fmt::format("{} holds a secret, and others may read it (mode {:04o})", shown(file), info.st_mode & 07777U),
        fmt::format("run 'chmod 600 {}'", shown(file)));
}

S3Store::S3Store(S3Place place, fs::path scratch, const S3Options& options)
    : place_(std::move(place)), scratch_(std::move(scratch)), options_(options) {
  place_.require_usable();
  client_ = std::make_unique<internal::S3Client>(place_, scratch_, options_);
}

S3Store::~S3Store() = default;

std::string S3Store::name() const { return place_.name(); }

std::optional<fs::path> S3Store::local_path(const std::string& key) const {
  require_key(key);
  return std::nullopt;
}

std::vector<StoredObject> S3Store::list(const std::string& prefix) {
  std::vector<StoredObject> found;
  std::string token;
  for (int page = 0; page < kMaxPages; ++page) {
    S3Request request;
    request.query = {{"list-type", "2"}, {"prefix", client_->full_key(prefix)}};
    if (!token.empty()) request.query.emplace_back("continuation-token", token);
    auto listing = internal::parse_s3_listing(client_->ask(request).body);
    if (!listing || (!listing->next.empty() && listing->next == token)) throw client_->odd_answer(client_->url_of({}));
    for (const StoredObject& object : listing->objects) {
      const auto key = client_->own_key(object.key);  // others' objects are left alone
      if (key && key->starts_with(prefix)) found.push_back({*key, object.bytes});
    }
    token = listing->next;
    if (!token.empty()) continue;
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return found;
  }
  throw client_->odd_answer(client_->url_of({}));
}

std::optional<std::uint64_t> S3Store::find(const std::string& key) {
  require_key(key);
  S3Request request;
  request.method = "HEAD";
  request.key = key;
  request.accepts = {301, 400, 403, 404};
  HttpReply reply = client_->ask(request);
  if (reply.status == 404) return std::nullopt;
  if (reply.status == 200) {
    if (const auto bytes = number(reply.header("content-length"))) return bytes;
    throw client_->odd_answer(client_->url_of(key));
  }
  // An answer to HEAD has no body that would say why.
  request.method = "GET";
  request.headers = {{"Range", "bytes=0-0"}};
  request.accepts = {404, 416};
  request.max_response_bytes = 1 << 20;
  reply = client_->ask(request);
  if (reply.status == 404) return std::nullopt;
  if (const auto bytes = total_of(reply.header("content-range"))) return bytes;
  throw client_->odd_answer(client_->url_of(key));
}

/// `checksum`: what the service must tell, if it tells one.
void S3Store::check_stored(const std::string& key, std::uint64_t bytes, const std::string& checksum) {
  S3Request request;
  request.method = "HEAD";
  request.key = key;
  request.headers = {{"x-amz-checksum-mode", "ENABLED"}};
  const HttpReply reply = client_->ask(request);
  const auto stored = number(reply.header("content-length"));
  const std::string told = reply.header("x-amz-checksum-sha256");
  const char* hint = "the service keeps something else than it was sent: look after it, then run the command again";
  if (stored != bytes)
    throw Error(Errc::failed,
                fmt::format("{}: {} bytes were sent, {} are there", client_->url_of(key), bytes, stored.value_or(0)),
                hint);
  if (!told.empty() && told != checksum)
    throw Error(Errc::failed, fmt::format("{}: its checksum is {}, sent was {}", client_->url_of(key), told, checksum),
                hint);
}

void S3Store::put(const std::string& key, std::string_view bytes) {
  require_key(key);
  const std::string checksum = internal::to_base64(io::sha256(bytes));
  S3Request request;
  request.method = "PUT";
  request.key = key;
  request.headers = {{"x-amz-checksum-sha256", checksum}};
  request.body = bytes;
  client_->ask(request);
  check_stored(key, bytes.size(), checksum);
}

void S3Store::put_file(const std::string& key, const fs::path& file, const Sha256Digest& sha256, Progress& progress) {
  require_key(key);
  const std::uint64_t bytes = file_size(open_regular(file, "").get(), file);
  if (bytes > options_.part_bytes) {
    bool is_certain = true;
    internal::S3Upload upload(*client_, scratch_, options_.part_bytes);
    const std::string checksum = upload.run(key, file, bytes, sha256, progress, is_certain);
    check_stored(key, bytes, checksum);
    if (!is_certain || options_.reads_back) read_back(key, bytes, sha256);
    return;
  }
  if (const Sha256Digest found = sha256_file(file); found != sha256)
    throw Error(Errc::failed,
                fmt::format("{}: sha256 is {}, expected is {}", shown(file), to_hex(found), to_hex(sha256)),
                "it changed, or is damaged; run the command again");
  const std::string checksum = internal::to_base64(sha256);
  S3Request request;
  request.method = "PUT";
  request.key = key;
  request.headers = {{"x-amz-checksum-sha256", checksum}};
  request.part = HttpFilePart{file, 0, bytes, sha256};
  client_->ask(request);
  check_stored(key, bytes, checksum);
  if (options_.reads_back) read_back(key, bytes, sha256);
  progress.advance(bytes);
}

void S3Store::read_back(const std::string& key, std::uint64_t bytes, const Sha256Digest& sha256) {
  Sha256 whole;
  read(key, 0, bytes, [&](std::span<const std::uint8_t> piece) { whole.update(piece); });
  if (const Sha256Digest found = whole.finish(); found != sha256)
    throw Error(Errc::failed,
                fmt::format("{}: sha256 is {}, sent was {}", client_->url_of(key), to_hex(found), to_hex(sha256)),
                "run the command again");
}

std::string S3Store::get(const std::string& key, std::uint64_t max_bytes) {
  require_key(key);
  S3Request request;
  request.key = key;
  request.accepts = {404};
  request.max_response_bytes = std::max<std::uint64_t>(max_bytes, 64 << 10);  // errors have a body, too
  HttpReply reply = client_->ask(request);
  const std::string url = client_->url_of(key);
  if (reply.status == 404) throw Error(Errc::not_found, fmt::format("{}: there is no such object", url));
  if (reply.body.size() > max_bytes)
    throw Error(Errc::corrupt, fmt::format("{} has {} bytes, {} are allowed", url, reply.body.size(), max_bytes));
  return std::move(reply.body);
}

void S3Store::read(const std::string& key, std::uint64_t offset, std::uint64_t count,
                   const std::function<void(std::span<const std::uint8_t>)>& take) {
  require_key(key);
  const std::string url = client_->url_of(key);
  std::string etag;
  while (count > 0) {
    check_interrupt();
    const std::uint64_t length = std::min(count, kPieceBytes);
    S3Request request;
    request.key = key;
    request.headers = {{"Range", fmt::format("bytes={}-{}", offset, offset + length - 1)}};
    request.accepts = {404, 416};
    request.max_response_bytes = kPieceBytes;
    const HttpReply reply = client_->ask(request);
    if (reply.status == 404) throw Error(Errc::not_found, fmt::format("{}: there is no such object", url));
    const std::string range = reply.header("content-range");
    const bool is_all = reply.status == 200 && offset == 0 && reply.body.size() == length;
    if (reply.status == 416 || (reply.status == 206 && total_of(range).value_or(UINT64_MAX) < offset + length))
      throw Error(Errc::corrupt, fmt::format("{} has {} bytes, but {} bytes from byte {} were to be read", url,
                                             total_of(range).value_or(0), length, offset));
    if (!is_all &&
        (reply.status != 206 || !range.starts_with(fmt::format("bytes {}-{}/", offset, offset + length - 1)) ||
         reply.body.size() != length))
      throw client_->odd_answer(url);
    if (etag.empty()) etag = reply.header("etag");
    if (etag != reply.header("etag"))
      throw Error(Errc::failed, fmt::format("{} was replaced while it was read", url), "run the command again");
    take({reinterpret_cast<const std::uint8_t*>(reply.body.data()), reply.body.size()});
    offset += length;
    count -= length;
  }
}

void S3Store::get_file(const std::string& key, const fs::path& file, const Sha256Digest& sha256, Progress& progress) {
  require_key(key);
  const std::string url = client_->url_of(key);
  const auto bytes = find(key);
  if (!bytes) throw Error(Errc::not_found, fmt::format("{}: there is no such object", url));
  DownloadOptions options;
  options.url = url;
  options.file = file;
  options.file += kBeingBrought;
  options.bytes = bytes;
  options.sigv4 = place_.sigv4;
  options.on_refused = client_->key_hint();
  while (true) {
    const Downloaded done = download(client_->http(), options, progress);
    if (!done.is_there) throw Error(Errc::not_found, fmt::format("{}: there is no such object", url));
    const Sha256Digest found = sha256_file(options.file, [](std::uint64_t) { check_interrupt(); });
    if (found == sha256) break;
    fs::remove(options.file);
    fs::remove(etag_file_of(options.file));
    if (done.bytes_earlier == 0)
      throw Error(Errc::corrupt, fmt::format("{}: sha256 is {}, expected is {}", url, to_hex(found), to_hex(sha256)),
                  "the copy in the store is damaged");
    log_warn("{}: what an earlier run brought is damaged; fetching it again", url);
  }
  fs::remove(etag_file_of(options.file));
  sync_file(open_file(options.file, O_RDONLY).get(), options.file);
  fs::rename(options.file, file);
  sync_directory(file.parent_path());
}

void S3Store::remove(const std::string& key) {
  require_key(key);
  S3Request request;
  request.method = "DELETE";
  request.key = key;
  request.accepts = {404};
  const HttpReply reply = client_->ask(request);
  if (reply.status == 404 && internal::parse_s3_fault(reply.body).value_or(internal::S3Fault{}).code == "NoSuchBucket")
    throw client_->error_of(client_->url_of(key), reply, 1);
}

void S3Store::clean_up() {
  internal::S3Upload::end_old_ones(*client_, scratch_, place_.prefix.empty() ? "" : place_.prefix + "/");
}

}  // namespace reef::io
