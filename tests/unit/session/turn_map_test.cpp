#include "reef/session/turn_map.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "support/temp_dir.h"

using namespace reef;
using session::kNoTurn;
using session::TurnMap;

namespace {

session::Turn turn(std::int64_t id, std::uint16_t words = 3) {
  session::Turn made;
  made.id = id;
  made.words = words;
  return made;
}

struct Fixture {
  test::TempDir dir;
  io::Database database{dir / "turns.sqlite", io::OpenMode::create};
  Fixture() { database.execute(TurnMap::kSchema); }
  TurnMap stored(TurnMap& map) {
    io::Transaction transaction(database);
    map.save(database);
    transaction.commit();
    TurnMap read;
    read.load(database, "mend it");
    return read;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "turns come back as they were saved, on any number of pages") {
  TurnMap map;
  std::optional<std::uint32_t> before;
  for (int i = 1; i <= 2500; ++i) {
    auto added = turn(i * 10, static_cast<std::uint16_t>(i));
    added.speaker = map.speaker(i % 2 == 0 ? "Anna" : "Ben");
    before = map.add(added, before, std::nullopt);
  }
  TurnMap read = stored(map);
  REQUIRE(read.size() == 2500);
  CHECK(read.speakers() == std::vector<std::string>{"Ben", "Anna"});
  CHECK(read[1700].words == 1701);
  CHECK(read[1700].previous == 1699);
  CHECK(read[1700].next == 1701);
  CHECK(read[2499].next == kNoTurn);
  CHECK(read.position_of(17010) == 1700);
  CHECK(!read.position_of(17011));
  CHECK(read.speaker("Anna") == 2);
  CHECK(read.speaker("") == 0);
}

TEST_CASE_FIXTURE(Fixture, "a turn that comes later takes its place between its neighbours") {
  TurnMap map;
  const auto first = map.add(turn(1), std::nullopt, std::nullopt);
  const auto last = map.add(turn(9), first, std::nullopt);
  const auto middle = map.add(turn(5), first, last);
  TurnMap read = stored(map);
  CHECK(read[first].next == middle);
  CHECK(read[last].previous == middle);
  CHECK(read.position_of(5) == middle);
  CHECK(read.position_of(9) == last);

  read.remove(middle);
  read = stored(read);
  CHECK(read[first].next == last);
  CHECK(read[last].previous == first);
  CHECK(!read.position_of(5));
  // It was changed, and is embedded again.
  const auto again = read.add(turn(5), first, last);
  read = stored(read);
  CHECK(read.position_of(5) == again);
  CHECK(read[middle].is_removed());
}

TEST_CASE_FIXTURE(Fixture, "rows that are written anew take their turns along") {
  TurnMap map;
  std::optional<std::uint32_t> before;
  for (int i = 1; i <= 1500; ++i) before = map.add(turn(i), before, std::nullopt);
  stored(map);
  std::vector<std::uint64_t> kept;
  for (std::uint64_t i = 0; i < 1500; ++i) {
    if (i % 3 == 1)
      map.remove(static_cast<std::uint32_t>(i));
    else
      kept.push_back(i);
  }
  map.renumber(kept);
  const TurnMap read = stored(map);
  REQUIRE(read.size() == 1000);
  CHECK(read.position_of(1500) == 999);
  CHECK(!read.position_of(2));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    CHECK(read[i].previous == (i == 0 ? kNoTurn : i - 1));
    CHECK(read[i].next == (i == 999 ? kNoTurn : i + 1));
  }
}

TEST_CASE_FIXTURE(Fixture, "a damaged page is a fault with the way out") {
  TurnMap map;
  for (int i = 1; i <= 3; ++i) map.add(turn(i), std::nullopt, std::nullopt);
  stored(map);
  const auto fails = [&](const char* sql) {
    io::Transaction transaction(database);
    database.execute(sql);
    TurnMap read;
    CHECK_THROWS_WITH_AS(read.load(database, "mend it"), doctest::Contains("damaged"), Error);
  };
  fails("UPDATE turn_map SET page = 7");
  fails("UPDATE turn_map SET turns = CAST(substr(turns, 1, 25) AS BLOB)");
  fails("UPDATE turn_map SET turns = zeroblob(48)");
  fails("UPDATE turn_map SET turns = CAST(x'0100000000000000' || x'FF000000' || substr(turns, 13) AS BLOB)");
}
