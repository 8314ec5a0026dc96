#include "reef/model/internal/fetching.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/s3_store.h"
#include "reef/tree/folders.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxSignatureBytes = 64 << 10;
constexpr std::uint64_t kAnyBytes = UINT64_MAX;
constexpr std::uint64_t kMaxChunkDigests = 8 << 20;  ///< of 16 TiB; the table is held in memory
constexpr const char* kKeyHint = "check backup.tier3.key_file, .region and .endpoint in system.yaml";

std::uint64_t size_or_zero(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  return error ? 0 : bytes;
}

/// Copies where no server is between; a whole file is not copied again.
io::Downloaded copy(const fs::path& from, const fs::path& to, std::optional<std::uint64_t> bytes, std::uint64_t max,
                    Progress& progress) {
  io::Downloaded done;
  std::error_code error;
  if (!fs::is_regular_file(from, error)) {
    done.is_there = false;
    return done;
  }
  const std::uint64_t size = fs::file_size(from);
  if (size > max || (bytes && size != *bytes))
    throw Error(Errc::corrupt,
                fmt::format("{} has {} bytes, expected are {}", io::shown(from), size, bytes.value_or(max)));
  if (bytes && fs::exists(to) && size_or_zero(to) == *bytes) {
    done.bytes_earlier = size;
    progress.advance(size);
    return done;
  }
  const io::UniqueFd source = io::open_file(from, O_RDONLY), target = io::open_file(to, O_WRONLY | O_CREAT | O_TRUNC);
  io::copy_contents(
      source.get(), target.get(), from, to,
      [](void* self, std::uint64_t count) {
        static_cast<Progress*>(self)->advance(count);
        check_interrupt();
      },
      &progress);
  done.bytes_received = size;
  return done;
}

std::vector<fs::path> linked_files(const fs::path& folder) {
  std::vector<fs::path> linked;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.hard_link_count() > 1) linked.push_back(entry.path());
  return linked;
}

}  // namespace

Fetching::Fetching(const tree::Tree& tree, std::string name, Progress& progress)
    : tree_(tree), name_(std::move(name)), progress_(progress), folder_(tree.fetching() / name_) {
  tree::make_folders(folder_);
  io::remove_stale(folder_);
  if (linked_files(folder_).empty()) return;
  // Links of a staged folder go with it; those that are left are a published model's, which must not be written to.
  const io::LockFile lock = lock_models(tree_, {});
  for (const fs::path& file : linked_files(folder_)) fs::remove(file);
}

const io::HttpHelper& Fetching::http() {
  if (!http_ && store_.sigv4) io::require_private(store_.sigv4->key_file, "backup.tier3.key_file");
  if (!http_) http_ = std::make_unique<io::HttpHelper>(folder_, store_.sigv4 ? kKeyHint : "check the model's source");
  return *http_;
}

std::string Fetching::name_of(const std::string& path, const std::string& sha256) const {
  if (store_.is_file) return store_.url;
  const std::string inner = store_.is_by_digest ? "models/" + sha256 : path;
  return store_.url.empty() ? (store_.folder / inner).string() : store_.url + io::url_path(inner);
}

io::Downloaded Fetching::bring(const std::string& path, const std::string& sha256, const fs::path& target,
                               std::optional<std::uint64_t> bytes, std::uint64_t max_bytes, bool may_be_absent,
                               Progress& progress) {
  io::Downloaded done;
  const std::string from = name_of(path, sha256);
  // What another server began is not given up for tier 3: an answer under another ETag would empty it.
  const bool is_apart = store_.is_by_digest && bytes && size_or_zero(target) != *bytes;
  fs::path to = target;
  if (is_apart) to += ".object";
  if (store_.url.empty()) {
    done = copy(from, to, bytes, max_bytes, progress);
  } else {
    io::DownloadOptions options;
    options.url = from;
    options.file = to;
    options.bytes = bytes;
    options.max_bytes = max_bytes;
    options.sigv4 = store_.sigv4;
    options.may_be_absent = may_be_absent;
    options.on_refused = store_.sigv4 ? kKeyHint : "reef sends no password to such a server";
    done = io::download(http(), options, progress);
  }
  received_ += done.bytes_received;
  if (is_apart && done.is_there) {
    fs::rename(to, target);
    fs::remove(io::etag_file_of(to));
    fs::remove(io::etag_file_of(target));
  }
  if (!done.is_there && !may_be_absent)
    throw Error(Errc::not_found,
                fmt::format("{}: there is no such file", store_.url.empty() ? io::shown(from) : io::shown_url(from)),
                path == kManifestFile ? "the source must be a model's folder as reef keeps it, with manifest.json in it"
                                      : "the manifest beside it lists it; the source is not whole");
  return done;
}

std::optional<std::string> Fetching::bring_text(const std::string& path, const std::string& sha256,
                                                std::uint64_t max_bytes, bool may_be_absent) {
  const fs::path target = folder_ / (path + ".new");
  fs::remove(target);
  fs::remove(io::etag_file_of(target));
  const io::Downloaded done = bring(path, sha256, target, {}, max_bytes, may_be_absent, no_progress());
  if (!done.is_there) return std::nullopt;
  std::string text = io::read_file(target, max_bytes);
  fs::remove(target);
  fs::remove(io::etag_file_of(target));
  return text;
}

fs::path Fetching::bring_file(const FileStore& store, const std::string& file_name, const std::string& sha256) {
  store_ = store;
  // Parts of another version, or of another server, are not looked at.
  const fs::path folder = folder_ / (sha256.substr(0, 16) + (store_.is_by_digest ? ".object" : ""));
  tree::make_folders(folder);
  fs::path target = folder / file_name;
  while (true) {
    progress_.begin("downloading", 0, ProgressUnit::bytes);
    const io::Downloaded done = bring(file_name, sha256, target, {}, kAnyBytes, false, progress_);
    progress_.end();
    earlier_ = done.bytes_earlier;
    progress_.begin("checking", size_or_zero(target), ProgressUnit::bytes);
    const std::string found = digest_of(target, progress_);
    progress_.end();
    if (found == sha256) return target;
    fs::remove(target);
    fs::remove(io::etag_file_of(target));
    const std::string from = io::shown_url(name_of(file_name, sha256));
    if (done.bytes_earlier == 0) {
      throw Error(Errc::corrupt, fmt::format("{}: sha256 is {}, expected is {}", from, found, sha256),
                  "the source has another file; compare with what its author publishes");
    }
    log_warn("{}: what an earlier run brought is damaged; fetching it again", from);
  }
}

const Manifest& Fetching::bring_manifest(const FileStore& store, const std::string& pinned) {
  store_ = store;
  const std::string where = name_of(std::string(kManifestFile), pinned);
  manifest_text_ = *bring_text(std::string(kManifestFile), pinned, kMaxManifestBytes, false);
  if (const std::string found = io::to_hex(io::sha256(manifest_text_)); !pinned.empty() && found != pinned) {
    throw Error(Errc::corrupt, fmt::format("{}: sha256 is {}, models.yaml says {}", where, found, pinned),
                fmt::format("the source has another version; see models.{}.sha256", name_));
  }
  manifest_ = parse_manifest(manifest_text_, where);
  check_names(where);
  const fs::path kept = folder_ / kManifestFile;
  if (!fs::exists(kept) || io::read_file(kept) != manifest_text_) {
    if (fs::exists(files())) log_info("{}: an earlier run brought parts of another version; beginning anew", name_);
    fs::remove_all(files());
    io::replace_file(kept, manifest_text_);
  }
  read_chunks();
  signature_.clear();
  if (!store_.is_by_digest)
    signature_ = bring_text(std::string(kSignatureFile), {}, kMaxSignatureBytes, true).value_or("");
  return manifest_;
}

/// A server must not choose where files go, nor bring what import would leave out.
void Fetching::check_names(const std::string& where) const {
  if (manifest_.name != name_) {
    throw Error(Errc::usage, fmt::format("{} is of '{}', not of '{}'", where, manifest_.name, name_),
                fmt::format("call it models.{} in models.yaml", manifest_.name));
  }
  for (const ManifestFile& file : manifest_.files) {
    if (!is_record_file(file.path) && is_model_file(file.path)) continue;
    throw Error(Errc::corrupt, fmt::format("{} lists {}, which belongs to no model", where, io::shown(file.path)),
                "configuration, tokenizer, weights and licence do; code and pickles are refused");
  }
}

/// Where chunks have no digests a damaged file is fetched again as a whole.
void Fetching::read_chunks() {
  chunks_.assign(manifest_.files.size(), {});
  std::uint64_t count = 0;
  for (const ManifestFile& file : manifest_.files)
    if (!file.chunks_sha256.empty()) count += chunk_count(file.bytes);
  if (count == 0 || count > kMaxChunkDigests || store_.is_by_digest) return;
  try {
    const auto table = bring_text(std::string(kChunksFile), {}, (count + 1) * sizeof(io::Sha256Digest), true);
    if (!table) return;
    io::replace_file(folder_ / kChunksFile, *table);
    chunks_ = read_chunk_table(folder_, manifest_);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    log_warn("{}; going on without", error.what());
    chunks_.assign(manifest_.files.size(), {});
  }
}

void Fetching::bring_files() {
  tree::make_folders(files());
  std::uint64_t missing = 0;
  for (const ManifestFile& file : manifest_.files)
    missing += file.bytes - std::min(file.bytes, size_or_zero(files() / file.path));
  require_space(folder_, missing);
  progress_.begin("downloading", manifest_.total_bytes(), ProgressUnit::bytes);
  for (const ManifestFile& file : manifest_.files) {
    const fs::path target = files() / file.path;
    tree::make_folders(target.parent_path());
    const io::Downloaded done = bring(file.path, file.sha256, target, file.bytes, file.bytes, false, progress_);
    earlier_of_.try_emplace(file.path, done.bytes_earlier);
  }
  progress_.end();
  earlier_ = 0;
  for (const auto& [path, bytes] : earlier_of_) earlier_ += bytes;
}

void Fetching::publish(const fs::path& target, unsigned threads) {
  while (!stage_and_publish(target, threads)) bring_files();
}

/// False when something was damaged here, and is now missing.
bool Fetching::stage_and_publish(const fs::path& target, unsigned threads) {
  Staging staged(target, progress_);
  staged.bring(files_of(manifest_, files()), Staging::How::link);
  Manifest found = manifest_;
  staged.digest(found, {}, threads);
  const auto different = differing_files(manifest_, found);
  for (const ManifestFile* file : different) repair(*file, found, staged.chunks());
  if (!different.empty()) return false;
  for (const ManifestFile& file : manifest_.files) {
    if (file.chunks_sha256.empty() || file.chunks_sha256 == found.find(file.path)->chunks_sha256) continue;
    throw Error(Errc::corrupt,
                fmt::format("{}: chunks_sha256 of {} is not that of its bytes", name_of(std::string(kManifestFile), {}),
                            io::shown(file.path)),
                "the source's manifest is faulty; 'reef-model manifest' writes it anew there");
  }
  for (const WeightFile& weights : staged.weights(manifest_)) {  // the rules of their formats
    const std::string& wanted = manifest_.find(weights.path)->header_sha256;
    if (wanted.empty()) continue;
    const fs::path file = staged.path() / weights.path;
    std::string head(weights.data_offset, '\0');
    io::pread_exact(io::open_file(file, O_RDONLY).get(), head.data(), head.size(), 0, file);
    if (io::to_hex(io::sha256(head)) == wanted) continue;
    throw Error(Errc::corrupt,
                fmt::format("{}: header_sha256 of {} is not that of its bytes", name_of(std::string(kManifestFile), {}),
                            io::shown(weights.path)),
                "the source's manifest is faulty; 'reef-model manifest' writes it anew there");
  }
  staged.publish(manifest_, manifest_text_, signature_);
  return true;
}

/// Keeps what is sound before the first damaged chunk. Damage that came just now would come again.
void Fetching::repair(const ManifestFile& expected, const Manifest& found, const std::vector<ChunkDigests>& chunks) {
  const std::size_t index = static_cast<std::size_t>(&expected - manifest_.files.data());
  const fs::path file = files() / expected.path;
  std::uint64_t sound = 0;
  const ChunkDigests &wanted = chunks_[index], &now = chunks[index];
  if (wanted.size() == now.size()) {
    const auto differs = std::mismatch(wanted.begin(), wanted.end(), now.begin()).first;
    sound = static_cast<std::uint64_t>(differs - wanted.begin()) * kChunkBytes;
  }
  const std::string from = name_of(expected.path, expected.sha256);
  const bool is_ours = earlier_of_[expected.path] > sound;
  earlier_of_[expected.path] = 0;
  if (sound > 0 && is_ours && fs::exists(io::etag_file_of(file))) {
    fs::resize_file(file, sound);
  } else {
    sound = 0;
    fs::remove(file);
    fs::remove(io::etag_file_of(file));
  }
  if (!is_ours) {
    throw Error(
        Errc::corrupt,
        fmt::format("{}: sha256 is {}, the manifest says {}", from, found.find(expected.path)->sha256, expected.sha256),
        "the source is damaged; the other files are kept for the next run");
  }
  log_warn("{}: what an earlier run brought is damaged from byte {}; fetching the rest again", from, sound);
}

void Fetching::remove() { remove(tree_, name_); }

void Fetching::remove(const tree::Tree& tree, const std::string& name) { fs::remove_all(tree.fetching() / name); }

}  // namespace reef::model::internal
