#pragma once

#include "reef/core/progress.h"
#include "reef/core/time.h"
#include "reef/memory/language_model.h"
#include "reef/memory/store.h"
#include "reef/tree/tree.h"

namespace reef::memory {

/// Has the language model write the summaries that session::list_unsummarised() finds missing, of sessions that were
/// quiet for 24 hours at `now`: a hundred sessions at most, the latest first. Counted in `use`.
///
/// It is told what people said, not what was forgotten, in pieces of 24,000 bytes, the last eight of them; the
/// sentences of all pieces, one after the other, are the summary. A sentence that names no message is left out. Nothing
/// is written for a session of which one piece got no answer of use. No transaction is open while a request is on its
/// way. The caller holds the persona's lock, by `store`.
void summarise_sessions(const tree::Tree& tree, Store& store, LanguageModel& model, Time now, LanguageModelUse& use,
                        Progress& progress);

}  // namespace reef::memory
