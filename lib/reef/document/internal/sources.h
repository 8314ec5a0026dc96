#pragma once

#include <sys/stat.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/document/internal/file_list.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/document/stores.h"
#include "reef/text/extract.h"

namespace reef::document::internal {

/// A fault of one input file, after which the run goes on with the next; every other Error (a full
/// disk, a damaged store) ends it.
class InputError : public Error {
 public:
  explicit InputError(const Error& error) : Error(error.code(), error.what(), error.hint()) {}
};

/// Runs `read`, whose errors are faults of the input.
template <typename Read>
auto reading_input(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    throw InputError(error);
  }
}

/// What a file system tells about a file without reading it.
struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
FileStamp stamp_of(const std::filesystem::path& file);
void set_stamp(Source& source, const FileStamp& stamp);

/// Whether the file surely still is what `source` recorded. Never true for a file that was written
/// within two seconds of being recorded: a second write in the same clock tick would go unseen.
bool is_untouched(const Source& source, const FileStamp& stamp);

/// Throws InputError for a file over the limit whose text is to get vectors.
void require_fits(const InputFile& file, const FileStamp& stamp, const text::ExtractOptions& limits, bool text_only);

/// Whether the last run took the file in, in the way that this one asks for, and left nothing of it to try again:
/// lines that could not be read, ids that another file held, a pipe, which a later one may have replaced.
bool is_settled(const Source& source, bool text_only, const std::vector<std::string>& tags);
/// Throws InputError for a binary file of no known kind.
text::Format require_format(const InputFile& file, const text::ExtractOptions& options);

bool is_below(const std::string& path, const std::vector<std::string>& folders);
/// For --prune. Throws Error{failed} for a folder without a file, of which `sources` know files: a drive that is not
/// mounted must not empty the store.
void require_folders_there(const std::vector<Source>& sources, const InputFiles& input);

/// ".md" of a file's name, lower case; empty when it has none that is plain.
std::string plain_extension(const std::filesystem::path& file);
std::string replaced(std::string text, const std::string& from, const std::string& to);
/// The faults of a file as the registry keeps them; long lists are cut and counted.
std::string joined_reasons(const std::vector<text::Fault>& faults);
bool file_exists(const std::filesystem::path& file);
/// For --prune: surely no file any more, maybe a folder of that name.
bool is_gone(const std::filesystem::path& file);
/// Removes an original and its text unless a source still needs them; nothing for an empty digest.
void drop_original(Registry& registry, Originals& originals, const std::string& sha256, const std::string& extension);
/// Whether documents of that source came with vectors made elsewhere (kGivenSource).
bool is_given(std::string_view source);
std::string given_source(const std::filesystem::path& texts);
/// Whether a source still gives the documents that it once gave: its file is there. Vectors made elsewhere stay until
/// they are removed.
bool is_alive(Registry& registry, const tree::Scope& scope, const std::string& path);

/// Removes a source with all its documents, its original and its text, so that a run that is
/// killed in the middle is finished by the next. Returns the ids of the documents.
std::vector<std::string> remove_source(Stores& store, Registry& registry, Originals& originals, Source& source);

/// At the end of a run that changed the store; true when there is a new index. What fails is said.
bool rebuild_if_due(Stores& stores, unsigned threads, Progress& progress);
/// An index as `state` says that there is one: of its factory, for its recall. False where it cannot be made, which is
/// said, with what there is `instead`: what the run was for is done, and an index only speeds searches up.
bool try_rebuild_like(Store& store, const vector::StoreState& state, unsigned threads, Progress& progress,
                      const std::string& name, const char* instead);

/// What ingest would do, from names and digests alone.
IngestReport plan_ingest(const tree::Tree& tree, const IngestOptions& options);

/// stdin in a temporary file. Each piped content is a source of its own, "stdin:<digest>", so that
/// a second pipe never removes what the first one brought.
class PipedInput {
 public:
  explicit PipedInput(std::filesystem::path folder) : folder_(std::move(folder)) {}
  PipedInput(const PipedInput&) = delete;
  PipedInput& operator=(const PipedInput&) = delete;
  ~PipedInput();
  InputFile read();

 private:
  std::filesystem::path folder_;
  std::filesystem::path file_;
};

}  // namespace reef::document::internal
