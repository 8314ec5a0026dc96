#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/session/turn_map.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::session {

/// Whether a message says nothing that could be embedded: blanks and control characters.
bool is_blank_turn(std::string_view content);

/// Vectors of the turns of one persona's conversations, in vectors/conversations/<persona>: row i is turn i of the map.
/// Everything here is derived from conversations.sqlite and can be made again.
inline constexpr int kTurnsVersion = 1;

/// The writing side: one process at a time, held by the folder's lock.
class TurnStore {
 public:
  /// Made when absent. Throws Error{locked} when another run holds it after `wait`, Error{corrupt} when what is there
  /// does not agree.
  TurnStore(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait);

  io::Database& database() { return database_; }
  vector::StoreWriter& vectors() { return vectors_; }
  TurnMap& map() { return map_; }
  const TurnMap& map() const { return map_; }

  /// Counts appended rows and saves the map; inside the caller's transaction.
  void commit();
  /// Takes a turn and its vector out; inside the caller's transaction, before commit().
  void remove(std::uint32_t position);
  /// Whether removed rows are many, or the tail is long.
  bool rebuild_is_due();
  /// Writes vectors, codes and graph anew without removed rows.
  vector::Rebuilt rebuild(unsigned threads, Progress& progress);
  /// After the last transaction of a run: the plain names, config.json and id_mapping.json, which may lack the newest
  /// rows of a large store when only rows were added.
  void finish_run(bool append_only);

 private:
  void write_id_mapping(bool append_only);

  std::filesystem::path folder_;
  io::LockFile lock_;
  io::Database database_;
  vector::StoreWriter vectors_;
  TurnMap map_;
};

/// The reading side: one snapshot, whatever a writer does meanwhile.
class TurnReader {
 public:
  static bool exists(const tree::Tree& tree, const std::string& persona);
  TurnReader(const tree::Tree& tree, const std::string& persona);

  io::Database& database() { return database_; }
  vector::StoreReader& vectors() { return vectors_; }
  const vector::StoreReader& vectors() const { return vectors_; }
  const TurnMap& map() const { return map_; }
  /// For who adds turns to it that have no vectors yet.
  TurnMap take_map() { return std::move(map_); }

 private:
  std::filesystem::path folder_;
  io::Database database_;
  io::Transaction transaction_;
  vector::StoreReader vectors_;
  TurnMap map_;
};

/// Takes out the turns of removed messages, and those behind them, whose vectors were made together with them and which
/// are pending then; where any was taken out, now or before, vectors are written anew without it. Needs no model.
/// Throws as TurnStore does. Nothing where there are no vectors.
void purge_turns(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait);

/// Faults of a persona's turn store: its files against one another, and against the conversations, of which every
/// message is embedded, pending or without a word. Holds its lock meanwhile.
std::vector<vector::StoreFault> verify_turns(const tree::Tree& tree, const std::string& persona,
                                             std::chrono::milliseconds wait);

}  // namespace reef::session
