#include "reef/recover/check.h"

#include <doctest/doctest.h>

#include <fstream>

#include "recorded_tree.h"
#include "reef/io/file.h"

using namespace reef;

namespace {

std::string faults_text(const recover::CheckReport& report) {
  std::string text;
  for (const auto& fault : report.faults)
    text +=
        fmt::format("{}{}: {}; {}\n", fault.is_derived ? "(derived) " : "", fault.file, fault.what, fault.next_step);
  return text;
}

void overwrite(const std::filesystem::path& path, std::uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file << bytes;
}

struct Fixture : test::RecordedTree {
  Fixture() { ingest("a.jsonl", 300); }
  recover::CheckReport check(const recover::Entries& recorded) {
    return recover::check(tree.root(), recorded, 2, no_progress());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "check: a tree as it was recorded is sound, and is left as it is") {
  const auto recorded = entries();
  const auto report = check(recorded);
  CHECK(faults_text(report).empty());
  CHECK(report.is_sound());
  CHECK(report.databases == 2);
  CHECK(report.indexes == 1);
  CHECK(report.rows == 900);
  CHECK(report.bytes > 100'000);
  CHECK(entries().size() == recorded.size());
}

TEST_CASE_FIXTURE(Fixture, "check: what is missing, of another size or type, is named") {
  const auto recorded = entries();
  std::filesystem::remove(tree.root() / "config/system.yaml");
  std::ofstream(tree.root() / "config/models.yaml", std::ios::app) << "#";
  std::filesystem::remove(tree.root() / "config/personas.yaml");
  std::filesystem::create_directory(tree.root() / "config/personas.yaml");
  const std::string text = faults_text(check(recorded));
  CHECK(text.find("config/system.yaml: is not there; restore another snapshot") != std::string::npos);
  CHECK(text.find("config/models.yaml: has ") != std::string::npos);
  CHECK(text.find("config/personas.yaml: is of another type") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "check: rows that were recorded and are not there are told by table") {
  const auto recorded = entries();
  {
    io::Database database(tree.root() / "vectors/shared/metadata.sqlite", io::OpenMode::write);
    database.execute("DELETE FROM documents WHERE id = (SELECT max(id) FROM documents)");
  }
  const auto report = check(recorded);
  CHECK_FALSE(report.is_sound());
  CHECK(faults_text(report).find("table documents has 299 rows, 300 when it was captured") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "check: a database that is none, and one with a broken page") {
  const auto recorded = entries();
  const auto file = tree.root() / "vectors/shared/metadata.sqlite";
  overwrite(file, 4096 * 3, std::string(4096, '\xff'));
  CHECK(faults_text(check(recorded)).find("malformed") != std::string::npos);
  overwrite(file, 0, "no database");
  CHECK(faults_text(check(recorded)).find("vectors/shared/metadata.sqlite: ") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "check: codes can be made again, vectors cannot") {
  const auto recorded = entries();
  const auto folder = tree.root() / "vectors/shared";
  overwrite(folder / "codes.1.npy", 1000, "zzzz");
  auto report = check(recorded);
  CHECK(report.is_sound());
  CHECK(faults_text(report).find("(derived) vectors/shared/codes.1.npy: ") != std::string::npos);
  overwrite(folder / "vectors.1.npy", 1024, "zzzzzzzz");
  report = check(recorded);
  CHECK_FALSE(report.is_sound());
  CHECK(faults_text(report).find("vectors/shared/vectors.1.npy: ") != std::string::npos);
}
