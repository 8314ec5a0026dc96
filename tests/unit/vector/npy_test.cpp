#include "reef/vector/npy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "reef/io/file.h"
#include "reef/vector/internal/npy_format.h"
#include "sample.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;
using namespace std::string_literals;

namespace {

NpyHeader parse(const std::string& bytes) {
  return parse_npy_header({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, "x.npy");
}

/// A header of the version around any dictionary.
std::string header(const std::string& dictionary, char major = 1) {
  std::string bytes = "\x93NUMPY"s + major + '\0' + static_cast<char>(dictionary.size() & 0xff) +
                      static_cast<char>(dictionary.size() >> 8);
  if (major > 1) bytes += "\0\0"s;
  return bytes + dictionary;
}

std::span<const std::uint8_t> bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

NpyAppender open_rows(const std::filesystem::path& path, std::optional<std::uint64_t> committed = std::nullopt) {
  return NpyAppender(path, "<f4", 12, 3, committed);
}

}  // namespace

TEST_CASE("headers of versions 1 to 3 are read") {
  for (const char major : {'\1', '\2', '\3'}) {
    const NpyHeader parsed = parse(header("{'descr': '<f4', 'fortran_order': False, 'shape': (5, 384), }  \n", major));
    CHECK(parsed.descr == "<f4");
    CHECK_FALSE(parsed.fortran_order);
    CHECK(parsed.shape == std::vector<std::uint64_t>{5, 384});
  }
  CHECK(parse(header("{\"shape\":(7L,),\"fortran_order\":True,\"descr\":\"|i1\"}")).shape.front() == 7);
  CHECK(parse(header("{'descr': '<f8', 'fortran_order': False, 'shape': ()}")).shape.empty());
}

TEST_CASE("a structured type is normalised") {
  const auto parsed =
      parse(header("{'descr': [('scale', '<f4'), ('code', '|i1', (384,))], 'fortran_order': False, 'shape': (          "
                   "      9,), }"));
  CHECK(parsed.descr == "[('scale','<f4'),('code','i1',(384,))]");
  CHECK(parsed.shape == std::vector<std::uint64_t>{9});
}

TEST_CASE("damaged headers are refused with the file's name") {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 384), }";
  const std::vector<std::string> broken = {
      "",
      "\x93NUMP",
      "\x93NUMPY",
      "\x93NUMPY\x01\x00\x10"s,
      header(good, '\4'),
      header(good, '\0'),
      header(good).substr(0, 40),
      header("{'descr': '<f4', 'fortran_order': False}"),
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (5, 384)} x"),
      header("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (5, 384)}"),
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 384)}"),
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 384)}"),
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2, 384)}"),
      header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (5,)}"),
      header("{'descr': '<f4', 'extra': 1, 'fortran_order': False, 'shape': (5,)}"),
      header("{'descr': '[<f4 ', 'fortran_order': False, 'shape': (5,)}"),
      header("{'descr': '<f4, 'fortran_order': False, 'shape': (5,)}"),
      header("{'descr': " + std::string(100, '[') + ", 'fortran_order': False, 'shape': (5,)}"),
      header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::string(99, '1') + ",)}"),
      "\x93NUMPY\x02\x00\xff\xff\xff\xff{"s,
  };
  for (const std::string& bytes : broken) {
    CAPTURE(bytes);
    const Error error = error_of([&] { parse(bytes); });
    CHECK(error.code() == Errc::corrupt);
    CHECK(contains(error.what(), "x.npy"));
  }
}

TEST_CASE("a matrix is checked against the size of its file") {
  const TempDir dir;
  const std::string good = internal::npy_header_text("<f4", 2, 3);
  CHECK(good.size() % 64 == 0);
  write_file(dir / "short.npy", good + std::string(23, '\0'));
  Error error = error_of([&] { NpyMatrix matrix(dir / "short.npy"); });
  CHECK(contains(error.what(), "holds 1 rows, its header counts 2"));

  // n * dim * 4 wraps to 64 bits here
  write_file(dir / "huge.npy",
             internal::npy_header_text("<f4", (std::uint64_t{1} << 62) + 1, 4) + std::string(16, '\0'));
  CHECK(error_of([&] { NpyMatrix matrix(dir / "huge.npy"); }).code() == Errc::corrupt);

  write_file(dir / "half.npy", internal::npy_header_text("<f2", 2, 3) + std::string(12, '\0'));
  CHECK(contains(error_of([&] { NpyMatrix matrix(dir / "half.npy"); }).hint(), "numpy.save"));
  write_file(dir / "line.npy", internal::npy_header_text("<f4", 2, 0) + std::string(8, '\0'));
  CHECK(error_of([&] { NpyMatrix matrix(dir / "line.npy"); }).code() == Errc::corrupt);
  write_file(dir / "odd.npy",
             header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}  ") + std::string(8, '\0'));
  CHECK(contains(error_of([&] { NpyMatrix matrix(dir / "odd.npy"); }).what(), "no multiple of 4"));
  CHECK(error_of([&] { NpyMatrix matrix(dir / "absent.npy"); }).code() == Errc::not_found);
}

TEST_CASE("what is written is read again") {
  const TempDir dir;
  const auto values = unit_rows(10, 33, 1);
  write_npy(dir / "a.npy", values, 33);
  const NpyMatrix matrix(dir / "a.npy");
  REQUIRE(matrix.rows() == 10);
  REQUIRE(matrix.dim() == 33);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(std::ranges::equal(matrix.row(i), row_of(values, 33, i)));
  }
  write_npy(dir / "none.npy", {}, 33);
  CHECK(NpyMatrix(dir / "none.npy").rows() == 0);
  CHECK_THROWS_AS(write_npy(dir / "b.npy", values, 32), Error);
  CHECK_FALSE(std::filesystem::exists(dir / "b.npy"));
}

TEST_CASE("rows are appended in place and counted by sync") {
  const TempDir dir;
  const auto path = dir / "rows.npy";
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  {
    NpyAppender appender = open_rows(path);
    CHECK(appender.rows() == 0);
    appender.append(bytes_of(rows));
    CHECK(NpyMatrix(path).rows() == 0);  // the header does not count them yet
    appender.sync();
    CHECK(NpyMatrix(path).rows() == 2);
  }
  NpyAppender again = open_rows(path);
  CHECK(again.rows() == 2);
  again.append(bytes_of(rows));
  again.sync();
  CHECK(NpyMatrix(path).rows() == 4);
  CHECK(NpyMatrix(path).row(3)[2] == 6);
  again.truncate(1);
  CHECK(NpyMatrix(path).rows() == 1);
  CHECK(std::filesystem::file_size(path) == 128 + 12);
}

TEST_CASE("the header leaves room for 2^63 - 1 rows") {
  const std::string empty = internal::npy_header_text("<f4", 0, 384);
  const std::string full = internal::npy_header_text("<f4", INT64_MAX, 384);
  CHECK(empty.size() == full.size());
  CHECK(parse(full).shape.front() == INT64_MAX);
  CHECK_THROWS_AS(internal::npy_header_text("<f4", 0, 384, 64), Error);
}

TEST_CASE("a commit point overrules the header") {
  const TempDir dir;
  const auto path = dir / "rows.npy";
  const std::vector<float> rows(30, 1.0f);
  {
    NpyAppender appender = open_rows(path);
    appender.append(bytes_of(rows));
    appender.sync();
  }
  SUBCASE("rows that were never committed are cut") {
    CHECK(open_rows(path, 4).rows() == 4);
    CHECK(NpyMatrix(path).rows() == 4);
    CHECK(std::filesystem::file_size(path) == 128 + 4 * 12);
  }
  SUBCASE("a header caught between two counts is written anew") {
    patch_file(path, io::read_file(path).find("10, 3"), "90");
    CHECK_THROWS_AS(NpyMatrix{path}, Error);
    CHECK(NpyMatrix(path, 10).rows() == 10);
    CHECK(open_rows(path, 10).rows() == 10);
    CHECK(NpyMatrix(path).rows() == 10);
  }
  SUBCASE("half a row is cut") {
    std::filesystem::resize_file(path, 128 + 10 * 12 + 5);
    open_rows(path, 10);
    CHECK(std::filesystem::file_size(path) == 128 + 10 * 12);
  }
  SUBCASE("nothing committed begins the file again") {
    write_file(path, "torn");
    CHECK(open_rows(path, 0).rows() == 0);
    CHECK(NpyMatrix(path).rows() == 0);
  }
  SUBCASE("too few rows are an error that names both counts") {
    const Error error = error_of([&] { open_rows(path, 11); });
    CHECK(error.code() == Errc::corrupt);
    CHECK(contains(error.what(), "rows.npy: holds 10 rows, the store counts 11"));
    CHECK(contains(error.hint(), "backup"));
  }
  SUBCASE("a missing file is an error") {
    std::filesystem::remove(path);
    CHECK(contains(error_of([&] { open_rows(path, 11); }).what(), "the file is gone"));
    CHECK_FALSE(std::filesystem::exists(path));
  }
  SUBCASE("other rows are an error") {
    CHECK(error_of([&] { NpyAppender(path, "<f4", 16, 4, 5); }).code() == Errc::corrupt);
    CHECK(error_of([&] { NpyAppender(path, "<f8", 24, 3, 5); }).code() == Errc::corrupt);
  }
}
