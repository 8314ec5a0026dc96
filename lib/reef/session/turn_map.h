#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reef/io/sqlite.h"

namespace reef::session {

inline constexpr std::uint32_t kNoTurn = UINT32_MAX;

/// What a search asks of every turn of a conversation: 24 bytes, where a lookup in b-trees for each candidate would
/// cost more than the search.
struct Turn {
  std::int64_t id = 0;               ///< of the message or memory; negative once it was removed
  std::uint32_t previous = kNoTurn;  ///< position of the turn before it in its session
  std::uint32_t next = kNoTurn;
  std::uint16_t words = 0;
  std::uint16_t speaker = 0;  ///< position in speakers() + 1; 0: nobody is named
  float importance = 0;       ///< of a memory

  bool is_removed() const { return id < 0; }
};

/// Who is named by a message: nobody by what tools and programs put in.
std::string speaker_of(std::string_view role, std::string_view speaker);

/// The turns of a store of vectors in the order of its rows, where position i belongs to row i, or memories in that of
/// their ids. Kept in table turn_map of their database in pages of kPage, of which a writer replaces those that
/// changed.
class TurnMap {
 public:
  static constexpr std::size_t kPage = 1024;
  /// SQL that makes its tables; goes into a migration of whoever owns the database.
  static const char* const kSchema;

  /// Throws Error{corrupt} with that hint for pages that cannot be.
  void load(io::Database& database, const char* next_step);
  /// What changed since; inside the transaction that commits the rows.
  void save(io::Database& database);

  std::size_t size() const { return turns_.size(); }
  const Turn& operator[](std::size_t position) const { return turns_[position]; }
  const std::vector<Turn>& turns() const { return turns_; }
  const std::vector<std::string>& speakers() const { return speakers_; }
  /// Number of a speaker, who is added when new; 0 for "", and for all after the first 65,535.
  std::uint16_t speaker(std::string_view name);
  /// nullopt for what is not here, or was removed.
  std::optional<std::uint32_t> position_of(std::int64_t id) const;

  /// Appends a turn between two neighbours that are here.
  std::uint32_t add(Turn turn, std::optional<std::uint32_t> previous, std::optional<std::uint32_t> next);
  /// Its neighbours become those of one another.
  void remove(std::uint32_t position);
  void set_importance(std::uint32_t position, float importance);
  /// Rows were written anew without removed ones: kept[i] is now row i.
  void renumber(std::span<const std::uint64_t> kept);
  /// Turns that are linked already, in the place of all there are.
  void assign(std::vector<Turn> turns);
  /// No turns; speakers stay.
  void clear();

 private:
  void touch(std::size_t position);
  void index(std::size_t position);

  std::vector<Turn> turns_;
  std::vector<std::string> speakers_;
  std::unordered_map<std::string, std::uint16_t> numbers_;  ///< of speakers
  std::size_t stored_speakers_ = 0;
  /// Positions of turns whose id is above all before them, nearly all there are; the others, by id.
  std::vector<std::uint32_t> ascending_;
  std::map<std::int64_t, std::uint32_t> others_;
  std::vector<std::size_t> changed_;  ///< pages
  std::size_t stored_pages_ = 0;
};

}  // namespace reef::session
