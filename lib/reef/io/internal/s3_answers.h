#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/io/object_store.h"

namespace reef::io::internal {

/// What a service says in the body of an error, made printable and short.
struct S3Fault {
  std::string code;     ///< "NoSuchKey"
  std::string message;  ///< may be empty
  std::string region;   ///< which one it would be, where that is the fault
};

struct S3Listing {
  std::vector<StoredObject> objects;  ///< keys with the store's prefix; in no certain order
  std::string next;                   ///< the token to go on with; empty at the end
};

struct S3Part {
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;
  std::string etag;    ///< without its quotes
  std::string sha256;  ///< base64, where the service tells
  std::optional<Time> modified;
};

struct S3Parts {
  std::vector<S3Part> parts;
  std::string next;  ///< the marker to go on with; empty at the end
};

struct S3Unfinished {
  std::string key, id;
  std::optional<Time> begun;
};

struct S3Uploads {
  std::vector<S3Unfinished> uploads;
  std::string next_key, next_id;  ///< the markers to go on with; both empty at the end
};

/// What each answer says; nullopt for a body that is none of the kind. Numbers that cannot be, keys that are empty, and
/// pages without end make it none.
std::optional<S3Fault> parse_s3_fault(std::string_view body);
std::optional<S3Listing> parse_s3_listing(std::string_view body);
std::optional<S3Parts> parse_s3_parts(std::string_view body);
std::optional<S3Uploads> parse_s3_uploads(std::string_view body);
/// The id of an upload that was begun.
std::optional<std::string> parse_s3_begun(std::string_view body);
/// The checksum of an upload that was completed ("knZjev…=-3"), empty where the service tells none.
std::optional<std::string> parse_s3_completed(std::string_view body);

/// What a request says of which parts an upload consists.
std::string s3_completion(const std::vector<S3Part>& parts);

/// The time of a Date header, "Mon, 30 Nov 2026 22:01:19 GMT"; nullopt for anything else.
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text);

/// As services write checksums: RFC 4648, section 4.
std::string to_base64(const Sha256Digest& digest);
/// The checksum of an object that was sent in parts: that of their checksums, and how many they are.
std::string s3_checksum_of_parts(const std::vector<Sha256Digest>& parts);

}  // namespace reef::io::internal
