#include "reef/document/originals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

/// Readers have no business in these folders, so a rename without fsync is enough here; sync()
/// makes the content durable before the registry says so.
void move_into_place(const fs::path& temporary, const fs::path& target) {
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    const int saved = errno;
    ::unlink(temporary.c_str());
    errno = saved;
    throw_errno("rename", io::shown(target));
  }
}

void remove_if_there(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(path));
}

}  // namespace

Originals::Originals(const tree::Tree& tree, const tree::Scope& scope)
    : raw_(tree.raw()),
      processed_(tree.processed()),
      staging_(tree.documents() / (".staging-" + (scope.is_shared() ? "shared" : "persona-" + scope.persona_id()))) {}

void Originals::prepare() {
  clean_up();
  if (::mkdir(staging_.c_str(), 0750) != 0) throw_errno("create", io::shown(staging_));
}

void Originals::clean_up() {
  std::error_code error;
  fs::remove_all(staging_, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(staging_), error.message()));
}

fs::path Originals::raw_path(const std::string& sha256, const std::string& extension) const {
  return raw_ / (sha256 + extension);
}
fs::path Originals::processed_path(const std::string& sha256, const std::string& extension) const {
  return processed_ / (sha256 + extension + ".jsonl");
}

void Originals::keep(const fs::path& file, const std::string& sha256, const std::string& extension) {
  const fs::path target = raw_path(sha256, extension);
  const io::UniqueFd from = io::open_file(file, O_RDONLY | O_CLOEXEC);
  // Another source's copy, or one that a killed run made: a power cut may have left it torn, at full
  // length, so that its bytes count and not its size.
  struct stat there {};
  if (::stat(target.c_str(), &there) == 0 &&
      static_cast<std::uint64_t>(there.st_size) == io::file_size(from.get(), file) &&
      io::to_hex(io::sha256_file(target, [](std::uint64_t) { check_interrupt(); })) == sha256)
    return;
  const fs::path temporary = staging_ / target.filename();
  try {
    const io::UniqueFd to = io::open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    io::copy_contents(from.get(), to.get(), file, temporary, [](void*, std::uint64_t) { check_interrupt(); });
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  move_into_place(temporary, target);
}

void Originals::sync() const {
  for (const fs::path& folder : {raw_, processed_}) {
    const io::UniqueFd fd = io::open_file(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (::syncfs(fd.get()) != 0) throw_errno("sync", io::shown(folder));
  }
}

void Originals::remove(const std::string& sha256, const std::string& extension) {
  remove_if_there(raw_path(sha256, extension));
  remove_if_there(processed_path(sha256, extension));
}

ProcessedWriter::ProcessedWriter(const Originals& originals, const std::string& sha256, const std::string& extension)
    : target_(originals.processed_path(sha256, extension)),
      temporary_(originals.staging() / target_.filename()),
      fd_(io::open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC)) {}

void ProcessedWriter::add(const std::string& id, const text::Document& document) {
  nlohmann::ordered_json line{{"id", id}, {"title", document.title}, {"offset", document.base_offset}};
  if (!document.created.empty()) line["created"] = document.created;
  if (!document.tags.empty()) line["tags"] = document.tags;
  line["text"] = document.text;
  auto& blocks = line["blocks"] = nlohmann::ordered_json::array();
  for (const text::Block& block : document.blocks) {
    nlohmann::ordered_json entry{{"start", document.base_offset + block.start},
                                 {"end", document.base_offset + block.end}};
    if (!block.heading_path.empty()) entry["heading"] = block.heading_path;
    if (block.page != 0) entry["page"] = block.page;
    blocks.push_back(std::move(entry));
  }
  buffer_ += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  constexpr std::size_t kFlush = 1 << 20;
  if (buffer_.size() < kFlush) return;
  io::write_all(fd_.get(), buffer_, temporary_);
  buffer_.clear();
}

void ProcessedWriter::commit() {
  io::write_all(fd_.get(), buffer_, temporary_);
  move_into_place(temporary_, target_);
}

}  // namespace reef::document
