#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>

namespace faiss {
struct Index;
}

namespace reef::libexec {

/// FAISS's message without the C++ signature and source line that it begins with.
std::string plain_message(const std::exception& error);

/// The index below the wrappers that take ids, transform vectors or refine results.
faiss::Index* innermost(faiss::Index* index);

/// Reads an index that need not be one: Error{corrupt} where FAISS notices, and memory for little
/// more than the file holds, whatever counts stand in it. Inverted lists stay in the mapped file.
std::unique_ptr<faiss::Index> open_index(const std::filesystem::path& path);

/// How many candidates a graph keeps and how many lists are read. 0: what the file says, but at least 64 candidates,
/// and 8 or a sixteenth of the lists; the 16 and 1 that FAISS starts with find too little.
struct Effort {
  int ef = 0;
  int nprobe = 0;
};
void set_effort(faiss::Index& index, const Effort& effort);

/// FAISS's distance as an inner product of unit vectors.
float score_of(const faiss::Index& index, float distance);

struct BuildRequest {
  std::string factory;
  std::filesystem::path vectors;
  std::uint64_t rows = 0;
  std::filesystem::path out;
  std::int64_t seed = 1234;
};
void build(const BuildRequest& request);

/// HNSW with M = 32, linked by distances between the floats, over 8-bit codes with a minimum and a step for each
/// dimension: for vectors of which one step for all loses too much. `request.factory` is not used.
void build_float_graph(const BuildRequest& request);

/// Answers questions from stdin on stdout until it ends; the frames are described in reef-faiss.cpp.
void answer(const std::filesystem::path& path, std::uint32_t k, const Effort& effort);

/// Prints what it compares as one JSON line. False when the index is not of these vectors.
bool verify(const std::filesystem::path& path, const std::filesystem::path& vectors, std::uint64_t rows);

}  // namespace reef::libexec
