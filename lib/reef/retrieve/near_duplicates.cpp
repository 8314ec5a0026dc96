#include "reef/retrieve/near_duplicates.h"

#include <algorithm>

namespace reef::retrieve {
namespace {

constexpr std::size_t kRun = 4;
constexpr double kSame = .9;

std::vector<std::uint64_t> run_hashes(std::string_view text) {
  std::vector<std::uint64_t> words;
  constexpr std::uint64_t kStart = 0xcbf29ce484222325u, kPrime = 0x100000001b3u;  // FNV-1a
  std::uint64_t word = kStart;
  const auto end_word = [&] {
    if (word != kStart) words.push_back(word);
    word = kStart;
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_word =
        byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    if (is_word)
      word = (word ^ (byte >= 'A' && byte <= 'Z' ? byte + 32u : byte)) * kPrime;
    else
      end_word();
  }
  end_word();
  std::vector<std::uint64_t> runs;
  const std::size_t length = std::min(kRun, std::max<std::size_t>(words.size(), 1));
  for (std::size_t i = 0; i + length <= words.size(); ++i) {
    std::uint64_t hash = kStart;
    for (std::size_t j = i; j < i + length; ++j) hash = (hash ^ (words[j] >> 7) ^ words[j]) * kPrime;
    runs.push_back(hash);
  }
  std::sort(runs.begin(), runs.end());
  runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
  return runs;
}

bool same(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty();
  // Sizes alone decide most pairs: the overlap cannot be larger than the smaller set.
  if (static_cast<double>(std::min(a.size(), b.size())) < kSame * static_cast<double>(std::max(a.size(), b.size())))
    return false;
  std::size_t common = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y) {
      ++common;
      ++x;
      ++y;
    } else {
      *x < *y ? ++x : ++y;
    }
  }
  return static_cast<double>(common) >= kSame * static_cast<double>(a.size() + b.size() - common);
}

}  // namespace

bool NearDuplicates::add(std::string_view text) {
  auto runs = run_hashes(text);
  if (std::any_of(seen_.begin(), seen_.end(), [&](const auto& other) { return same(runs, other); })) return false;
  seen_.push_back(std::move(runs));
  return true;
}

}  // namespace reef::retrieve
