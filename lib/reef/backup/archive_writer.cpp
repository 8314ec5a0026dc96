#include "reef/backup/archive_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/frame.h"
#include "reef/backup/internal/frame_pipeline.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup {

using internal::Extent;
using internal::FrameBuffer;
using internal::FrameInfo;
using internal::kFrameBytes;
using internal::padded;

namespace {

/// Read at once, between two looks at pending_signal.
constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

struct ArchiveWriter::State {
  State(ArchiveOutput& to, unsigned threads) : output(to), pipeline(to, threads) {}

  ArchiveOutput& output;
  internal::IndexBuilder index;
  std::unique_ptr<FrameBuffer> frame;  ///< being filled
  std::uint64_t offset = 0;            ///< in the tar archive, of what is appended next
  internal::FramePipeline pipeline;    ///< last: its threads end before what they use
};

ArchiveWriter::ArchiveWriter(ArchiveOutput& output, unsigned threads)
    : state_(std::make_unique<State>(output, threads)) {
  state_->frame = state_->pipeline.take();
}

ArchiveWriter::~ArchiveWriter() = default;

void ArchiveWriter::put(const Entry& entry, Content* content) {
  State& s = *state_;
  const bool is_tree = entry.path.empty() && entry.type == EntryType::folder;
  if (!is_tree && !internal::is_inner_path(entry.path))
    throw Error(Errc::failed, fmt::format("archive {}: it is no path within a tree", io::shown(entry.path)));
  internal::TarEntry tar;
  tar.entry = entry;
  tar.entry.state.clear();
  tar.entry.size_bytes = content != nullptr ? content->size_bytes() : 0;
  if (content != nullptr) tar.extents = internal::data_extents(*content);
  std::string head;
  append_tar_headers(head, tar.entry, tar.extents);
  if (!tar.extents.empty()) head += internal::sparse_map(tar.extents);
  const std::uint64_t all = head.size() + padded(tar.stored());

  // What may have to be taken back lies in the one frame that is being filled, or in frames of its own.
  if (s.frame->size + all >= kFrameBytes) cut();
  const bool is_large = all >= kFrameBytes;
  const std::size_t before = s.frame->size;
  const std::uint64_t offset = s.offset;
  if (is_large) s.pipeline.hold();
  Counts counts;
  try {
    tar.header = offset;
    append(head);
    tar.data = s.offset;
    if (content != nullptr) {
      if (tar.extents.empty()) append_content(*content, 0, tar.entry.size_bytes);
      for (const Extent& extent : tar.extents) append_content(*content, extent.offset, extent.length);
      pad();
      counts = content->finish();
    }
  } catch (...) {
    if (is_large) s.pipeline.take_back();
    if (s.frame == nullptr) s.frame = s.pipeline.take();
    s.frame->size = before;
    s.offset = offset;
    throw;
  }
  if (is_large) s.pipeline.release();
  s.index.add(tar, counts);
  if (entry.type != EntryType::folder) ++files_;
  bytes_ += tar.entry.size_bytes;
}

void ArchiveWriter::finish() {
  State& s = *state_;
  append(std::string(internal::kTarEndBytes, '\0'));
  cut();
  const std::vector<FrameInfo>& frames = s.pipeline.drain();
  const std::string index = s.index.finish(frames);
  s.output.write(as_bytes(index));
  s.output.write(as_bytes(internal::seek_table(frames, index.size())));
  s.output.finish();
}

void ArchiveWriter::cut() {
  State& s = *state_;
  if (s.frame->size == 0) return;
  s.pipeline.submit(std::move(s.frame));
  s.frame = s.pipeline.take();
}

void ArchiveWriter::append(std::string_view text) {
  while (!text.empty()) {
    FrameBuffer& frame = *state_->frame;
    const std::string_view part = text.substr(0, kFrameBytes - frame.size);
    frame.append(part);
    state_->offset += part.size();
    text.remove_prefix(part.size());
    if (frame.size == kFrameBytes) cut();
  }
}

void ArchiveWriter::append_content(const Content& content, std::uint64_t offset, std::uint64_t bytes) {
  while (bytes > 0) {
    check_interrupt();
    FrameBuffer& frame = *state_->frame;
    const std::uint64_t part = std::min({bytes, kReadBytes, std::uint64_t{kFrameBytes - frame.size}});
    content.read(offset, {frame.bytes.data() + frame.size, static_cast<std::size_t>(part)});
    frame.size += static_cast<std::size_t>(part);
    state_->offset += part;
    offset += part;
    bytes -= part;
    if (frame.size == kFrameBytes) cut();
  }
}

void ArchiveWriter::pad() {
  append(std::string(static_cast<std::size_t>(padded(state_->offset) - state_->offset), '\0'));
}

}  // namespace reef::backup
