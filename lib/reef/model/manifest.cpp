#include "reef/model/manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

using internal::json_string;
using internal::JsonScanner;
using internal::legible;

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// A path that stays inside the model's folder.
bool is_inner_path(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  const std::filesystem::path parts(path);
  return std::none_of(parts.begin(), parts.end(), [](const auto& p) { return p.empty() || p == ".." || p == "."; });
}

bool is_sha256(const std::string& digits) {
  return digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string read_digest(JsonScanner& scanner) {
  scanner.peek();
  const std::size_t at = scanner.position();
  std::string digits = scanner.string("a digest");
  if (!is_sha256(digits)) scanner.fail(at, "a sha256 is not 64 lower-case hexadecimal digits");
  return digits;
}

TensorDigest read_tensor(JsonScanner& scanner) {
  TensorDigest tensor;
  scanner.object("an object with name and sha256", [&](const std::string& key, std::size_t) {
    if (key == "name") {
      tensor.name = scanner.string("a name");
    } else if (key == "sha256") {
      tensor.sha256 = read_digest(scanner);
    } else {
      scanner.skip_value();
    }
  });
  return tensor;
}

ManifestFile read_file_entry(JsonScanner& scanner) {
  scanner.peek();
  const std::size_t at = scanner.position();
  ManifestFile file;
  bool has_bytes = false;
  scanner.object("an object with path, bytes and sha256", [&](const std::string& key, std::size_t) {
    if (key == "path") {
      file.path = scanner.string("a path");
    } else if (key == "bytes") {
      file.bytes = scanner.unsigned_integer("bytes");
      has_bytes = true;
    } else if (key == "sha256") {
      file.sha256 = scanner.string("a digest");
    } else if (key == "header_sha256") {
      file.header_sha256 = read_digest(scanner);
    } else if (key == "chunks_sha256") {
      file.chunks_sha256 = read_digest(scanner);
    } else if (key == "tensors") {
      scanner.array("an array of tensors", [&] { file.tensors.push_back(read_tensor(scanner)); });
    } else {
      scanner.skip_value();
    }
  });
  if (!is_inner_path(file.path)) scanner.fail(at, fmt::format("'{}' is no path inside the model", legible(file.path)));
  if (!has_bytes) scanner.fail(at, fmt::format("bytes of '{}' are missing", legible(file.path)));
  if (!is_sha256(file.sha256)) {
    scanner.fail(at, fmt::format("sha256 of '{}' is not 64 lower-case hexadecimal digits", legible(file.path)));
  }
  return file;
}

}  // namespace

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::base:
      return "base";
    case Kind::quantized:
      return "quantized";
    case Kind::adapter:
      break;
  }
  return "adapter";
}

std::string_view kind_folder(Kind kind) { return kind == Kind::adapter ? "adapters" : kind_name(kind); }

std::string qualified_name(Kind kind, std::string_view name) { return fmt::format("{}/{}", kind_folder(kind), name); }

Kind parse_kind(std::string_view name) {
  for (const Kind kind : kAllKinds) {
    if (kind_name(kind) == name) return kind;
  }
  throw Error(Errc::usage, fmt::format("'{}' is no kind of model", legible(name)),
              "the kinds are base, quantized and adapter");
}

bool is_model_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && is_alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_record_file(std::string_view path) {
  return path == kManifestFile || path == kChunksFile || path == kSignatureFile;
}

std::uint64_t Manifest::total_bytes() const {
  std::uint64_t total = 0;
  for (const ManifestFile& file : files) total += file.bytes;
  return total;
}

const ManifestFile* Manifest::find(std::string_view path) const {
  const auto it = std::find_if(files.begin(), files.end(), [&](const ManifestFile& f) { return f.path == path; });
  return it == files.end() ? nullptr : &*it;
}

std::string manifest_text(const Manifest& manifest) {
  std::string out = fmt::format("{{\n  \"schema\": \"{}\",\n", kManifestSchema);
  const auto field = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) out += fmt::format("  \"{}\": {},\n", key, json_string(value));
  };
  field("name", manifest.name);
  field("kind", kind_name(manifest.kind));
  field("source", manifest.source);
  field("licence", manifest.licence);
  field("persona", manifest.persona);
  field("created", manifest.created);
  out += "  \"files\": [";
  const char* separator = "\n";
  for (const ManifestFile& file : manifest.files) {
    out += fmt::format("{}    {{\"path\": {}, \"bytes\": {}, \"sha256\": \"{}\"", separator, json_string(file.path),
                       file.bytes, file.sha256);
    if (!file.header_sha256.empty()) out += fmt::format(",\n     \"header_sha256\": \"{}\"", file.header_sha256);
    if (!file.chunks_sha256.empty()) out += fmt::format(",\n     \"chunks_sha256\": \"{}\"", file.chunks_sha256);
    if (!file.tensors.empty()) {
      out += ",\n     \"tensors\": [";
      const char* comma = "\n";
      for (const TensorDigest& tensor : file.tensors) {
        out +=
            fmt::format("{}      {{\"name\": {}, \"sha256\": \"{}\"}}", comma, json_string(tensor.name), tensor.sha256);
        comma = ",\n";
      }
      out += "\n     ]";
    }
    out += '}';
    separator = ",\n";
  }
  return out + fmt::format("\n  ],\n  \"total_bytes\": {}\n}}\n", manifest.total_bytes());
}

Manifest parse_manifest(std::string_view json, const std::string& file) {
  JsonScanner scanner(json, file, 0);
  Manifest manifest;
  std::string schema;
  std::string kind;
  std::optional<std::uint64_t> total;
  scanner.object("'{'", [&](const std::string& key, std::size_t) {
    if (key == "schema") {
      schema = scanner.string("a schema");
    } else if (key == "name") {
      manifest.name = scanner.string("a name");
    } else if (key == "kind") {
      kind = scanner.string("a kind");
    } else if (key == "source") {
      manifest.source = scanner.string("a source");
    } else if (key == "licence") {
      manifest.licence = scanner.string("a licence");
    } else if (key == "persona") {
      manifest.persona = scanner.string("a persona");
    } else if (key == "created") {
      manifest.created = scanner.string("a time");
    } else if (key == "files") {
      scanner.array("an array of files", [&] { manifest.files.push_back(read_file_entry(scanner)); });
    } else if (key == "total_bytes") {
      total = scanner.unsigned_integer("total_bytes");
    } else {
      scanner.skip_value();
    }
  });
  scanner.expect_end();
  if (schema != kManifestSchema)
    scanner.fail(0, fmt::format("the schema is '{}', not {}", legible(schema), kManifestSchema));
  if (!is_model_name(manifest.name)) scanner.fail(0, fmt::format("'{}' is no name of a model", legible(manifest.name)));
  const auto known =
      std::find_if(std::begin(kAllKinds), std::end(kAllKinds), [&](Kind k) { return kind_name(k) == kind; });
  if (known == std::end(kAllKinds)) scanner.fail(0, fmt::format("'{}' is no kind of model", legible(kind)));
  manifest.kind = *known;
  std::sort(manifest.files.begin(), manifest.files.end(),
            [](const ManifestFile& a, const ManifestFile& b) { return a.path < b.path; });
  const auto twice = std::adjacent_find(manifest.files.begin(), manifest.files.end(),
                                        [](const ManifestFile& a, const ManifestFile& b) { return a.path == b.path; });
  if (twice != manifest.files.end()) scanner.fail(0, fmt::format("'{}' is listed twice", legible(twice->path)));
  std::uint64_t sum = 0;
  for (const ManifestFile& each : manifest.files) {
    if (__builtin_add_overflow(sum, each.bytes, &sum) || sum > static_cast<std::uint64_t>(INT64_MAX))
      scanner.fail(0, "the files have more bytes than a filesystem can hold");
  }
  if (total != manifest.total_bytes()) scanner.fail(0, "total_bytes is not the sum of the files");
  return manifest;
}

std::optional<Manifest> read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kManifestFile;
  if (!std::filesystem::exists(file)) return std::nullopt;
  return parse_manifest(io::read_file(file, kMaxManifestBytes), file.string());
}

}  // namespace reef::model
