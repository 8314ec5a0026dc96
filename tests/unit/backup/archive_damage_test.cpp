#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "archive_parts.h"
#include "reef/backup/internal/frame_table.h"

using namespace reef;
using namespace reef::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// An archive in memory.
class TextSource : public backup::ArchiveSource {
 public:
  explicit TextSource(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    if (offset + into.size() > bytes_.size()) throw std::out_of_range("read past the end");
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  const std::string& name() const override { return name_; }

 private:
  std::string bytes_;
  std::string name_ = "a.tar.zst";
};

std::string tiny_archive() {
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 1);
  writer.put(folder_entry("d"), nullptr);
  put_text(writer, "d/a", some_text(300));
  put_text(writer, "d/b", "b");
  writer.put(link_entry("d/l", "a"), nullptr);
  writer.put(same_entry("d/h", "d/a"), nullptr);
  writer.finish();
  return file.bytes();
}

/// Four frames: small files; "l" in two of its own; small files.
std::string larger_archive() {
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 1);
  writer.put(folder_entry("d"), nullptr);
  put_text(writer, "d/a", "a");
  put_text(writer, "d/l", some_noise(6 * kMiB));
  put_text(writer, "d/m", some_noise(3 * kMiB));
  put_text(writer, "d/z", "z");
  writer.put(same_entry("d/y", "d/m"), nullptr);
  writer.finish();
  return file.bytes();
}

struct Outcome {
  std::vector<backup::ArchiveFault> faults;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::string> damaged;  ///< path, what
};

/// Whatever is done to an archive, it is read or refused.
std::optional<Outcome> outcome_of(const std::string& bytes) {
  const TextSource source(bytes);
  Outcome outcome;
  try {
    const backup::ArchiveReader reader(source, 1);
    std::uint64_t read = 0;
    outcome.faults = reader.verify(1, no_progress(), read);
    GatheringSink sink;
    reader.read({}, sink, no_progress(),
                [&](const std::string& path, const std::string& what) { outcome.damaged[path] = what; });
    outcome.texts = sink.texts;
  } catch (const Error& error) {
    REQUIRE(error.code() == Errc::corrupt);
    return std::nullopt;
  }
  return outcome;
}

}  // namespace

TEST_CASE("every flipped bit of an archive is found, and nothing else than what was put comes out") {
  const std::string bytes = tiny_archive();
  const std::optional<Outcome> sound = outcome_of(bytes);
  REQUIRE(sound);
  REQUIRE(sound->faults.empty());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const std::optional<Outcome> found = outcome_of(flipped);
      CAPTURE(i);
      CAPTURE(bit);
      if (!found) continue;
      REQUIRE_FALSE(found->faults.empty());
      for (const auto& [path, text] : found->texts) REQUIRE(sound->texts.at(path) == text);
      for (const auto& fault : found->faults) REQUIRE(fault.end > fault.begin);
    }
  }
}

TEST_CASE("a damaged frame costs what lies in it and nothing else") {
  const std::string bytes = larger_archive();
  const TextSource source(bytes);
  const backup::internal::FrameTable table = backup::internal::read_frame_table(source);
  REQUIRE(table.frames.size() == 4);
  const std::vector<std::set<std::string>> in_frame = {{"d/a"}, {"d/l"}, {"d/l"}, {"d/m", "d/y", "d/z"}};
  const std::set<std::string> files = {"d/a", "d/l", "d/m", "d/y", "d/z"};
  for (std::size_t frame = 0; frame < 4; ++frame) {
    CAPTURE(frame);
    std::string damaged = bytes;
    const backup::internal::FrameAt& at = table.frames[frame];
    damaged[at.offset + at.info.stored / 2] ^= 4;
    const std::optional<Outcome> found = outcome_of(damaged);
    REQUIRE(found);
    REQUIRE(found->faults.size() == 1);
    const backup::ArchiveFault& fault = found->faults.front();
    CHECK(fault.begin == at.offset);
    CHECK(fault.end == at.offset + at.info.stored);
    CHECK(fault.what.find("frame " + std::to_string(frame + 1) + " of 4, bytes ") != std::string::npos);
    CHECK(std::set<std::string>(fault.paths.begin(), fault.paths.end()) == in_frame[frame]);
    for (const std::string& path : files) {
      CAPTURE(path);
      CHECK(found->damaged.count(path) == in_frame[frame].count(path));
      CHECK(found->texts.count(path) == 1 - in_frame[frame].count(path));
    }
    CHECK(found->texts.count("d") == 1);

    // Without leave to go on, the first damaged file is an error, and the ones before it were read.
    const TextSource broken(damaged);
    const backup::ArchiveReader reader(broken, 1);
    GatheringSink sink;
    CHECK_THROWS_AS(reader.read({}, sink, no_progress()), Error);
    GatheringSink others;
    reader.read({{frame == 3 ? "d/a" : "d/z"}}, others, no_progress());
    CHECK(others.paths().size() == 2);
  }
}

TEST_CASE("an archive cut off anywhere gives the files before") {
  const std::string bytes = larger_archive();
  const TextSource source(bytes);
  const backup::internal::FrameTable table = backup::internal::read_frame_table(source);
  const auto& frames = table.frames;
  const std::size_t tables = frames[3].offset + frames[3].info.stored;
  const auto texts_at = [&](std::size_t size) {
    const std::optional<Outcome> found = outcome_of(bytes.substr(0, size));
    REQUIRE(found);
    CHECK_FALSE(found->faults.empty());
    std::set<std::string> paths;
    for (const auto& [path, text] : found->texts) paths.insert(path);
    if (size <= tables - 1) CHECK(found->damaged.count("") == 1);
    return paths;
  };
  const std::set<std::string> all = {"d", "d/a", "d/l", "d/m", "d/y", "d/z"};
  CHECK(texts_at(bytes.size() - 1) == all);  // the index is whole
  CHECK(texts_at(bytes.size() - 60) == all);
  CHECK(texts_at(tables + 20) == all);  // headers alone
  CHECK(texts_at(tables) == all);
  CHECK(texts_at(tables - 1) == std::set<std::string>{"d", "d/a", "d/l"});
  CHECK(texts_at(frames[3].offset) == std::set<std::string>{"d", "d/a", "d/l"});
  CHECK(texts_at(frames[2].offset + 5) == std::set<std::string>{"d", "d/a"});
  CHECK(texts_at(frames[2].offset) == std::set<std::string>{"d", "d/a"});
  CHECK(texts_at(frames[1].offset) == std::set<std::string>{"d", "d/a"});
  CHECK_FALSE(outcome_of(bytes.substr(0, frames[1].offset - 1)));
  CHECK_FALSE(outcome_of(""));
  CHECK_FALSE(outcome_of("x"));
}

TEST_CASE("a damaged index is made up for by the headers") {
  std::string bytes = larger_archive();
  const TextSource source(bytes);
  const backup::internal::FrameTable table = backup::internal::read_frame_table(source);
  const std::size_t index = table.frames[3].offset + table.frames[3].info.stored;
  bytes[index + 40] ^= 1;
  const std::optional<Outcome> found = outcome_of(bytes);
  REQUIRE(found);
  REQUIRE(found->faults.size() == 1);
  CHECK(found->faults.front().begin == index);
  CHECK(found->texts.size() == 6);
  CHECK(found->damaged.empty());
  // And with a frame damaged too, that is hopped over.
  bytes[table.frames[2].offset + 100] ^= 1;
  const std::optional<Outcome> both = outcome_of(bytes);
  REQUIRE(both);
  CHECK(both->texts.count("d/l") == 0);
  CHECK(both->texts.size() == 5);
}
