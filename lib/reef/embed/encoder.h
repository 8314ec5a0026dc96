#pragma once

#include <filesystem>
#include <memory>

#include "reef/embed/embedder.h"
#include "reef/model/embedding.h"

namespace reef::embed {

/// Where the compiled form of `model` belongs inside `cache` (tree::Tree::encoders()): its name
/// holds the weights' digest, the format version and a digest of the sizes and times of the files
/// that it is made from (reading them would cost a question a tenth of its time).
std::filesystem::path compiled_path(const std::filesystem::path& cache, const model::EmbeddingModel& model);

/// Compiles safetensors and vocabulary into one mappable file, atomically. .2 s for MiniLM.
/// Throws Error{corrupt} naming file, tensor and rule when the model is no BERT encoder.
void compile_encoder(const model::EmbeddingModel& model, const std::filesystem::path& target);

/// Whether the compiled file at `path` is whole, every byte of it read and compared with its
/// checksum. Error{not_found} when there is none.
bool verify_compiled(const std::filesystem::path& path);

/// The local embedder: maps the compiled file, compiling it first when it is absent, damaged or of
/// another version (into a temporary file when the cache cannot be written).
std::unique_ptr<Embedder> open_encoder(const std::filesystem::path& cache, const model::EmbeddingModel& model);

/// The same interface computed in float32 straight from model.safetensors, slowly: the reference
/// that the kernels are tested against.
std::unique_ptr<Embedder> open_reference_encoder(const model::EmbeddingModel& model);

}  // namespace reef::embed
