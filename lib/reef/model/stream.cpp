#include "reef/model/stream.h"

#include <fmt/format.h>

#include <chrono>
#include <span>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/checksum.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/internal/stream_output.h"
#include "reef/model/internal/stream_plan.h"
#include "reef/model/internal/verified_pieces.h"

namespace reef::model {
namespace {

class Sender {
 public:
  Sender(const internal::StreamPlan& plan, internal::StreamOutput& output, Progress& progress)
      : plan_(plan), output_(output), progress_(progress) {}

  void run() {
    send_text(FrameType::header, plan_.header);
    send_items();
    send_text(FrameType::end, plan_.end);
    output_.finish();
  }

 private:
  void send(FrameHeader header, std::span<const std::uint8_t> payload) {
    header.length = payload.size();
    header.xxh3 = io::xxh3(payload);
    output_.write(encode_frame(header), payload);
  }
  void send_text(FrameType type, const std::string& json) {
    send({.type = type}, {reinterpret_cast<const std::uint8_t*>(json.data()), json.size()});
  }

  void send_items() {
    internal::VerifiedPieces pieces(plan_);
    std::span<const std::uint8_t> bytes;
    std::size_t taken = 0;
    for (const internal::StreamPlan::Frame& frame : plan_.frames) {
      for (; frame.length > 0 && taken <= frame.piece; ++taken) bytes = next_of(pieces);
      FrameHeader header{.type = plan_.type,
                         .layer = plan_.items[frame.item].layer,
                         .index = static_cast<std::uint32_t>(frame.item),
                         .offset = frame.offset};
      send(header, frame.length > 0 ? bytes.subspan(frame.in_piece, frame.length) : std::span<const std::uint8_t>{});
      progress_.advance(frame.length);
    }
  }

  /// Tells a reader when there is no next one: it must not wait, or take the part for the whole.
  std::span<const std::uint8_t> next_of(internal::VerifiedPieces& pieces) {
    try {
      return pieces.next();
    } catch (const Error& error) {
      if (output_.is_live() && error.code() != Errc::interrupted) tell_reader(error);
      throw;
    }
  }

  /// What went wrong counts, and not that the reader is gone, too.
  void tell_reader(const Error& error) {
    try {
      send_text(FrameType::error, fmt::format(R"({{"schema":"reef.error/1","status":{},"message":{},"hint":{}}})",
                                              exit_status(error.code()), internal::json_string(error.what()),
                                              internal::json_string(error.hint())));
    } catch (const Error& gone) {
      log_detail("{}", gone.what());
    }
  }

  const internal::StreamPlan& plan_;
  internal::StreamOutput& output_;
  Progress& progress_;
};

}  // namespace

StreamResult stream_model(const tree::Tree& tree, const StreamOptions& options, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  const Installed model = find_model(tree, options.name);
  const internal::StreamPlan plan = options.segments ? internal::plan_segments(model) : internal::plan_tensors(model);
  if (plan.unchecked_bytes > 0) {
    log_warn(
        "{}: {} bytes are sent without being compared with digests: its manifest has none of their chunks; "
        "'reef-model manifest {}' writes them",
        model.manifest.name, plan.unchecked_bytes, model.manifest.name);
  }
  internal::StreamOutput output(options.output, options.force);
  output.reserve(plan.stream_bytes());
  progress.begin("streaming", plan.bytes, ProgressUnit::bytes);
  Sender(plan, output, progress).run();
  progress.end();
  StreamResult result{model.manifest.name, options.output, options.segments};
  result.items = plan.items.size();
  result.frames = plan.frames.size() + 2;
  result.bytes = plan.bytes;
  result.stream_bytes = output.written();
  result.unchecked_bytes = plan.unchecked_bytes;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace reef::model
