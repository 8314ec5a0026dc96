#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/core/error.h"

namespace reef::backup {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

using Words = std::vector<std::string>;

/// Sound snapshots, none of them verified.
std::vector<Snapshot> taken_at(const Words& times) {
  std::vector<Snapshot> snapshots;
  for (const std::string& time : times) {
    Snapshot one;
    one.id = std::to_string(snapshots.size() + 1);
    one.taken = parse_time(time);
    snapshots.push_back(one);
  }
  return snapshots;
}

/// The numbers from 1 of those that stay, "1 4 5".
std::string staying(const std::vector<Snapshot>& snapshots, const Words& rules, Time now) {
  const std::vector<Kept> kept_ones = kept(snapshots, Retention::parse(rules), now);
  REQUIRE(kept_ones.size() == snapshots.size());
  std::string text;
  for (std::size_t i = 0; i < kept_ones.size(); ++i) {
    CHECK(kept_ones[i].stays == !kept_ones[i].why.empty());
    if (kept_ones[i].stays) text += (text.empty() ? "" : " ") + std::to_string(i + 1);
  }
  return text;
}
std::string staying(const std::vector<Snapshot>& snapshots, const Words& rules) {
  return staying(snapshots, rules, snapshots.empty() ? Time() : snapshots.back().taken);
}

std::string usage_error(const Words& rules) {
  try {
    Retention::parse(rules);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK_FALSE(error.hint().empty());
    return error.what();
  }
  FAIL("no error");
  return {};
}

TEST_CASE("retention: every rule is read") {
  const Retention all = Retention::parse({"last 4", "within 36h", "hourly 48", "daily 14", "weekly 8", "monthly 12"});
  CHECK(all.last == 4);
  CHECK(all.within == milliseconds(hours(36)));
  CHECK(all.hourly == 48);
  CHECK(all.daily == 14);
  CHECK(all.weekly == 8);
  CHECK(all.monthly == 12);
  CHECK(Retention::parse({"last 0", "daily 1"}).daily == 1);
  CHECK_FALSE(Retention::parse({"daily 1"}).within.has_value());
}

TEST_CASE("retention: what is no rule is refused") {
  CHECK(usage_error({"lats 4"}) == "'lats 4' is no rule of what backups stay");
  CHECK(usage_error({"last"}) == "'last' is no rule of what backups stay");
  CHECK(usage_error({"last "}) == "'last ' is no rule of what backups stay");
  CHECK(usage_error({""}) == "'' is no rule of what backups stay");
  CHECK(usage_error({"last 4", "last 5"}) == "the rule 'last' of what backups stay is there twice");
  CHECK(usage_error({"last 4", "within 1h", "within 1h"}) == "the rule 'within' of what backups stay is there twice");
  CHECK_FALSE(usage_error({"last four"}).empty());
  CHECK_FALSE(usage_error({"last -1"}).empty());
  CHECK_FALSE(usage_error({"last  4"}).empty());
  CHECK_FALSE(usage_error({"within tomorrow"}).empty());
}

TEST_CASE("retention: rules by which nothing would stay are refused") {
  for (const Words& rules : std::vector<Words>{{}, {"last 0"}, {"last 0", "daily 0"}, {"within 0s"}}) {
    CHECK(usage_error(rules) == "by these rules no backup would stay");
  }
}

TEST_CASE("retention: none, and one") {
  CHECK(kept({}, Retention::parse({"last 1"}), Time()).empty());
  CHECK(staying(taken_at({"2026-11-30"}), {"last 1"}) == "1");
  CHECK(staying(taken_at({"1999-01-01"}), {"within 1h"}, parse_time("2026-11-30")) == "1");  // it is the newest
}

TEST_CASE("retention: last counts from the newest") {
  const auto five = taken_at({"2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"});
  CHECK(staying(five, {"last 1"}) == "5");
  CHECK(staying(five, {"last 3"}) == "3 4 5");
  CHECK(staying(five, {"last 5"}) == "1 2 3 4 5");
  CHECK(staying(five, {"last 18446744073709551615"}) == "1 2 3 4 5");
}

TEST_CASE("retention: within holds what is so old, its bound included") {
  const auto some = taken_at({"2026-11-28T23:59:59.999Z", "2026-11-29T00:00:00Z", "2026-11-29T18:00:00Z"});
  CHECK(staying(some, {"within 24h"}, parse_time("2026-11-30T00:00:00Z")) == "2 3");
  CHECK(staying(some, {"within 1000d"}, parse_time("2026-11-30T00:00:00Z")) == "1 2 3");
}

TEST_CASE("retention: the newest of each period stays") {
  const auto some = taken_at({"2026-11-29T22:00:00Z", "2026-11-29T22:59:59.999Z", "2026-11-29T23:00:00Z",
                              "2026-11-29T23:59:59Z", "2026-11-30T00:00:00Z", "2026-11-30T00:15:00Z"});
  CHECK(staying(some, {"hourly 1"}) == "6");
  CHECK(staying(some, {"hourly 2"}) == "4 6");
  CHECK(staying(some, {"hourly 9"}) == "2 4 6");
  CHECK(staying(some, {"daily 1"}) == "6");
  CHECK(staying(some, {"daily 2"}) == "4 6");
}

TEST_CASE("retention: periods without a snapshot count for nothing") {
  const auto some = taken_at({"2026-01-01", "2026-03-01", "2026-08-01"});
  CHECK(staying(some, {"daily 2"}) == "2 3");
  CHECK(staying(some, {"monthly 3"}) == "1 2 3");
}

TEST_CASE("retention: periods are those of UTC") {
  // 01:30 in +02:00 is the day before.
  const auto some = taken_at({"2026-11-29T12:00:00Z", "2026-11-30T01:30:00+02:00", "2026-11-30T12:00:00Z"});
  CHECK(staying(some, {"daily 9"}) == "2 3");
}

TEST_CASE("retention: weeks begin on Monday, also across years and before the epoch") {
  // 2024-12-30 is the Monday of ISO week 1 of 2025; 2026-12-31 and 2027-01-03 are of week 53 of 2026.
  CHECK(staying(taken_at({"2024-12-29", "2024-12-30", "2025-01-05", "2025-01-06"}), {"weekly 9"}) == "1 3 4");
  CHECK(staying(taken_at({"2026-12-28", "2026-12-31", "2027-01-03", "2027-01-04"}), {"weekly 9"}) == "3 4");
  CHECK(staying(taken_at({"1969-12-28", "1969-12-29", "1970-01-04", "1970-01-05"}), {"weekly 9"}) == "1 3 4");
  CHECK(staying(taken_at({"1969-12-21", "1969-12-22", "1969-12-28"}), {"weekly 9"}) == "1 3");
}

TEST_CASE("retention: months are those of the calendar") {
  CHECK(staying(taken_at({"2024-02-28", "2024-02-29", "2024-03-01", "2025-02-28"}), {"monthly 9"}) == "2 3 4");
}

TEST_CASE("retention: a snapshot says every rule that keeps it") {
  const auto some = taken_at({"2026-11-01", "2026-11-29", "2026-11-30"});
  const auto rules = Retention::parse({"last 1", "within 36h", "hourly 1", "daily 2", "weekly 1", "monthly 1"});
  const auto result = kept(some, rules, some.back().taken);
  CHECK(result[0].why.empty());
  CHECK(result[1].why == Words{"within", "daily"});
  CHECK(result[2].why == Words{"newest", "last", "within", "hourly", "daily", "weekly", "monthly"});
}

TEST_CASE("retention: a damaged snapshot stays, and takes no place of a sound one") {
  auto some = taken_at({"2026-11-30T10:00:00Z", "2026-11-30T10:20:00Z", "2026-11-30T10:40:00Z", "2026-11-30T11:00:00Z",
                        "2026-11-30T11:30:00Z"});
  some[3].damaged = some[2].damaged = some.back().taken;
  CHECK(staying(some, {"last 2"}) == "2 3 4 5");
  CHECK(staying(some, {"last 9"}) == "1 2 3 4 5");
  CHECK(staying(some, {"hourly 9"}) == "2 3 5");
  CHECK(staying(some, {"within 24h"}) == "1 2 3 4 5");
}

TEST_CASE("retention: a corrupt source never rotates good copies out") {
  auto some =
      taken_at({"2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30"});
  for (std::size_t i = 3; i < some.size(); ++i) some[i].damaged = some.back().taken;
  CHECK(staying(some, {"last 2"}) == "2 3 4 5 6 7");
  CHECK(staying(some, {"daily 1"}) == "3 4 5 6 7");
  for (Snapshot& one : some) one.damaged = one.taken;
  CHECK(staying(some, {"last 3"}) == "1 2 3 4 5 6 7");  // nothing is sound: what can be read of any is worth its space
}

TEST_CASE("retention: the newest verified snapshot always stays") {
  auto some = taken_at({"2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05", "2026-11-06"});
  some[0].verified = some[1].verified = parse_time("2026-11-30");
  some[3].damaged = parse_time("2026-11-30");
  CHECK(staying(some, {"last 1"}) == "2 6");
  const auto result = kept(some, Retention::parse({"last 1"}), parse_time("2027-01-01"));
  CHECK(result[1].why == Words{"newest verified"});
  CHECK(result[5].why == Words{"newest", "last"});
  some[5].verified = parse_time("2026-11-30");
  CHECK(staying(some, {"last 1"}) == "6");
}

TEST_CASE("retention: one that was found damaged after it was verified is no verified one") {
  auto some = taken_at({"2026-11-01", "2026-11-02", "2026-11-03"});
  some[0].verified = some[1].verified = parse_time("2026-11-04");
  some[1].damaged = parse_time("2026-11-05");
  CHECK(staying(some, {"last 1"}) == "1 3");
}

TEST_CASE("retention: a clock that was set back changes no order") {
  // The fourth and the fifth were taken after the third.
  const auto some = taken_at({"2026-11-30T10:00:00Z", "2026-11-30T11:00:00Z", "2026-11-30T12:00:00Z",
                              "2026-11-30T10:30:00Z", "2026-11-30T10:45:00Z"});
  CHECK(staying(some, {"last 2"}) == "4 5");
  CHECK(staying(some, {"hourly 1"}) == "5");
  CHECK(staying(some, {"hourly 9"}) == "2 3 5");  // 10 o'clock came twice
  CHECK(staying(some, {"within 10m"}) == "5");
  CHECK(staying(some, {"within 15m"}) == "2 3 4 5");  // the clock ran ahead: no later than the fourth
}

TEST_CASE("retention: snapshots of a clock that stood at 1970 for a while are no older than those before them") {
  const auto some = taken_at({"2026-11-30T10:00:00Z", "1970-01-01T00:01:00Z", "2026-11-30T12:00:00Z"});
  CHECK(staying(some, {"within 3h"}) == "1 2 3");
  CHECK(staying(some, {"within 90m"}) == "3");
}

TEST_CASE("retention: snapshots of a clock that ran ahead do not stay until it comes true") {
  const auto some = taken_at({"2026-11-01", "2099-01-01", "2026-11-02", "2026-11-30"});
  CHECK(staying(some, {"within 24h"}) == "4");
  CHECK(staying(some, {"within 28d"}) == "2 3 4");
  const auto last = taken_at({"2026-11-01", "2099-01-01"});
  CHECK(staying(last, {"within 24h"}, parse_time("2026-11-30")) == "2");
}

TEST_CASE("retention: what stays is never less with one rule more, and the guards hold for any history") {
  std::mt19937 random(20261130);  // NOLINT(cert-msc51-cpp): the same histories each time
  for (int round = 0; round < 300; ++round) {
    std::vector<Snapshot> some(1 + random() % 40);
    Time time = parse_time("2026-11-01");
    for (Snapshot& one : some) {
      time += minutes(static_cast<int>(random() % 3000) - (random() % 10 == 0 ? 20000 : 0));
      one.taken = time;
      if (random() % 5 == 0) one.damaged = time;
      if (random() % 8 == 0) one.verified = time;
    }
    Retention one_rule;
    one_rule.last = random() % 5;
    Retention more = one_rule;
    more.hourly = random() % 20;
    more.daily = random() % 10;
    more.weekly = random() % 3;
    more.within = hours(random() % 100);
    const auto few = kept(some, one_rule, time);
    const auto many = kept(some, more, time);
    std::size_t sound = 0;
    bool verified_seen = false;
    for (std::size_t i = some.size(); i-- > 0;) {
      if (few[i].stays) CHECK(many[i].stays);
      if (sound < one_rule.last) CHECK(few[i].stays);
      if (some[i].damaged) continue;
      ++sound;
      if (some[i].verified && !verified_seen) CHECK(few[i].stays);
      verified_seen = verified_seen || some[i].verified.has_value();
    }
    CHECK(few.back().stays);
  }
}

}  // namespace
}  // namespace reef::backup
