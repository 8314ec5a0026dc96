#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reef/persona/rows.h"
#include "reef/tree/persona_edit.h"

namespace reef::persona::internal {

/// The vectors of one of its stores are of this model.
struct StoreModel {
  std::string store;  ///< "vectors" or "turns"
  std::string model, digest;
};

/// persona.json of an archive: {"schema":"reef.persona.archive/1","persona","created","section":{"name","base",
/// "adapters","created"},"models":[{"store","model","digest"}],"counts":{table: rows}}.
struct ArchiveRecord {
  std::string persona;
  std::string created;  ///< RFC 3339
  tree::PersonaSection section;
  std::vector<StoreModel> models;
  Counts counts;
};

inline constexpr const char* kRecordFile = "persona.json";

std::string record_text(const ArchiveRecord& record);
/// Throws Error{corrupt} for what is no such text, Error{usage} for one of a newer program. `file` is for messages.
ArchiveRecord parse_record(std::string_view text, const std::string& file);

}  // namespace reef::persona::internal
