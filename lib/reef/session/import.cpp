#include "reef/session/import.h"

#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/session/internal/family.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/ordinals.h"
#include "reef/session/internal/readers.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;
using internal::Conversation;
using internal::Input;

constexpr std::size_t kBatchMessages = 2048;
constexpr std::size_t kBatchBytes = 4 << 20;
constexpr std::size_t kSessionsRemembered = 65'536;
constexpr std::size_t kFaultsNamed = 1000;

class Importer {
 public:
  Importer(Store& store, const ImportOptions& options, Progress& progress)
      : store_(store), options_(options), progress_(progress) {
    report_.persona = options.persona;
  }

  void run(const std::string& file) {
    Input input(file);
    input_ = &input;
    times_.clear();
    has_forgotten_ = false;
    ordinals_ = {};
    array_ = 0;
    try {
      read(file, input);
    } catch (...) {
      keep();
      throw;
    }
  }

  ImportReport take_report() {
    if (unnamed_ > 0) tell({"", 0, fmt::format("{} more could not be taken in", unnamed_), ""});
    return std::move(report_);
  }

 private:
  void read(const std::string& file, Input& input) {
    input.on_pause([this] { flush(); });
    input.require_text();
    internal::Reader reader(options_.format, file == "-" ? "" : to_valid_utf8(fs::path(file).stem().string()));
    progress_.begin("reading " + input.name(), input.size(), ProgressUnit::bytes);
    std::uint64_t told = 0;
    const bool is_document = internal::is_document(options_.format, input);
    while (const auto piece = is_document ? input.next_value() : input.next_line()) {
      if (reader.has_list_before(piece->array)) take(reader.end_array(), list_line_);
      take(reader, *piece);
      if (batch_.size() < kBatchMessages && batch_bytes_ < kBatchBytes) continue;
      flush();
      check_interrupt();
      progress_.advance(input.bytes_read() - told);
      told = input.bytes_read();
    }
    take(reader.end(), list_line_);
    flush();
    store_.end_source(report_.counts);
    progress_.end();
  }

  /// What was read before the run is ended by an error, which is what is told. A second signal stops this, too.
  void keep() {
    const auto signal = pending_signal;
    pending_signal = 0;
    try {
      flush();
      store_.end_source(report_.counts);
    } catch (const std::exception&) {
    }
    if (pending_signal == 0) pending_signal = signal;
  }

  void take(internal::Reader& reader, const Input::Piece& piece) {
    if (piece.too_long) return add_fault(piece.line, fmt::format("longer than {} MiB", Input::kLongest >> 20));
    if (piece.is_cut) return add_fault(piece.line, "cut off: the file ends in the middle of what begins here");
    if (piece.bytes.find_first_not_of(" \t\r") == std::string_view::npos) return;
    std::string repaired;
    std::string_view bytes = piece.bytes;
    if (!is_valid_utf8(bytes)) bytes = repaired = to_valid_utf8(bytes);
    if (piece.array != array_) array_ = piece.array, list_line_ = piece.line;
    take(reader.read(bytes, piece.array), piece.line);
  }

  void take(Conversation&& read, std::uint64_t line) {
    for (const std::string& fault : read.faults) add_fault(line, fault);
    if (!read.family.empty()) {
      flush();
      read.family = options_.prefix + read.family;
    }
    for (NewMessage& message : read.messages) message.session = options_.prefix + message.session;
    if (!read.family.empty()) internal::keep_places(store_.database(), read);
    for (NewMessage& message : read.messages) add(std::move(message), line);
  }

  void add(NewMessage&& message, std::uint64_t line) {
    const bool has_id = !message.external_id.empty();
    message.has_own_time = !message.created.empty();
    if (!has_id) message.external_id = ordinals_.digest_of(message);
    complete_time(message);
    ++report_.messages;
    batch_bytes_ += message.content.size() + message.metadata.size();
    batch_.push_back(std::move(message));
    lines_.push_back(line);
  }

  /// A message without a time has that of the one before it in its session.
  void complete_time(NewMessage& message) {
    if (times_.size() >= kSessionsRemembered && !times_.contains(message.session)) {
      times_.clear();
      has_forgotten_ = true;
    }
    std::string& last = times_[message.session];
    if (message.created.empty()) message.created = !last.empty() ? last : time_before(message.session);
    last = message.created;
  }

  std::string time_before(const std::string& session) {
    if (has_forgotten_) {
      auto last =
          store_.database().prepare("SELECT created_at FROM messages WHERE session_id = ? ORDER BY id DESC LIMIT 1");
      last.bind(1, session);
      if (last.step()) return std::string(last.text(0));
    }
    return input_->time();
  }

  void flush() {
    if (batch_.empty()) return;
    for (const Refusal& refusal : store_.put(options_.persona, batch_, report_.counts)) {
      ++report_.skipped;
      // A session of somebody else is named once, not with each of its messages.
      if (refused_.size() < kFaultsNamed && refused_.insert(refusal.reason).second)
        name_fault(lines_[refusal.index], refusal.reason, refusal.hint);
    }
    batch_.clear();
    lines_.clear();
    batch_bytes_ = 0;
  }

  void add_fault(std::uint64_t line, const std::string& reason) {
    ++report_.skipped;
    name_fault(line, reason, "");
  }

  void name_fault(std::uint64_t line, const std::string& reason, std::string hint) {
    if (report_.faults.size() < kFaultsNamed)
      tell({input_->name(), line, printable(reason), std::move(hint)});
    else
      ++unnamed_;
  }

  void tell(ImportFault fault) {
    if (options_.on_fault) options_.on_fault(fault);
    report_.faults.push_back(std::move(fault));
  }

  Store& store_;
  const ImportOptions& options_;
  Progress& progress_;
  ImportReport report_;
  const Input* input_ = nullptr;
  std::vector<NewMessage> batch_;
  std::vector<std::uint64_t> lines_;  ///< of the batch
  std::size_t batch_bytes_ = 0;
  std::unordered_map<std::string, std::string> times_;  ///< of the last message of each session in this file
  bool has_forgotten_ = false;
  internal::Ordinals ordinals_;
  std::set<std::string> refused_;
  std::uint64_t unnamed_ = 0;
  std::uint64_t array_ = 0, list_line_ = 0;  ///< the array that is read, and where it begins
};

}  // namespace

ImportReport import_conversations(const tree::Tree& tree, const ImportOptions& options, Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  // Before anything is written: a name that is misspelt must not leave half of an import behind.
  for (const std::string& file : options.files) {
    if (file == "-") continue;
    if (::access(file.c_str(), R_OK) != 0) throw_errno("open", io::shown(file));
    if (fs::is_directory(file))
      throw Error(Errc::usage, fmt::format("{} is a folder", io::shown(file)), "name the files in it");
    if (fs::is_regular_file(file)) Input(file).require_text();
  }
  Store store(tree);
  Importer importer(store, options, progress);
  for (const std::string& file : options.files) importer.run(file);
  ImportReport report = importer.take_report();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace reef::session
