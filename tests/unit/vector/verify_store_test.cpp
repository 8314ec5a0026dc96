#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "store_sample.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

constexpr std::size_t kDim = SampleStore::kDim;

std::string bytes_of(float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::size_t value_offset(std::size_t row, std::size_t column) { return 128 + (row * kDim + column) * sizeof(float); }

}  // namespace

TEST_CASE("a value that is not finite is found") {
  SampleStore store;
  store.add(20);
  patch_file(store / "vectors.1.npy", value_offset(7, 3), bytes_of(std::nanf("")));
  const auto faults = store.faults(false);
  REQUIRE(faults.size() == 2);
  CHECK(contains(faults[0], "vectors.1.npy: row 7 holds values that are not finite"));
  CHECK(contains(faults[1], "codes.1.npy: row 7 does not match its vector; remove the file"));
  CHECK(store.faults(true).empty());
}

TEST_CASE("rows that are not of unit length are found, as one fault") {
  SampleStore store;
  store.add(20);
  for (const std::size_t row : {4u, 9u, 15u}) patch_file(store / "vectors.1.npy", value_offset(row, 0), bytes_of(3));
  const auto faults = store.faults(false);
  REQUIRE(faults.size() == 2);
  CHECK(contains(faults[0], "3 rows, the first of them 4, is not of unit length"));
}

TEST_CASE("codes that are not those of their vector are found, and removing them is a cure") {
  SampleStore store;
  store.add(20);
  const std::size_t offset = std::filesystem::file_size(store / "codes.1.npy") - 5;
  patch_file(store / "codes.1.npy", offset, "\x7f");
  const auto faults = store.faults();
  REQUIRE(faults.size() == 1);
  CHECK(contains(faults[0], "codes.1.npy: row 19 does not match"));
  std::filesystem::remove(store / "codes.1.npy");
  store.add(1);
  CHECK(store.faults().empty());
}

TEST_CASE("names and configuration that lag mend themselves") {
  SampleStore store;
  store.add(20);
  std::filesystem::remove(store / "vectors.npy");
  write_file(store / "codes.npy", "other");
  std::filesystem::remove(store / "config.json");
  CHECK(store.faults(false).empty());
  const auto faults = store.faults(true);
  REQUIRE(faults.size() == 3);
  CHECK(contains(faults[0], "vectors.npy: is no link to vectors.1.npy; the next run"));
  CHECK(contains(faults[2], "config.json: is missing"));
  store.add(1);
  CHECK(store.faults().empty());
}

TEST_CASE("a dimension that is not the store's, and removed rows that are none, are found") {
  SampleStore store;
  store.add(20);
  store.metadata().execute("INSERT INTO dead_rows VALUES (20)");
  CHECK(contains(store.faults(false).at(0), "1 removed rows are none of the store's 20 (the first of them 20)"));
  store.metadata().execute("DELETE FROM dead_rows; UPDATE store SET dim = 12");
  const auto faults = store.faults(false);
  REQUIRE(faults.size() == 1);
  CHECK(contains(faults[0], "rows of 24 values, the store counts 20 rows of 12"));
}
