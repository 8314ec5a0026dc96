#include "commands.h"
#include "reef/core/log.h"
#include "reef/embed/encoder.h"
#include "reef/model/embedding.h"
#include "reef/tree/folders.h"

namespace reef::tool {

void compile_encoder(const tree::Tree& tree, const tree::Config& config, const std::filesystem::path& folder) {
  if (!model::is_bert_encoder(folder)) return;
  try {
    const std::string name = (folder.parent_path().filename() / folder.filename()).string();
    const model::EmbeddingModel encoder = model::resolve_embedding(tree, config, name);
    const auto target = embed::compiled_path(tree.encoders(), encoder);
    if (std::filesystem::exists(target)) return;
    log_step("compiling the encoder into {}", target.string());
    tree::make_folders(tree.encoders());
    embed::compile_encoder(encoder, target);
  } catch (const std::exception&) {
    const Error error = current_error();
    if (error.code() == Errc::interrupted) throw;
    log_warn("{} cannot embed texts yet: {}", folder.filename().string(), error.what());
  }
}

}  // namespace reef::tool
