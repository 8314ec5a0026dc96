#include "reef/model/internal/fetch_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/weights.h"
#include "reef/tree/object_place.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kForms =
    "a source is a folder or file, http(s)://HOST/FOLDER/, http(s)://HOST/FILE.gguf, s3://BUCKET/PREFIX/ or tier3";

[[noreturn]] void refuse(const std::string& source, const std::string& what, const std::string& hint = kForms) {
  throw Error(Errc::usage, fmt::format("the source {} {}", io::shown(source), what), hint);
}

std::string with_slash(std::string text) {
  if (!text.ends_with('/')) text += '/';
  return text;
}

/// Requests are signed, with the settings of tier 3.
FileStore bucket(const io::S3Place& place) {
  FileStore store;
  store.url = with_slash(place.url());
  store.sigv4 = place.sigv4;
  return store;
}

FetchSource from_url(FetchSource source) {
  const std::string& text = source.text;
  const std::size_t host = text.find("://") + 3;
  const std::size_t end = std::min(text.find_first_of("/?#", host), text.size());
  if (end == host) refuse(text, "names no host");
  if (text.substr(host, end - host).find('@') != std::string::npos)
    refuse(text.substr(0, host) + "…" + text.substr(text.rfind('@', end)),
           "holds secrets, which a configuration must not", "reef sends none to such a server");
  if (text.find_first_of(" \t\r\n#") != std::string::npos) refuse(text, "is no URL");
  const std::size_t query = std::min(text.find('?'), text.size());
  const std::string name = text.substr(0, query).substr(text.rfind('/', query - 1) + 1);
  const bool is_file = name.ends_with(".gguf") || name.ends_with(".whl");
  if (!is_file && is_weight_file(name))
    refuse(text, "is a model's weights alone",
           "name the folder that holds them and manifest.json, with a '/' at its end");
  if (is_file && end < query) {
    source.form = FetchSource::Form::file;
    source.store.url = text;
    source.store.is_file = true;
    source.file_name = name;
    source.text.resize(query);  // messages and the manifest show no key; the last step, for `text` is this
    return source;
  }
  if (query < text.size()) refuse(text, "is a folder with a query");
  source.form = FetchSource::Form::folder;
  source.store.url = with_slash(text);
  return source;
}

}  // namespace

std::optional<FileStore> tier3_store(const tree::Tree& tree, const tree::Config& config) {
  const auto place = tree::tier3_place(tree, config);
  if (!place) return std::nullopt;
  FileStore store;
  if (place->s3) store = bucket(*place->s3);
  store.folder = place->folder;
  store.is_by_digest = true;
  return store;
}

FetchSource parse_fetch_source(const std::string& text, const fs::path& base, const tree::Tree& tree,
                               const tree::Config& config) {
  FetchSource source;
  source.text = text;
  if (text.empty()) refuse(text, "is empty");
  if (text == "tier3") {
    auto store = tier3_store(tree, config);
    if (!store)
      refuse(text, "is not configured: backup.tier3.to in system.yaml is empty",
             "it is a folder, or s3://BUCKET/PREFIX");
    source.form = FetchSource::Form::folder;
    source.store = std::move(*store);
    return source;
  }
  if (tree::is_s3_name(text)) {
    source.form = FetchSource::Form::folder;
    source.store = bucket(tree::s3_place(text, tree, config));
    return source;
  }
  if (text.starts_with("http://") || text.starts_with("https://")) return from_url(std::move(source));
  if (const std::size_t scheme = text.find("://"); scheme != std::string::npos)
    refuse(text, fmt::format("begins with {}://, which reef does not speak", text.substr(0, scheme)));
  source.path = base / text;
  return source;
}

std::string pinned_sha256(const tree::Config& config, const std::string& name) {
  std::string digest = config.text("models", fmt::format("models.{}.sha256", name));
  const bool is_digest = digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (digest.empty() || is_digest) return digest;
  throw Error(Errc::usage, fmt::format("models.{}.sha256 in models.yaml is \"{}\"", name, digest),
              "it is 64 digits of 0-9 and a-f, as sha256sum prints them");
}

}  // namespace reef::model::internal
