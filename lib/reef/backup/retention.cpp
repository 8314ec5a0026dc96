#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "reef/backup/snapshot_store.h"
#include "reef/core/error.h"
#include "reef/core/units.h"

namespace reef::backup {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;

constexpr const char* kHint =
    "write a list of 'last 4', 'within 24h', 'hourly 48', 'daily 14', 'weekly 8', 'monthly 12', each at most once";

std::int64_t hour_of(Time time) { return floor<hours>(time).time_since_epoch().count(); }
std::int64_t day_of(Time time) { return floor<days>(time).time_since_epoch().count(); }

/// ISO 8601: a week begins on a Monday, and the epoch's first day was a Thursday.
std::int64_t week_of(Time time) {
  constexpr std::int64_t kFromMonday = 3;
  const std::int64_t day = day_of(time) + kFromMonday;
  return (day >= 0 ? day : day - 6) / 7;
}

std::int64_t month_of(Time time) {
  const std::chrono::year_month_day date(floor<days>(time));
  return std::int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month());
}

struct Periods {
  std::string_view word;
  std::uint64_t Retention::*count;
  std::int64_t (*of)(Time);
};
constexpr std::array<Periods, 4> kPeriods{{{"hourly", &Retention::hourly, hour_of},
                                           {"daily", &Retention::daily, day_of},
                                           {"weekly", &Retention::weekly, week_of},
                                           {"monthly", &Retention::monthly, month_of}}};

bool is_sound(const Snapshot& snapshot) { return !snapshot.damaged; }

/// When each was taken at the earliest, whatever the clock said: no earlier than those before it, and before the next
/// one if its own time has not come yet. Whoever set the clock back to 1970 for a moment loses no snapshot by it.
std::vector<Time> earliest_times(const std::vector<Snapshot>& snapshots, Time now) {
  std::vector<Time> times(snapshots.size());
  Time next = now;
  for (std::size_t i = snapshots.size(); i-- > 0;) {
    if (snapshots[i].taken <= now) next = snapshots[i].taken;
    times[i] = next;
  }
  for (std::size_t i = 1; i < times.size(); ++i) times[i] = std::max(times[i], times[i - 1]);
  return times;
}

class Keeper {
 public:
  explicit Keeper(const std::vector<Snapshot>& snapshots) : snapshots_(snapshots), kept_(snapshots.size()) {}

  void keep(std::size_t i, std::string_view why) {
    kept_[i].stays = true;
    kept_[i].why.emplace_back(why);
  }

  void keep_newest() {
    if (!kept_.empty()) keep(kept_.size() - 1, "newest");
  }

  /// Retention must never leave only snapshots that nobody has read back.
  void keep_newest_verified() {
    const auto newest = std::find_if(snapshots_.rbegin(), snapshots_.rend(),
                                     [](const Snapshot& one) { return one.verified && is_sound(one); });
    if (newest != snapshots_.rend()) keep(static_cast<std::size_t>(snapshots_.rend() - newest) - 1, "newest verified");
  }

  /// Damaged ones stay among those that are kept, and fill no place: what can still be read of them is not given up
  /// before there is as much that is sound.
  void keep_last(std::uint64_t count) {
    for (std::size_t i = kept_.size(); i-- > 0 && count > 0;) {
      keep(i, "last");
      if (is_sound(snapshots_[i])) --count;
    }
  }

  void keep_since(Time start, Time now) {
    const std::vector<Time> times = earliest_times(snapshots_, now);
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      if (times[i] >= start) keep(i, "within");
    }
  }

  /// The newest of each period, as their order tells: where the clock was set back, an hour may come twice.
  void keep_periods(const Periods& periods, std::uint64_t count) {
    std::set<std::int64_t> seen;
    for (std::size_t i = kept_.size(); i-- > 0 && seen.size() < count;) {
      const std::int64_t period = periods.of(snapshots_[i].taken);
      if (seen.contains(period)) continue;
      keep(i, periods.word);
      if (is_sound(snapshots_[i])) seen.insert(period);
    }
  }

  std::vector<Kept> take() { return std::move(kept_); }

 private:
  const std::vector<Snapshot>& snapshots_;
  std::vector<Kept> kept_;
};

std::uint64_t* counter_of(Retention& retention, std::string_view word) {
  if (word == "last") return &retention.last;
  for (const Periods& periods : kPeriods) {
    if (word == periods.word) return &(retention.*periods.count);
  }
  return nullptr;
}

}  // namespace

Retention Retention::parse(const std::vector<std::string>& words) {
  Retention retention;
  std::set<std::string> seen;
  for (const std::string& words_of_rule : words) {
    const std::size_t blank = words_of_rule.find(' ');
    const std::string word = words_of_rule.substr(0, blank);
    const std::string value = blank == std::string::npos ? "" : words_of_rule.substr(blank + 1);
    std::uint64_t* const counter = counter_of(retention, word);
    if (value.empty() || (counter == nullptr && word != "within")) {
      throw Error(Errc::usage, fmt::format("'{}' is no rule of what backups stay", words_of_rule), kHint);
    }
    if (!seen.insert(word).second) {
      throw Error(Errc::usage, fmt::format("the rule '{}' of what backups stay is there twice", word), kHint);
    }
    if (counter != nullptr) {
      *counter = parse_count(value, word);
    } else {
      retention.within = parse_duration(value);
    }
  }
  const bool periods =
      std::any_of(kPeriods.begin(), kPeriods.end(), [&](const Periods& one) { return retention.*one.count > 0; });
  if (retention.last == 0 && !periods && retention.within.value_or(std::chrono::milliseconds(0)).count() == 0) {
    throw Error(Errc::usage, "by these rules no backup would stay", kHint);
  }
  return retention;
}

std::vector<Kept> kept(const std::vector<Snapshot>& snapshots, const Retention& retention, Time now) {
  Keeper keeper(snapshots);
  keeper.keep_newest();
  keeper.keep_newest_verified();
  keeper.keep_last(retention.last);
  if (retention.within) keeper.keep_since(now - *retention.within, now);
  for (const Periods& periods : kPeriods) keeper.keep_periods(periods, retention.*periods.count);
  return keeper.take();
}

}  // namespace reef::backup
