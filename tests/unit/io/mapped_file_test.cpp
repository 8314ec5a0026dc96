#include "reef/io/mapped_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

namespace reef::io {
namespace {

std::string text_of(const MappedFile& file) { return {reinterpret_cast<const char*>(file.data()), file.size()}; }

TEST_CASE("a file is mapped whole, and moves without its bytes") {
  const test::TempDir dir;
  const std::string bytes = std::string(10'000, 'x') + "end";
  replace_file(dir / "a", bytes);
  MappedFile file(dir / "a");
  CHECK(text_of(file) == bytes);
  CHECK(file.path() == (dir / "a").string());
  const std::uint8_t* data = file.data();
  MappedFile moved(std::move(file));
  CHECK(moved.data() == data);
  MappedFile assigned;
  assigned = std::move(moved);
  CHECK(assigned.data() == data);
  replace_file(dir / "a", "another file");  // the mapping keeps the one that it opened
  CHECK(text_of(assigned) == bytes);
}

TEST_CASE("advice takes any range") {
  const test::TempDir dir;
  replace_file(dir / "a", std::string(10'000, 'x'));
  const MappedFile file(dir / "a");
  for (const std::size_t offset : {0U, 1U, 4095U, 4096U, 9999U, 10'000U, 20'000U}) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, SIZE_MAX}) {
      file.load(offset, count);
      file.read_ahead(offset, count);
      file.advise_random(offset, count);
    }
  }
  CHECK(text_of(file) == std::string(10'000, 'x'));
  const MappedFile none;
  none.load(0, 1);
  none.read_ahead(0, 1);
  CHECK(none.size() == 0);
}

TEST_CASE("what cannot be mapped says why") {
  const test::TempDir dir;
  replace_file(dir / "empty", "");
  CHECK(MappedFile(dir / "empty").bytes().empty());
  CHECK_THROWS_WITH_AS(MappedFile(dir / "absent"), doctest::Contains("No such file"), Error);
  CHECK_THROWS_WITH_AS(MappedFile(dir.path()), doctest::Contains("not a regular file"), Error);
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(MappedFile(dir / "pipe"), doctest::Contains("not a regular file"), Error);
}

}  // namespace
}  // namespace reef::io
