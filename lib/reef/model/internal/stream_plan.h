#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "reef/io/read_pieces.h"
#include "reef/model/internal/chunk_check.h"
#include "reef/model/library.h"
#include "reef/model/stream_frame.h"

namespace reef::model::internal {

/// A tensor or a segment: a range of a file.
struct StreamItem {
  CheckedFile* file = nullptr;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint32_t layer = kNoIndex;
};

/// What is read for a stream and how it is cut into frames. Pieces are chunks of kChunkBytes: each chunk is read whole,
/// and can be compared with its digest, the first time that something of it is sent. When the order comes back to it,
/// only the sectors are read that are needed.
struct StreamPlan {
  struct OfPiece {
    const CheckedFile* file = nullptr;
    std::size_t chunk = 0;
    bool is_checked = false;  ///< whole, and its digest is known
  };
  struct Frame {
    std::size_t item = 0;
    std::size_t piece = 0;     ///< without meaning when length is 0
    std::size_t in_piece = 0;  ///< where its bytes begin
    std::size_t length = 0;
    std::uint64_t offset = 0;  ///< in the item
  };

  FrameType type = FrameType::tensor;  ///< of its frames
  std::string model;
  std::string header;  ///< JSON, the payload of the first frame
  std::string end;     ///< JSON, of the last one
  std::deque<CheckedFile> files;
  std::vector<StreamItem> items;
  std::vector<io::Piece> pieces;
  std::vector<OfPiece> of_piece;
  std::vector<Frame> frames;
  std::uint64_t bytes = 0;            ///< of the items
  std::uint64_t unchecked_bytes = 0;  ///< of them, in files without digests of chunks

  /// All that goes out: headers, tables and items.
  std::uint64_t stream_bytes() const;
};

/// All tensors of a model in layer order. Throws Error{corrupt} where a file is not what the manifest says, as far as
/// sizes and headers tell.
StreamPlan plan_tensors(const Installed& model);
/// The segments of its tpu_config.json in their order, after each was compared with its SHA-256 and its device's
/// memory. Throws Error{usage} when there are none or one is too large, Error{corrupt} for one that is missing or
/// another.
StreamPlan plan_segments(const Installed& model);

/// Fills in pieces, frames and totals from the items. For tests.
void lay_out(StreamPlan& plan);

}  // namespace reef::model::internal
