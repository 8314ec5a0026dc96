#include "reef/tree/mount_cache.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/tree_fixture.h"

using namespace reef;
using namespace reef::tree;

namespace {

Config with_cap(const std::string& cap) {
  return Config::parse("system", "cache:\n  model:\n    cap_bytes: " + cap + "\n", "system.yaml");
}

std::string unit_name_in(const fs::path& root) {
  const Tree tree = Tree::at(root);
  apply_init(tree, {});
  return write_mount_unit(tree, with_cap("1GiB"), "-", false).mount.unit_name;
}

}  // namespace

TEST_CASE("models get what is configured, else half of the memory and 32 GiB at most") {
  CHECK(memory_for_models(with_cap("3GiB")) == std::uint64_t{3} << 30);
  const auto memory =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t by_default = memory_for_models(with_cap("0B"));
  CHECK(by_default <= memory / 2);
  CHECK(by_default <= std::uint64_t{32} << 30);
  CHECK(by_default >= std::min(memory / 2 - 4096, std::uint64_t{32} << 30));
}

TEST_CASE_FIXTURE(test::TreeFixture, "the mount is of the size that is configured, in whole pages, and its owner's") {
  struct stat owner {};
  REQUIRE(::stat(tree.root().c_str(), &owner) == 0);
  const MountUnit unit = write_mount_unit(tree, with_cap("1000001B"), "-", false);
  CHECK(unit.mount.size_bytes % 4096 == 0);
  CHECK(unit.mount.size_bytes - 1000001 < 65536);
  const std::string rights = ",mode=2750,uid=" + std::to_string(owner.st_uid) + ",gid=" + std::to_string(owner.st_gid);
  const char* huge = fs::exists("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ? ",huge=always" : "";
  CHECK(unit.mount.options ==
        "size=" + std::to_string(unit.mount.size_bytes) + huge + rights + ",strictatime,nosuid,nodev,noexec");
  const std::string folder = fs::canonical(tree.model_cache()).string();
  CHECK(unit.content.find("\nWhere=" + folder + "\nType=tmpfs\nOptions=" + unit.mount.options + "\n") !=
        std::string::npos);
  CHECK(unit.content.find("\nWantedBy=local-fs.target\n") != std::string::npos);
  CHECK(to_text(unit) == unit.content);
}

TEST_CASE("a unit is called as systemd-escape --path does") {
  const test::TempDir dir;
  const std::string start = unit_name_in(dir / "a");
  CHECK(start.ends_with("-a-cache-model_cache.mount"));
  CHECK(unit_name_in(dir / "coral-reef").ends_with("-coral\\x2dreef-cache-model_cache.mount"));
  CHECK(unit_name_in(dir / "my tree.d").ends_with("-my\\x20tree.d-cache-model_cache.mount"));
  CHECK(unit_name_in(dir / "ä").ends_with("-\\xc3\\xa4-cache-model_cache.mount"));
  const Tree percent = Tree::at(dir / "50%");
  apply_init(percent, {});
  CHECK(write_mount_unit(percent, with_cap("1GiB"), "-", false).content.find("/50%%/cache/model_cache\n") !=
        std::string::npos);
  const Tree control = Tree::at(dir / "a\nExecStart=b");
  apply_init(control, {});
  CHECK_THROWS_WITH_AS(write_mount_unit(control, with_cap("1GiB"), "-", false),
                       doctest::Contains("cannot stand in a unit"), Error);
}

TEST_CASE_FIXTURE(test::TreeFixture, "a unit is written once, again when its size changes, and not by a dry run") {
  const fs::path units = dir / "units";
  CHECK_THROWS_WITH_AS(write_mount_unit(tree, with_cap("1GiB"), units.string(), false),
                       doctest::Contains("is no folder"), Error);
  fs::create_directory(units);
  const MountUnit planned = write_mount_unit(tree, with_cap("1GiB"), units.string(), true);
  CHECK(planned.has_changed);
  CHECK(fs::is_empty(units));
  const MountUnit written = write_mount_unit(tree, with_cap("1GiB"), units.string(), false);
  CHECK(written.has_changed);
  CHECK(io::read_file(written.file) == written.content);
  CHECK(to_text(written).find("systemctl daemon-reload && systemctl enable --now '" + written.mount.unit_name + "'") !=
        std::string::npos);
  CHECK_FALSE(write_mount_unit(tree, with_cap("1GiB"), units.string(), false).has_changed);
  CHECK(write_mount_unit(tree, with_cap("2GiB"), units.string(), false).has_changed);
}

TEST_CASE_FIXTURE(test::TreeFixture, "a folder that is missing, or somebody else's, is not mounted on") {
  if (::geteuid() == 0) {
    REQUIRE(::chown(tree.model_cache().c_str(), 12345, 12345) == 0);
    CHECK_THROWS_WITH_AS(plan_cache_mount(tree, with_cap("1GiB")), doctest::Contains("belongs to user 12345"), Error);
  }
  fs::remove(tree.model_cache());
  CHECK_THROWS_WITH_AS(plan_cache_mount(tree, with_cap("1GiB")), doctest::Contains("model_cache is not there"), Error);
}
