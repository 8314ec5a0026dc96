#include "reef/model/signature.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::model {
namespace {

constexpr std::size_t kSignatureBytes = 64;
constexpr std::uint64_t kMaxKeyBytes = 1 << 20;
constexpr const char* kKeyHint =
    "make one with 'openssl genpkey -algorithm ed25519 -out KEY.pem', its public half with 'openssl pkey -in KEY.pem "
    "-pubout'";

template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};
using Bio = std::unique_ptr<BIO, Release<BIO_free_all>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Release<EVP_MD_CTX_free>>;

/// Without it OpenSSL asks for a passphrase on the terminal.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

[[noreturn]] void fail(const std::filesystem::path& file, const char* what) {
  throw Error(Errc::usage, fmt::format("{} {}", io::shown(file), what), kKeyHint);
}

}  // namespace

struct SigningKey::Key {
  std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>> pkey;

  static std::shared_ptr<Key> read(const std::filesystem::path& file, bool must_be_private) {
    const io::UniqueFd fd = io::open_regular(file, kKeyHint);
    if (io::file_size(fd.get(), file) > kMaxKeyBytes) fail(file, "holds no key in PEM form");
    const std::string text = io::read_file(file, kMaxKeyBytes);
    const auto bio = [&] { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); };
    auto key = std::make_shared<Key>();
    bool is_encrypted = false;
    key->pkey.reset(PEM_read_bio_PrivateKey(bio().get(), nullptr, no_passphrase, &is_encrypted));
    if (is_encrypted) fail(file, "is encrypted with a passphrase, which reef does not ask for");
    if (!key->pkey) {
      key->pkey.reset(PEM_read_bio_PUBKEY(bio().get(), nullptr, no_passphrase, &is_encrypted));
      if (!key->pkey) fail(file, "holds no key in PEM form");
      if (must_be_private) fail(file, "holds a public key, which cannot sign");
    }
    if (EVP_PKEY_id(key->pkey.get()) != EVP_PKEY_ED25519) fail(file, "holds a key that is not Ed25519");
    return key;
  }
};

SigningKey SigningKey::read(const std::filesystem::path& file) { return SigningKey(Key::read(file, false)); }
SigningKey SigningKey::read_private(const std::filesystem::path& file) { return SigningKey(Key::read(file, true)); }

std::string SigningKey::sign(std::string_view message) const {
  const DigestContext context(EVP_MD_CTX_new());
  std::string signature(kSignatureBytes, '\0');
  std::size_t length = signature.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_->pkey.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1)
    throw Error(Errc::failed, "OpenSSL cannot sign with this key");
  signature.resize(length);
  return signature;
}

bool SigningKey::has_signed(std::string_view message, std::string_view signature) const {
  const DigestContext context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_->pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
}

}  // namespace reef::model
