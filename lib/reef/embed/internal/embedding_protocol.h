#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

/// What is said to an OpenAI-compatible `/v1/embeddings` service, and what it may answer.
namespace reef::embed::internal {

inline constexpr std::size_t kBatchTexts = 64;
inline constexpr std::size_t kBatchBytes = 100'000;

/// How many of `texts` go into one request: up to kBatchTexts and kBatchBytes, at least one.
std::size_t batch_size(std::span<const std::string_view> texts);

/// The JSON that asks for vectors of prefix + text; what is no UTF-8 is sent as U+FFFD.
std::string request_body(const std::string& model, const std::string& prefix, std::span<const std::string_view> texts);

/// Reads the vectors of an answer into `out`, one row of `dim` unit-length floats for each of
/// `count` texts, ordered by the answer's "index". Vectors may be lists of numbers or base64 of
/// little-endian float32. Throws Error{corrupt} naming `service` when the answer is no JSON, a
/// vector is missing, doubled, of another length, not finite, or zero.
void read_vectors(std::string_view answer, const std::string& service, std::size_t count, std::size_t dim,
                  std::span<float> out);

/// Length of the first vector of an answer. Throws as read_vectors().
std::size_t read_dimension(std::string_view answer, const std::string& service);

}  // namespace reef::embed::internal
