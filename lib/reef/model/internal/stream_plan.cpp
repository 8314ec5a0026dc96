#include "reef/model/internal/stream_plan.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/layer_order.h"
#include "reef/model/tpu_config.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_damaged(const Installed& model, const std::string& file, const std::string& what) {
  throw Error(Errc::corrupt, fmt::format("{}: {}: {}", model.manifest.name, file, what),
              fmt::format("import the model again, then run 'reef-model verify {}'", model.manifest.name));
}

std::string sha256_of_start(const io::DirectFile& file, std::uint64_t bytes) {
  const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
  io::Sha256 hash;
  std::string part;
  for (std::uint64_t at = 0; at < bytes; at += part.size()) {
    check_interrupt();
    part.resize(static_cast<std::size_t>(std::min<std::uint64_t>(1 << 20, bytes - at)));
    io::pread_exact(fd.get(), part.data(), part.size(), at, file.path());
    hash.update(part);
  }
  return io::to_hex(hash.finish());
}

/// Opens files of a model and compares what can be compared before they are read.
class Files {
 public:
  explicit Files(const Installed& model) : model_(model), digests_(read_chunk_table(model.folder, model.manifest)) {}

  CheckedFile& open(StreamPlan& plan, const std::string& path) {
    const auto& files = model_.manifest.files;
    const auto entry = std::find_if(files.begin(), files.end(), [&](const ManifestFile& f) { return f.path == path; });
    // A segment that came after the import is in no manifest: its own SHA-256 is all there is.
    ManifestFile unknown{path};
    const bool is_known = entry != files.end();
    CheckedFile& file =
        is_known ? plan.files.emplace_back(model_.folder / path, *entry,
                                           std::move(digests_[static_cast<std::size_t>(entry - files.begin())]))
                 : plan.files.emplace_back(model_.folder / path, unknown, ChunkDigests{});
    if (!is_known) {
      file.expected.bytes = file.file.size();
      file.chunks.clear();
    }
    if (file.file.size() != file.expected.bytes)
      fail_damaged(model_, path, fmt::format("has {} bytes, manifest says {}", file.file.size(), file.expected.bytes));
    return file;
  }

 private:
  const Installed& model_;
  std::vector<ChunkDigests> digests_;
};

/// Begins a table: what both kinds of stream say of themselves.
std::string begin_header(const StreamPlan& plan, const char* content) {
  return fmt::format(R"({{"schema":"reef.stream/1","model":{},"content":"{}","bytes":{},"frames":{},"{}":[)",
                     json_string(plan.model), content, plan.bytes, plan.frames.size(), content);
}

void add_tensor(std::string& header, std::size_t index, const OrderedTensor& place, const WeightFile& file) {
  const WeightTensor& tensor = file.tensors[place.tensor];
  const std::string layer = place.layer
                                ? fmt::format(R"({},"stack":{})", place.layer->number, json_string(place.layer->prefix))
                                : R"(null,"stack":null)";
  fmt::format_to(std::back_inserter(header),
                 R"({}{{"index":{},"name":{},"dtype":{},"shape":[{}],"layer":{},"bytes":{},"file":{}}})",
                 index == 0 ? "" : ",", index, json_string(tensor.name), json_string(tensor.dtype),
                 fmt::join(tensor.shape, ","), layer, tensor.bytes(), json_string(file.path));
}

std::string text_or_null(const std::string& text) { return text.empty() ? "null" : json_string(text); }

void add_segment(std::string& header, std::size_t index, const SegmentCheck& check, const std::string& sha256) {
  const TpuSegment& segment = check.segment;
  fmt::format_to(
      std::back_inserter(header),
      R"({}{{"index":{},"file":{},"bytes":{},"sha256":"{}","parameter_bytes":{},"caching_token":{},"device":{}}})",
      index == 0 ? "" : ",", index, json_string(segment.file), check.file_bytes, sha256, check.parameter_bytes,
      text_or_null(segment.caching_token), text_or_null(segment.device));
}

/// Of a segment's content, compared with what is said of it.
std::string checked_sha256(const Installed& model, const TpuSegment& segment) {
  const std::string sha256 = io::to_hex(io::sha256_file(model.folder / segment.file));
  if (!segment.sha256.empty() && sha256 != segment.sha256)
    fail_damaged(model, segment.file, fmt::format("sha256 is {}, {} says {}", sha256, kTpuConfigFile, segment.sha256));
  const ManifestFile* entry = model.manifest.find(segment.file);
  if (entry != nullptr && sha256 != entry->sha256)
    fail_damaged(model, segment.file, fmt::format("sha256 is {}, manifest says {}", sha256, entry->sha256));
  return sha256;
}

}  // namespace

std::uint64_t StreamPlan::stream_bytes() const {
  return bytes + header.size() + end.size() + (frames.size() + 2) * sizeof(FrameBytes);
}

void lay_out(StreamPlan& plan) {
  constexpr std::uint64_t kSector = io::DirectFile::kSector;
  std::map<const CheckedFile*, std::vector<char>> seen;  // chunks that some piece has read whole
  for (const CheckedFile& file : plan.files) seen[&file].resize(file.wanted.size());
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const StreamItem& item = plan.items[i];
    const CheckedFile& file = *item.file;
    plan.bytes += item.end - item.begin;
    if (!file.has_chunks()) plan.unchecked_bytes += item.end - item.begin;
    if (item.begin == item.end) plan.frames.push_back({i});  // every item has a frame
    for (std::uint64_t at = item.begin; at < item.end;) {
      const auto chunk = static_cast<std::size_t>(at / kChunkBytes);
      const std::uint64_t end = std::min(item.end, file.chunk_end(chunk));
      const std::uint64_t sector_end = std::min((end + kSector - 1) / kSector * kSector, file.file.size());
      const bool goes_on = !plan.pieces.empty() && plan.of_piece.back().file == &file &&
                           plan.of_piece.back().chunk == chunk && at >= plan.pieces.back().offset;
      if (goes_on) {
        io::Piece& piece = plan.pieces.back();
        piece.bytes = std::max(piece.bytes, static_cast<std::size_t>(sector_end - piece.offset));
      } else if (file.has_chunks() && seen[&file][chunk] == 0) {
        seen[&file][chunk] = 1;
        const std::uint64_t begin = file.chunk_begin(chunk);
        plan.pieces.push_back({&file.file, begin, static_cast<std::size_t>(file.chunk_end(chunk) - begin)});
        plan.of_piece.push_back({&file, chunk, true});
      } else {
        const std::uint64_t begin = at / kSector * kSector;
        plan.pieces.push_back({&file.file, begin, static_cast<std::size_t>(sector_end - begin)});
        plan.of_piece.push_back({&file, chunk, false});
      }
      plan.frames.push_back({i, plan.pieces.size() - 1, static_cast<std::size_t>(at - plan.pieces.back().offset),
                             static_cast<std::size_t>(end - at), at - item.begin});
      at = end;
    }
  }
  plan.end = fmt::format(R"({{"schema":"reef.stream.end/1","bytes":{},"frames":{}}})", plan.bytes, plan.frames.size());
}

StreamPlan plan_tensors(const Installed& model) {
  StreamPlan plan;
  plan.model = model.manifest.name;
  std::vector<std::string> paths;
  for (const ManifestFile& file : model.manifest.files) paths.push_back(file.path);
  std::vector<WeightFile> weights = read_weights(model.folder, paths);
  const auto tpu = read_tpu_config(model.folder);
  const auto order = layer_order(weights, tpu ? tpu->layer_patterns : std::vector<std::string>{});

  Files files(model);
  for (WeightFile& header : weights) {
    CheckedFile& file = files.open(plan, header.path);
    const std::string& expected = file.expected.header_sha256;
    if (!expected.empty() && sha256_of_start(file.file, header.data_offset) != expected)
      fail_damaged(model, header.path, "its header is not the one that the manifest describes");
    file.weights = std::move(header);
  }
  plan.items.reserve(order.size());
  for (const OrderedTensor& place : order) {
    CheckedFile& file = plan.files[place.file];
    const WeightFile& header = *file.weights;
    const WeightTensor& tensor = header.tensors[place.tensor];
    const std::uint32_t layer =
        place.layer ? static_cast<std::uint32_t>(std::min<std::uint64_t>(place.layer->number, kNoIndex)) : kNoIndex;
    plan.items.push_back({&file, header.data_offset + tensor.begin, header.data_offset + tensor.end, layer});
  }
  lay_out(plan);
  plan.header = begin_header(plan, "tensors");
  for (std::size_t i = 0; i < order.size(); ++i)
    add_tensor(plan.header, i, order[i], *plan.files[order[i].file].weights);
  plan.header += "]}";
  return plan;
}

StreamPlan plan_segments(const Installed& model) {
  const std::string& name = model.manifest.name;
  const auto config = read_tpu_config(model.folder);
  if (!config || config->segments.empty())
    throw Error(Errc::usage,
                fmt::format("{} has no segments: {}", name,
                            config ? fmt::format("{} names none", kTpuConfigFile)
                                   : fmt::format("there is no {} in its folder", kTpuConfigFile)),
                "leave --segments out to stream its tensors");
  StreamPlan plan;
  plan.type = FrameType::segment;
  plan.model = name;
  const auto checks = check_segments(model.folder, *config);
  for (const SegmentCheck& check : checks) {
    if (check.fault == SegmentFault::missing)
      fail_damaged(model, check.segment.file, fmt::format("{} names this segment, and it is missing", kTpuConfigFile));
    if (check.fault == SegmentFault::too_large)
      throw Error(Errc::usage,
                  fmt::format("{}: segment {} has {} bytes of parameters, {} has {} bytes of memory for them", name,
                              io::shown(check.segment.file), check.parameter_bytes,
                              check.segment.device.empty() ? "an Edge TPU" : check.segment.device, check.sram_bytes),
                  "compile the model into more segments (edgetpu_compiler --num_segments)");
  }
  Files files(model);
  std::vector<std::string> digests;
  for (const SegmentCheck& check : checks) {
    digests.push_back(checked_sha256(model, check.segment));
    CheckedFile& file = files.open(plan, check.segment.file);
    plan.items.push_back({&file, 0, file.file.size(), kNoIndex});
  }
  lay_out(plan);
  plan.header = begin_header(plan, "segments");
  for (std::size_t i = 0; i < checks.size(); ++i) add_segment(plan.header, i, checks[i], digests[i]);
  plan.header += "]}";
  return plan;
}

}  // namespace reef::model::internal
