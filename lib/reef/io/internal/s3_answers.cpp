#include "reef/io/internal/s3_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/internal/xml.h"

namespace reef::io::internal {
namespace {

constexpr std::size_t kMessageCells = 300;
constexpr std::uint32_t kMaxPartNumber = 10'000;

std::optional<XmlElement> root_of(std::string_view body, std::string_view name) {
  auto root = parse_xml(body);
  if (!root || root->name != name) return std::nullopt;
  return root;
}

template <typename Number>
std::optional<Number> number_of(const XmlElement& element, std::string_view name) {
  const std::string text = element.text_of(name);
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Time> time_of(const XmlElement& element, std::string_view name) {
  try {
    return parse_time(element.text_of(name));
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool goes_on(const XmlElement& root) { return root.text_of("IsTruncated") == "true"; }

std::string without_quotes(std::string text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

std::optional<S3Fault> parse_s3_fault(std::string_view body) {
  const auto root = root_of(body, "Error");
  if (!root || root->text_of("Code").empty()) return std::nullopt;
  const auto shown = [&](std::string_view name) { return ellipsis(printable(root->text_of(name)), kMessageCells); };
  return S3Fault{shown("Code"), shown("Message"), shown("Region")};
}

std::optional<S3Listing> parse_s3_listing(std::string_view body) {
  const auto root = root_of(body, "ListBucketResult");
  if (!root) return std::nullopt;
  S3Listing listing;
  for (const XmlElement& object : root->children) {
    if (object.name != "Contents") continue;
    const auto bytes = number_of<std::uint64_t>(object, "Size");
    const std::string key = object.text_of("Key");
    if (!bytes || key.empty()) return std::nullopt;
    listing.objects.push_back({key, *bytes});
  }
  if (!goes_on(*root)) return listing;
  listing.next = root->text_of("NextContinuationToken");
  if (listing.next.empty() || listing.objects.empty()) return std::nullopt;
  return listing;
}

std::optional<S3Parts> parse_s3_parts(std::string_view body) {
  const auto root = root_of(body, "ListPartsResult");
  if (!root) return std::nullopt;
  S3Parts found;
  for (const XmlElement& part : root->children) {
    if (part.name != "Part") continue;
    const auto number = number_of<std::uint32_t>(part, "PartNumber");
    const auto bytes = number_of<std::uint64_t>(part, "Size");
    if (!number || *number == 0 || *number > kMaxPartNumber || !bytes) return std::nullopt;
    found.parts.push_back({*number, *bytes, without_quotes(part.text_of("ETag")), part.text_of("ChecksumSHA256"),
                           time_of(part, "LastModified")});
  }
  if (!goes_on(*root)) return found;
  const auto next = number_of<std::uint32_t>(*root, "NextPartNumberMarker");
  if (!next || found.parts.empty()) return std::nullopt;
  found.next = std::to_string(*next);
  return found;
}

std::optional<S3Uploads> parse_s3_uploads(std::string_view body) {
  const auto root = root_of(body, "ListMultipartUploadsResult");
  if (!root) return std::nullopt;
  S3Uploads found;
  for (const XmlElement& upload : root->children) {
    if (upload.name != "Upload") continue;
    found.uploads.push_back({upload.text_of("Key"), upload.text_of("UploadId"), time_of(upload, "Initiated")});
    if (found.uploads.back().key.empty() || found.uploads.back().id.empty()) return std::nullopt;
  }
  if (!goes_on(*root)) return found;
  found.next_key = root->text_of("NextKeyMarker");
  found.next_id = root->text_of("NextUploadIdMarker");
  if (found.next_key.empty() || found.uploads.empty()) return std::nullopt;
  return found;
}

std::optional<std::string> parse_s3_begun(std::string_view body) {
  const auto root = root_of(body, "InitiateMultipartUploadResult");
  if (!root || root->text_of("UploadId").empty()) return std::nullopt;
  return root->text_of("UploadId");
}

std::optional<std::string> parse_s3_completed(std::string_view body) {
  const auto root = root_of(body, "CompleteMultipartUploadResult");
  if (!root) return std::nullopt;
  return root->text_of("ChecksumSHA256");
}

std::string s3_completion(const std::vector<S3Part>& parts) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const S3Part& part : parts) {
    xml += fmt::format(
        "<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag><ChecksumSHA256>{}</ChecksumSHA256></Part>",
        part.number, escaped(part.etag), escaped(part.sha256));
  }
  return xml + "</CompleteMultipartUpload>";
}

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text) {
  // "Mon, 30 Nov 2026 22:01:19 GMT": the one form that RFC 9110 lets servers send.
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || !text.ends_with(" GMT") || text[19] != ':' || text[22] != ':') return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t count) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, value);
    return error == std::errc{} && end == text.data() + at + count ? value : 10'000U;
  };
  const std::size_t month = kMonths.find(text.substr(8, 3));
  const unsigned day_of_month = number(5, 2), hour = number(17, 2), minute = number(20, 2), second = number(23, 2),
                 year = number(12, 4);
  if (month == std::string_view::npos || month % 3 != 0 || hour > 23 || minute > 59 || second > 60 || year > 9999 ||
      day_of_month > 31)
    return std::nullopt;
  const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(year)),
                                        std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                        std::chrono::day(day_of_month)};
  if (!day.ok()) return std::nullopt;
  return std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

std::string to_base64(const Sha256Digest& digest) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < digest.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, digest.size() - at);
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? digest[at + i] : 0U);
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::string s3_checksum_of_parts(const std::vector<Sha256Digest>& parts) {
  Sha256 all;
  for (const Sha256Digest& part : parts) all.update(part);
  return fmt::format("{}-{}", to_base64(all.finish()), parts.size());
}

}  // namespace reef::io::internal
