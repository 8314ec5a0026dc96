#include "reef/memory/internal/learned.h"

#include <fmt/format.h>

#include <charconv>

#include "reef/core/error.h"

namespace reef::memory::internal {
namespace {

constexpr const char* kMessages = "scored_messages";

std::int64_t as_integer(std::uint64_t hash) { return static_cast<std::int64_t>(hash); }

}  // namespace

Learned::Learned(io::Database& memories)
    : database_(&memories),
      find_word_(memories, "SELECT messages FROM term_counts WHERE hash = ?"),
      find_name_(memories, "SELECT 1 FROM known_entities WHERE hash = ?") {
  auto progress = memories.prepare("SELECT value FROM progress WHERE key = ?");
  if (!progress.bind(1, kMessages).step()) return;
  const std::string_view digits = progress.text(0);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), messages_);
  if (error != std::errc{} || end != digits.data() + digits.size() || messages_ < 0)
    throw Error(Errc::corrupt, fmt::format("{}: progress: {} is no count", memories.path(), kMessages));
}

std::int64_t Learned::messages_with(std::uint64_t word) {
  const auto [found, absent] = words_.try_emplace(word, 0);
  if (absent && database_ != nullptr) {
    if (find_word_.bind(1, as_integer(word)).step()) found->second = find_word_.integer(0);
    find_word_.reset();
  }
  return found->second;
}

bool Learned::knows_name(std::uint64_t name) {
  const auto [found, absent] = names_.try_emplace(name, false);
  if (absent && database_ != nullptr) {
    found->second = find_name_.bind(1, as_integer(name)).step();
    find_name_.reset();
  }
  return found->second;
}

void Learned::add_word(std::uint64_t word) {
  messages_with(word);
  ++words_[word];
  if (database_ != nullptr) changed_words_.insert(word);
}

void Learned::add_name(std::uint64_t name) {
  if (knows_name(name)) return;
  names_[name] = true;
  if (database_ != nullptr) new_names_.insert(name);
}

void Learned::save() {
  if (database_ == nullptr) return;
  auto put_word = database_->prepare("INSERT OR REPLACE INTO term_counts(hash, messages) VALUES (?, ?)");
  for (const std::uint64_t word : changed_words_) put_word.bind(1, as_integer(word)).bind(2, words_[word]).run();
  auto put_name = database_->prepare("INSERT OR IGNORE INTO known_entities(hash) VALUES (?)");
  for (const std::uint64_t name : new_names_) put_name.bind(1, as_integer(name)).run();
  auto put_progress = database_->prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)");
  put_progress.bind(1, kMessages).bind(2, std::to_string(messages_)).run();
  changed_words_.clear();
  new_names_.clear();
}

}  // namespace reef::memory::internal
