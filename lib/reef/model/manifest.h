#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::model {

enum class Kind { base, quantized, adapter };

/// "base", "quantized", "adapter".
std::string_view kind_name(Kind kind);
/// The folder below models/: "base", "quantized", "adapters".
std::string_view kind_folder(Kind kind);
/// "adapters/alice": a name where several kinds may have it.
std::string qualified_name(Kind kind, std::string_view name);
/// Throws Error{usage} naming the three.
Kind parse_kind(std::string_view name);
inline constexpr Kind kAllKinds[] = {Kind::base, Kind::quantized, Kind::adapter};

/// 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit: a
/// model's name is a folder, a YAML key and an argument.
bool is_model_name(std::string_view name);

struct TensorDigest {
  std::string name;
  std::string sha256;  ///< of the tensor's bytes
  friend bool operator==(const TensorDigest&, const TensorDigest&) = default;
};

/// Digests are 64 lower-case hexadecimal digits.
struct ManifestFile {
  std::string path;  ///< relative to the model's folder, with '/'
  std::uint64_t bytes = 0;
  std::string sha256{};                 ///< of the whole file, as model hubs publish it
  std::string header_sha256{};          ///< of what stands before the data of a file of weights; empty: not recorded
  std::string chunks_sha256{};          ///< chunk_root() of its digests in manifest.chunks; empty: it has none there
  std::vector<TensorDigest> tensors{};  ///< in the order of the file; empty: not recorded

  /// The digest that comparing the chunks proves: chunks_sha256, or sha256 of a file of one chunk.
  const std::string& proven_digest() const { return chunks_sha256.empty() ? sha256 : chunks_sha256; }
  friend bool operator==(const ManifestFile&, const ManifestFile&) = default;
  /// Whatever else is recorded of them.
  bool has_content_of(const ManifestFile& other) const { return bytes == other.bytes && sha256 == other.sha256; }
};

/// manifest.json (schema reef.manifest/1): what the bytes of a model must be.
struct Manifest {
  std::string name;
  Kind kind = Kind::base;
  std::string source;               ///< where it came from: "org/name@revision", a file's or folder's name
  std::string licence;              ///< as the model states it ("apache-2.0"); empty: it states none
  std::string persona;              ///< whose adapter it is; empty: nobody's in particular
  std::string created;              ///< RFC 3339
  std::vector<ManifestFile> files;  ///< sorted by path; never manifest.json itself

  std::uint64_t total_bytes() const;
  /// nullptr when there is none.
  const ManifestFile* find(std::string_view path) const;
};

inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr std::string_view kChunksFile = "manifest.chunks";
inline constexpr std::string_view kSignatureFile = "manifest.json.sig";
/// Whether reef keeps it beside a model's own files; such a file is in no manifest.
bool is_record_file(std::string_view path);

inline constexpr std::uint64_t kMaxManifestBytes = 64 << 20;
inline constexpr std::string_view kManifestSchema = "reef.manifest/1";

/// The text of manifest.json: indented, keys in a fixed order.
std::string manifest_text(const Manifest& manifest);

/// Throws Error{corrupt} naming byte and rule; unknown keys are skipped, since a newer reef may
/// have written more. `file` stands in messages.
Manifest parse_manifest(std::string_view json, const std::string& file);

/// `folder`/manifest.json. nullopt when there is none.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder);

}  // namespace reef::model
