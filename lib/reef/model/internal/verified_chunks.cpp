#include "reef/model/internal/verified_chunks.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {
namespace {

constexpr std::string_view kSchema = "reef.verified-chunks/1";
constexpr std::uint64_t kMaxNoteBytes = 16 << 20;
/// Bits rot, too: what was sound longer ago is read again.
constexpr auto kKept = std::chrono::hours(24);

std::string to_digits(const std::vector<char>& flags) {
  std::string digits;
  for (const char flag : flags) digits += flag != 0 ? '1' : '0';
  return digits;
}

std::string stamp_text(const struct stat& s) {
  return fmt::format("{}:{}.{:09}:{}.{:09}:{}", s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec,
                     s.st_ctim.tv_nsec, s.st_ino);
}

}  // namespace

std::string file_stamp(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? stamp_text(status) : "";
}

std::string file_stamp(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? stamp_text(status) : "";
}

bool VerifiedChunks::load(const std::filesystem::path& folder) {
  files_.clear();
  std::error_code error;
  if (!std::filesystem::exists(note_, error)) return false;
  try {
    std::string schema, manifest;
    Time saved{};
    const std::string text = io::read_file(note_, kMaxNoteBytes);
    JsonScanner scanner(text, note_.string(), 0);
    scanner.object("'{'", [&](const std::string& key, std::size_t) {
      if (key == "schema") {
        schema = scanner.string("a schema");
      } else if (key == "manifest") {
        manifest = scanner.string("a digest");
      } else if (key == "saved") {
        saved = parse_time(scanner.string("a time"));
      } else if (key == "files") {
        scanner.object("files", [&](const std::string& path, std::size_t) {
          File& file = files_[path];
          scanner.array("stamp and flags", [&] {
            std::string value = scanner.string("stamp or flags");
            if (file.stamp.empty()) {
              file.stamp = std::move(value);
            } else {
              for (const char digit : value) file.sound.push_back(static_cast<char>(digit == '1'));
            }
          });
        });
      } else {
        scanner.skip_value();
      }
    });
    const auto age = now() - saved;
    since_ = saved;
    if (schema != kSchema || manifest != manifest_ || age > kKept || age < -kKept) files_.clear();
    std::erase_if(files_, [&](const auto& file) { return file.second.stamp != file_stamp(folder / file.first); });
  } catch (const Error& e) {
    log_step("starting anew: {}", e.what());
    files_.clear();
  }
  if (files_.empty()) since_ = {};
  return !files_.empty();
}

std::vector<char>& VerifiedChunks::flags(const std::string& path, const std::string& stamp, std::size_t count) {
  File& file = files_[path];
  if (file.stamp != stamp || file.sound.size() != count) file = {stamp, std::vector<char>(count)};
  return file.sound;
}

void VerifiedChunks::save() const {
  std::string text = fmt::format("{{\"schema\": \"{}\", \"manifest\": \"{}\", \"saved\": \"{}\", \"files\": {{",
                                 kSchema, manifest_, to_rfc3339(since_ == Time{} ? now() : since_));
  const char* separator = "\n";
  for (const auto& [path, file] : files_) {
    text += fmt::format("{}  {}: [\"{}\", \"{}\"]", separator, json_string(path), file.stamp, to_digits(file.sound));
    separator = ",\n";
  }
  text += "\n}}\n";
  try {
    std::filesystem::create_directories(note_.parent_path());
    io::replace_file(note_, text);
  } catch (const std::exception& e) {
    log_step("the next run starts anew: {}", e.what());
  }
}

void VerifiedChunks::remove() const {
  std::error_code ignored;
  std::filesystem::remove(note_, ignored);
}

}  // namespace reef::model::internal
