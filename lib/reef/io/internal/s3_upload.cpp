#include "reef/io/internal/s3_upload.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/io/file.h"

namespace reef::io::internal {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMaxParts = 10'000;
constexpr std::uint64_t kPartUnit = 1 << 20;
constexpr auto kIdle = 24h;             ///< without a part: whoever sent it is gone
constexpr auto kRecordLasts = 8 * 24h;  ///< so that the next weekly run goes on with it
constexpr int kMaxPages = 10'000;

/// Larger where there would be too many.
std::uint64_t part_bytes_for(std::uint64_t bytes, std::uint64_t wanted) {
  const std::uint64_t least = (bytes + kMaxParts - 1) / kMaxParts;
  return least <= wanted ? wanted : (least + kPartUnit - 1) / kPartUnit * kPartUnit;
}

std::string without_quotes(const std::string& etag) {
  return etag.size() >= 2 && etag.front() == '"' && etag.back() == '"' ? etag.substr(1, etag.size() - 2) : etag;
}

bool is_younger(const fs::path& file, std::chrono::hours age) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  return !error && fs::file_time_type::clock::now() - written < age;
}

}  // namespace

std::optional<std::vector<S3Part>> s3_parts(const S3Client& client, const std::string& key, const std::string& id) {
  std::vector<S3Part> all;
  std::string marker;
  for (int page = 0; page < kMaxPages; ++page) {
    S3Request request;
    request.key = key;
    request.query = {{"uploadId", id}};
    if (!marker.empty()) request.query.emplace_back("part-number-marker", marker);
    request.accepts = {404};
    const HttpReply reply = client.ask(request);
    if (reply.status == 404) {
      if (parse_s3_fault(reply.body).value_or(S3Fault{}).code != "NoSuchBucket") return std::nullopt;
      throw client.error_of(client.url_of(key), reply, 1);
    }
    auto found = parse_s3_parts(reply.body);
    if (!found) throw client.odd_answer(client.url_of(key));
    std::move(found->parts.begin(), found->parts.end(), std::back_inserter(all));
    if (found->next.empty() || found->next == marker) return all;
    marker = found->next;
  }
  throw client.odd_answer(client.url_of(key));
}

void end_s3_upload(const S3Client& client, const std::string& key, const std::string& id) {
  S3Request request;
  request.method = "DELETE";
  request.key = key;
  request.query = {{"uploadId", id}};
  request.accepts = {404};
  client.ask(request);
}

S3Upload::S3Upload(const S3Client& client, const fs::path& scratch, std::uint64_t part_bytes)
    : client_(client), scratch_(scratch), part_bytes_(part_bytes) {}

/// Finds the upload that an earlier run began with the same bytes, or begins one.
void S3Upload::open(const std::string& key, std::uint64_t bytes, const Sha256Digest& sha256) {
  const std::string url = client_.url_of(key);
  record_file_ = UploadRecord::path_of(scratch_, url);
  const std::uint64_t part_bytes = part_bytes_for(bytes, part_bytes_);
  if (auto earlier = UploadRecord::read(record_file_); earlier && earlier->url == url) {
    if (earlier->sha256 == sha256 && earlier->bytes == bytes && earlier->part_bytes == part_bytes) {
      if (auto parts = s3_parts(client_, key, earlier->id)) {
        for (S3Part& part : *parts) arrived_[part.number] = std::move(part);
        record_ = std::move(*earlier);
        return record_.begin(record_file_);
      }
    } else {
      end_s3_upload(client_, key, earlier->id);
    }
  }
  S3Request request;
  request.method = "POST";
  request.key = key;
  request.query = {{"uploads", ""}};
  request.headers = {{"x-amz-checksum-algorithm", "SHA256"}};
  const auto id = parse_s3_begun(client_.ask(request).body);
  if (!id) throw client_.odd_answer(url);
  record_ = {};
  record_.url = url;
  record_.id = *id;
  record_.sha256 = sha256;
  record_.bytes = bytes;
  record_.part_bytes = part_bytes;
  record_.begin(record_file_);
}

S3Part S3Upload::send(const std::string& key, std::uint32_t number, const HttpFilePart& part) const {
  const std::string checksum = to_base64(part.sha256);
  S3Request request;
  request.method = "PUT";
  request.key = key;
  request.query = {{"partNumber", std::to_string(number)}, {"uploadId", record_.id}};
  request.headers = {{"x-amz-checksum-sha256", checksum}};
  request.part = part;
  const HttpReply reply = client_.ask(request);
  const std::string etag = without_quotes(reply.header("etag"));
  const std::string stored = reply.header("x-amz-checksum-sha256");
  if (etag.empty()) throw client_.odd_answer(client_.url_of(key));
  if (!stored.empty() && stored != checksum) {
    throw Error(Errc::failed,
                fmt::format("{}: part {} arrived with the checksum {}, sent was {}", client_.url_of(key), number,
                            stored, checksum),
                "run the command again: it goes on from there");
  }
  return {number, part.bytes, etag, checksum, {}};
}

/// False where the answer was lost, and the upload is gone: most likely the object is there.
bool S3Upload::complete(const std::string& key, const std::vector<S3Part>& parts, const std::string& checksum) const {
  bool was_lost = false;
  S3Request request;
  request.method = "POST";
  request.key = key;
  request.query = {{"uploadId", record_.id}};
  request.body = s3_completion(parts);
  request.is_slow = true;
  request.accepts = {404};
  request.was_answer_lost = &was_lost;
  const HttpReply reply = client_.ask(request);
  const std::string url = client_.url_of(key);
  if (reply.status == 404) {
    if (was_lost && parse_s3_fault(reply.body).value_or(S3Fault{}).code == "NoSuchUpload") return false;
    throw client_.error_of(url, reply, 1);
  }
  const auto stored = parse_s3_completed(reply.body);
  if (!stored) throw client_.odd_answer(url);
  if (!stored->empty() && *stored != checksum)
    throw Error(Errc::failed, fmt::format("{}: its checksum is {}, sent were parts with {}", url, *stored, checksum));
  return true;
}

std::string S3Upload::run(const std::string& key, const fs::path& file, std::uint64_t bytes, const Sha256Digest& sha256,
                          Progress& progress, bool& is_certain) {
  open(key, bytes, sha256);
  const UniqueFd fd = open_regular(file, "");
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(record_.part_bytes));
  Sha256 whole;
  std::vector<S3Part> parts;
  std::vector<Sha256Digest> digests;
  std::size_t earlier = 0;
  for (std::uint64_t offset = 0; offset < bytes; offset += record_.part_bytes) {
    check_interrupt();
    const auto number = static_cast<std::uint32_t>(parts.size() + 1);
    HttpFilePart part{file, offset, std::min(record_.part_bytes, bytes - offset), {}};
    const std::span piece(buffer.data(), static_cast<std::size_t>(part.bytes));
    pread_exact(fd.get(), piece.data(), piece.size(), offset, file);
    part.sha256 = whole.update_and_digest(piece);
    digests.push_back(part.sha256);
    const auto known = record_.parts.find(number);
    const auto there = arrived_.find(number);
    const bool is_there = there != arrived_.end() && known != record_.parts.end() &&
                          there->second.bytes == part.bytes && known->second.sha256 == part.sha256 &&
                          known->second.etag == there->second.etag &&
                          (there->second.sha256.empty() || there->second.sha256 == to_base64(part.sha256));
    if (is_there) {
      parts.push_back({number, part.bytes, there->second.etag, to_base64(part.sha256), {}});
      ++earlier;
    } else {
      parts.push_back(send(key, number, part));
      record_.add(number, {part.sha256, parts.back().etag});
    }
    progress.advance(part.bytes);
  }
  if (earlier > 0) log_step("{}: {} of {} parts were there", client_.url_of(key), earlier, parts.size());
  if (whole.finish() != sha256) {
    end_s3_upload(client_, key, record_.id);
    fs::remove(record_file_);
    throw Error(Errc::failed, fmt::format("{} changed while it was sent", shown(file)), "run the command again");
  }
  std::string checksum = s3_checksum_of_parts(digests);
  is_certain = complete(key, parts, checksum);
  fs::remove(record_file_);
  return checksum;
}

void S3Upload::end_old_ones(const S3Client& client, const fs::path& scratch, const std::string& prefix) {
  S3Uploads page;
  for (int pages = 0; pages < kMaxPages; ++pages) {
    S3Request request;
    request.query = {{"prefix", prefix}, {"uploads", ""}};
    if (!page.next_key.empty()) request.query.emplace_back("key-marker", page.next_key);
    if (!page.next_id.empty()) request.query.emplace_back("upload-id-marker", page.next_id);
    const HttpReply reply = client.ask(request);
    // What is old is so by the service's clock, which wrote the times.
    const auto date = parse_http_date(reply.header("date"));
    const Time there = date ? Time(*date) : now();
    auto found = parse_s3_uploads(reply.body);
    if (!found) throw client.odd_answer(client.url_of({}));
    for (const S3Unfinished& upload : found->uploads) {
      check_interrupt();
      const auto key = client.own_key(upload.key);
      if (!key || !upload.begun || there - *upload.begun < kIdle) continue;
      const fs::path record_file = UploadRecord::path_of(scratch, client.url_of(*key));
      const auto record = UploadRecord::read(record_file);
      const bool is_recorded = record && record->id == upload.id;
      if (is_recorded && is_younger(record_file, kRecordLasts)) continue;
      const auto parts = s3_parts(client, *key, upload.id);
      const bool is_active = parts && std::any_of(parts->begin(), parts->end(), [&](const S3Part& part) {
                               return part.modified && there - *part.modified < kIdle;
                             });
      if (is_active) continue;
      end_s3_upload(client, *key, upload.id);
      if (is_recorded) fs::remove(record_file);
      log_step("{}: ended an upload of {} that nobody went on with", client.url_of(*key), to_rfc3339(*upload.begun));
    }
    if (found->next_key.empty() || (found->next_key == page.next_key && found->next_id == page.next_id)) break;
    page = std::move(*found);
  }
}

}  // namespace reef::io::internal
