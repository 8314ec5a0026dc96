#pragma once

#include <cstdint>
#include <string>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct StreamOptions {
  std::string name;
  std::string output = "-";  ///< or a file, unix:PATH, tcp:HOST:PORT, shm:NAME
  bool segments = false;     ///< the segments of tpu_config.json in place of the tensors
  bool force = false;        ///< replace a file or shared memory
};

struct StreamResult {
  std::string name;
  std::string output;  ///< as given
  bool is_of_segments = false;
  std::uint64_t items = 0;            ///< tensors or segments
  std::uint64_t frames = 0;           ///< with the first and the last
  std::uint64_t bytes = 0;            ///< of the items
  std::uint64_t stream_bytes = 0;     ///< of all frames
  std::uint64_t unchecked_bytes = 0;  ///< of the items, in files without digests of chunks
  double seconds = 0;
};

/// Sends a model's tensors in layer order, or its segments, as frames (reef-stream(5)); at the speed of the disk, past
/// the page cache, in less than 64 MB of memory and some hundred bytes a tensor. Chunks are compared with their digests
/// before anything of them is sent.
///
/// Throws as find_model() does, Error{corrupt} for a damaged model: a live reader then gets a frame that says so,
/// a file does not appear. Error{usage} for a target, Error{failed} when it cannot be written to, Error{interrupted}.
StreamResult stream_model(const tree::Tree& tree, const StreamOptions& options, Progress& progress);

std::string to_json(const StreamResult& result);
std::string to_text(const StreamResult& result);

}  // namespace reef::model
