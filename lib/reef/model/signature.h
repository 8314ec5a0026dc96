#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace reef::model {

/// An Ed25519 key (RFC 8032) from a PEM file, as `openssl genpkey -algorithm ed25519` writes it. Signatures are the 64
/// bytes that `openssl pkeyutl -sign -rawin` makes and `-verify -rawin` takes.
class SigningKey {
 public:
  /// A public or a private key. Throws Error{usage} for a file that holds neither or a key of another kind.
  static SigningKey read(const std::filesystem::path& file);
  /// Throws Error{usage} for a public key, too: it cannot sign.
  static SigningKey read_private(const std::filesystem::path& file);

  std::string sign(std::string_view message) const;
  bool has_signed(std::string_view message, std::string_view signature) const;

 private:
  struct Key;
  explicit SigningKey(std::shared_ptr<Key> key) : key_(std::move(key)) {}
  std::shared_ptr<Key> key_;
};

}  // namespace reef::model
