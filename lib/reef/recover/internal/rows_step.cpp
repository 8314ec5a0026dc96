#include "reef/recover/internal/rows_step.h"

#include "reef/persona/rows.h"

namespace reef::recover::internal {

namespace fs = std::filesystem;

RowsMoved bring_rows(const tree::Tree& tree, const fs::path& staging, const std::string& persona, bool turns_come_too) {
  RowsMoved moved;
  for (const persona::Shared which : {persona::Shared::documents, persona::Shared::conversations}) {
    const fs::path copy = staging / persona::shared_file(tree, which).lexically_relative(tree.root());
    std::error_code ignored;
    if (!fs::exists(copy, ignored)) continue;
    persona::ReplaceOptions options;
    options.turns_come_too = turns_come_too;
    const auto report = persona::replace_rows(tree, which, copy, persona, options);
    moved.came += report.came;
    moved.went += report.went;
  }
  return moved;
}

}  // namespace reef::recover::internal
