#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/repack.h"

namespace reef::model {

using Json = nlohmann::ordered_json;

std::string to_json(const RepackResult& result) {
  Json files = Json::array();
  for (const RepackedFile& file : result.files) {
    files.push_back({{"path", file.path},
                     {"bytes", file.bytes},
                     {"tensors", file.tensors},
                     {"unaligned_tensors", file.unaligned},
                     {"reordered", file.is_reordered}});
  }
  const bool changed = !result.dry_run && !result.files.empty();
  return dump({{"schema", "reef.model.repack/1"},
               {"name", result.name},
               {"kind", kind_name(result.kind)},
               {"path", result.folder.string()},
               {"alignment", result.alignment},
               {"changed", changed},
               {"dry_run", result.dry_run},
               {"signature_removed", changed && result.removes_signature},
               {"files", std::move(files)}});
}

std::string to_text(const RepackResult& result) {
  if (result.files.empty()) {
    return fmt::format("already so; {} {}\n", result.name,
                       result.has_safetensors ? fmt::format("is aligned to {}", format_size(result.alignment))
                       : result.has_gguf      ? "is in GGUF files, whose tensors are aligned by their format"
                                              : "has no safetensors files");
  }
  Table table({{""}, {"", Align::right}, {""}});
  for (const RepackedFile& file : result.files) {
    table.add({file.path, format_size(file.bytes),
               fmt::format("{} of {} tensors unaligned, {}", format_count(file.unaligned), format_count(file.tensors),
                           file.is_reordered ? "in another order" : "a longer header")});
  }
  const std::string count = fmt::format("{} file{}", result.files.size(), result.files.size() == 1 ? "" : "s");
  if (result.dry_run) {
    return table.to_text() + (result.removes_signature ? "the manifest would have to be signed again\n" : "") +
           fmt::format("{} to be written anew in {}, nothing done (dry run)\n", count, io::shown(result.folder));
  }
  return table.to_text() + fmt::format("repacked {}: {} in {}\n", result.name, count, io::shown(result.folder));
}

}  // namespace reef::model
