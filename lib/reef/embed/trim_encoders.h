#pragma once

#include "reef/model/cache_trim.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::embed {

/// Removes compiled encoders that no model of the tree has any more: of models that are gone or were replaced, and of
/// other versions of reef. Who has one mapped keeps it; it is compiled again at need.
void remove_old_encoders(const tree::Tree& tree, const tree::Config& config, model::CacheTrim& trim);

}  // namespace reef::embed
