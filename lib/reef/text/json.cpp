#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/text/internal/faults.h"
#include "reef/text/internal/record.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/text_reader.h"
#include "reef/text/parse.h"

namespace reef::text {
namespace {

using nlohmann::json;

constexpr std::size_t kDepth = 64;
constexpr std::size_t kKeyBytes = 120;
/// Elements are put together in one block up to here, so that a list of numbers is no list of blocks.
constexpr std::size_t kBlockBytes = 512;
/// Paths repeat keys: a deep file of short values grows, up to this factor of its size.
constexpr std::size_t kGrowth = 4;

/// "servers[2].name: reef", one line a value.
class Flattener {
 public:
  explicit Flattener(std::size_t limit) : limit_(limit) {}

  void element_begins() {
    if (document_.text.size() - start_ >= kBlockBytes) close_block();
  }
  /// False when the text grows over its limit.
  bool value(const std::string& path, std::string_view text) {
    if (!path.empty()) document_.text.append(path).append(": ");
    document_.text.append(text).append("\n");
    return document_.text.size() <= limit_;
  }
  Document take() {
    close_block();
    return std::move(document_);
  }

 private:
  void close_block() {
    if (!internal::is_blank(std::string_view(document_.text).substr(start_))) {
      Block block;
      block.start = start_;
      block.end = document_.text.size() - 1;
      block.verbatim = true;
      document_.blocks.push_back(std::move(block));
      document_.text += '\n';
    }
    start_ = document_.text.size();
  }

  std::size_t limit_;
  Document document_;
  std::size_t start_ = 0;
};

/// One pass without a tree of the file: whether it is one document, an array of them or something
/// else shows at the end of the root object or of the first element of the root array.
class FileEvents {
 public:
  FileEvents(std::size_t size, const DocumentSink& on_document)
      : flattener_(size * kGrowth + (1 << 20)), on_document_(on_document) {}

  bool null() { return scalar("null", Kind::other); }
  bool boolean(bool value) { return scalar(value ? "true" : "false", Kind::other); }
  bool number_integer(json::number_integer_t value) { return scalar(std::to_string(value), Kind::number); }
  bool number_unsigned(json::number_unsigned_t value) { return scalar(std::to_string(value), Kind::number); }
  bool number_float(json::number_float_t, const std::string& text) { return scalar(std::string(text), Kind::number); }
  bool string(std::string& value) { return scalar(std::move(value), Kind::string); }
  bool binary(json::binary_t&) { return true; }
  bool start_object(std::size_t) { return open(false); }
  bool start_array(std::size_t) { return open(true); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (recording_) record_.key(name);
    levels_.back().key = internal::shortened(name, kKeyBytes);
    if (levels_.size() == 1) flattener_.element_begins();
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    fault_ = internal::json_fault(error.what(), position);
    return false;
  }

  /// After the whole file.
  std::vector<Fault> finish() {
    if (mode_ != Mode::documents) {
      Document flat = flattener_.take();
      if (flat.blocks.empty()) throw Error(Errc::failed, "it holds no values");
      on_document_(std::move(flat));
    }
    return faults_.take();
  }

  /// After a file that stops making sense: documents before that place were delivered.
  std::vector<Fault> finish_broken() {
    if (documents_ == 0) throw Error(Errc::failed, fault_);
    faults_.add(0, fault_);
    return faults_.take();
  }

 private:
  enum class Kind { string, number, other };
  enum class Mode { unknown, documents, flat };
  struct Level {
    bool array = false;
    std::uint64_t index = 0;
    std::string key;
  };

  bool stop(std::string reason) {
    fault_ = std::move(reason);
    return false;
  }

  /// Where documents may stand: the root, or the elements of a root array.
  bool at_document() const { return levels_.empty() || (levels_.size() == 1 && levels_[0].array); }

  void value_begins() {
    if (levels_.empty() || !levels_.back().array) return;
    ++levels_.back().index;
    if (levels_.size() == 1) flattener_.element_begins();
  }

  bool open(bool array) {
    if (levels_.size() >= kDepth) return stop(fmt::format("nested deeper than {} levels", kDepth));
    value_begins();
    if (!recording_ && !array && at_document() && mode_ != Mode::flat) {
      record_ = {};
      recording_ = true;
    }
    if (recording_) record_.open();
    Level level;
    level.array = array;
    levels_.push_back(std::move(level));
    return true;
  }

  bool close() {
    levels_.pop_back();
    if (recording_) {
      record_.close();
      if (record_.finished()) {
        recording_ = false;
        element_ends(record_.take());
      }
    } else if (levels_.size() == 1) {
      element_ends({std::nullopt, "it is no object"});
    }
    return true;
  }

  bool scalar(std::string&& value, Kind kind) {
    value_begins();
    bool fits = true;
    if (mode_ != Mode::documents) {
      std::string path;
      for (const Level& level : levels_) {
        if (level.array) {
          path += fmt::format("[{}]", level.index - 1);
        } else {
          path.append(path.empty() ? "" : ".").append(level.key);
        }
      }
      fits = flattener_.value(path, value);
    }
    if (recording_ && kind != Kind::other) record_.scalar(std::move(value), kind == Kind::string);
    if (levels_.size() == 1) element_ends({std::nullopt, "it is no object"});
    return fits || stop("its values grow too large when every path is written out");
  }

  /// The end of the root object or of an element of a root array.
  void element_ends(std::pair<std::optional<Document>, std::string>&& result) {
    auto& [document, reason] = result;
    const bool element = levels_.size() == 1;
    if (element && !levels_[0].array) return;
    if (mode_ == Mode::unknown) mode_ = document ? Mode::documents : Mode::flat;
    if (mode_ == Mode::flat) return;
    const std::uint64_t index = element ? levels_[0].index - 1 : 0;
    if (!document) return faults_.add(0, fmt::format("element {}: {}", index, reason));
    if (element) {
      document->id_is_place = document->id.empty();
      if (document->id_is_place) document->id = fmt::format("item-{}", index);
      if (const auto first = seen_.find_or_add(document->id, index + 1)) {
        return faults_.add(0,
                           fmt::format("element {}: id '{}' stands in element {} already, which is kept", index,
                                       internal::shortened(document->id, 80), *first - 1),
                           false);
      }
    }
    ++documents_;
    on_document_(std::move(*document));
  }

  Flattener flattener_;
  const DocumentSink& on_document_;
  std::vector<Level> levels_;
  internal::RecordBuilder record_;
  bool recording_ = false;
  Mode mode_ = Mode::unknown;
  internal::SeenIds seen_;
  internal::FaultList faults_;
  std::string fault_;
  std::uint64_t documents_ = 0;
};

}  // namespace

std::vector<Fault> parse_json(std::string_view bytes, const DocumentSink& on_document) {
  const std::string text = internal::decode_whole(bytes);
  FileEvents events(text.size(), on_document);
  const bool whole = json::sax_parse(text.data(), text.data() + text.size(), &events);
  return whole ? events.finish() : events.finish_broken();
}

}  // namespace reef::text
