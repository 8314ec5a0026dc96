#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "reef/io/sqlite.h"

namespace reef::memory::internal {

/// What the messages so far have shown: how many they are, in how many of them each word stood, and which names they
/// gave, all by hash. With a database each is looked up there once, and what changed is written by save().
class Learned {
 public:
  Learned() = default;
  explicit Learned(io::Database& memories);

  std::int64_t messages() const { return messages_; }
  std::int64_t messages_with(std::uint64_t word);
  bool knows_name(std::uint64_t name);

  void add_message() { ++messages_; }
  void add_word(std::uint64_t word);
  void add_name(std::uint64_t name);
  void save();

 private:
  io::Database* database_ = nullptr;
  io::Statement find_word_, find_name_;
  std::int64_t messages_ = 0;
  std::unordered_map<std::uint64_t, std::int64_t> words_;
  std::unordered_map<std::uint64_t, bool> names_;
  std::unordered_set<std::uint64_t> changed_words_, new_names_;
};

}  // namespace reef::memory::internal
