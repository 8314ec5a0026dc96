#pragma once

#include <string>
#include <vector>

#include "reef/embed/embedder.h"
#include "reef/memory/store.h"

namespace reef::memory {

struct RememberOptions {
  std::string text;
  std::vector<std::string> tags;
  unsigned threads = 1;
  StoreOptions store;
};

struct RememberReport {
  std::string persona;
  Remembered result;
  bool has_vector = false;
  FinishReport finish;
};

/// Remembers a text because somebody asks for it: also one that was forgotten before. `embedder`: null when there is no
/// model; it also embeds what has no vector yet. Throws as Store does.
RememberReport remember(const tree::Tree& tree, const std::string& persona, const RememberOptions& options,
                        embed::Embedder* embedder, Progress& progress);

struct ExportOptions {
  std::string to;  ///< a folder that is absent or empty; empty: only the persona's own files are written
  unsigned threads = 1;
  StoreOptions store;
};
struct ExportReport {
  std::string persona;
  std::uint64_t embedded = 0;  ///< memories that had no vector of that model
  FinishReport written;
  std::string to;
};

/// Writes embeddings.npy, relationships.json and emotional_state.json anew, with vectors of that embedder, and copies
/// them, all of one moment. Mends the full text, and removes entities of no memory. Error{not_found} when the persona
/// has no memories, Error{usage} for a folder that holds something.
ExportReport export_memories(const tree::Tree& tree, const std::string& persona, const ExportOptions& options,
                             embed::Embedder* embedder, Progress& progress);

std::string to_text(const RememberReport& report);
std::string to_json(const RememberReport& report);
std::string to_text(const ExportReport& report);
std::string to_json(const ExportReport& report);

}  // namespace reef::memory
