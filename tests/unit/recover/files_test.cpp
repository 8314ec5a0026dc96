#include "reef/recover/files.h"

#include <doctest/doctest.h>

#include <fstream>

#include "copied_store.h"
#include "reef/core/error.h"
#include "reef/recover/source.h"

using namespace reef;

namespace {

struct Fixture : test::RecordedTree {
  std::shared_ptr<test::CopiedStore> store = std::make_shared<test::CopiedStore>(dir / "store");
  Fixture() {
    ingest("a.jsonl", 20);
    store->take(*this, "s1", "2026-11-01T00:00:00Z");
    std::ofstream(tree.root() / "config/system.yaml") << "# later\n";
    store->take(*this, "s2", "2026-11-02T00:00:00Z");
  }
  std::vector<recover::Source> sources(const recover::SourceChoice& choice = {}) {
    return {{1, "store", store, recover::chosen(store->list(), choice).value()}};
  }
  recover::FilesReport restore(recover::FilesOptions options, const recover::SourceChoice& choice = {}) {
    if (options.to.empty()) options.to = dir / "out";
    return recover::restore_files(tree, sources(choice), options, no_progress());
  }
};

std::string thrown(const std::function<void()>& work, Errc code) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("chosen: by id, by time, the newest that is sound") {
  std::vector<backup::Snapshot> all(3);
  for (int i = 0; i < 3; ++i) {
    all[i].id = std::string(1, static_cast<char>('a' + i));
    all[i].taken = parse_time(fmt::format("2026-11-0{}", i + 1));
  }
  const auto id = [&](const recover::SourceChoice& choice) {
    const auto found = recover::chosen(all, choice);
    return found ? found->id : "none";
  };
  CHECK(id({}) == "c");
  all[2].damaged = Time{};
  CHECK(id({}) == "b");
  CHECK(id({.from = "c"}) == "c");
  CHECK(id({.from = "d"}) == "none");
  CHECK(id({.from = "/some/where"}) == "b");
  CHECK(id({.at = parse_time("2026-11-01T12:00:00Z")}) == "a");
  CHECK(id({.at = parse_time("2026-10-01")}) == "none");
}

TEST_CASE_FIXTURE(Fixture, "files: one file, as it was then, where it lies in the tree") {
  const auto report = restore({.paths = {"config/system.yaml"}}, {.at = parse_time("2026-11-01T06:00:00Z")});
  CHECK(report.snapshot.id == "s1");
  CHECK(report.files == 1);
  CHECK(io::read_file(dir / "out/config/system.yaml") != "# later\n");
  CHECK(thrown([&] { restore({.paths = {"config/system.yaml"}}); }, Errc::usage).find("there already") !=
        std::string::npos);
  restore({.paths = {(tree.root() / "config/system.yaml").string()}, .force = true});
  CHECK(io::read_file(dir / "out/config/system.yaml") == "# later\n");
}

TEST_CASE_FIXTURE(Fixture, "files: a folder, a dry run, and all of the tree") {
  const auto plan = restore({.paths = {"config/"}, .dry_run = true});
  CHECK(plan.files == 3);
  CHECK(plan.paths.size() == 3);
  CHECK_FALSE(std::filesystem::exists(dir / "out"));
  CHECK(restore({.paths = {"config"}}).files == 3);
  CHECK(restore({.paths = {"."}, .to = dir / "all"}).files > 10);
  CHECK(std::filesystem::exists(dir / "all/vectors/shared/metadata.sqlite"));
}

TEST_CASE_FIXTURE(Fixture, "files: what a snapshot does not hold is named before anything is written") {
  CHECK(thrown(
            [&] {
              restore({.paths = {"config/models.yaml", "config/sistem.yaml"}});
            },
            Errc::not_found)
            .find("does not hold config/sistem.yaml, did you mean config/system.yaml?") != std::string::npos);
  CHECK(thrown([&] { restore({.paths = {"../x"}}); }, Errc::usage).find("not below the tree") != std::string::npos);
  CHECK(thrown([&] { restore({.paths = {"/etc/passwd"}}); }, Errc::usage).find("not below") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "out"));
}

TEST_CASE_FIXTURE(Fixture, "files: a damaged one is told, and the others are restored") {
  store->damage("config/models.yaml");
  const auto report = restore({.paths = {"config"}});
  REQUIRE(report.damaged.size() == 1);
  CHECK(report.damaged[0].path == "config/models.yaml");
  CHECK(report.files == 2);
  CHECK_FALSE(std::filesystem::exists(dir / "out/config/models.yaml"));
}
