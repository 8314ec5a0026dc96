#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/io/http.h"

namespace reef::io {

struct DownloadOptions {
  std::string url{};
  std::filesystem::path file{};          ///< what is there of it stays, if the server still has the same file
  std::optional<std::uint64_t> bytes{};  ///< what it must have
  std::uint64_t max_bytes = 0;           ///< where that is not known: what it may have
  std::optional<SigV4> sigv4{};
  bool may_be_absent = false;  ///< 403, too, then says that it is: stores that let nobody list them answer so
  std::string on_refused{};    ///< the hint for status 401 and 403: which key to check
};

struct Downloaded {
  bool is_there = true;  ///< false: the server has no such file (404, 410), and neither has this machine
  std::uint64_t bytes_earlier = 0;
  std::uint64_t bytes_received = 0;
};

/// From which byte a file goes on that has `present` bytes here: those that are of no known version, or too many, do
/// not count. nullopt: it has what it must have.
std::optional<std::uint64_t> resume_at(std::uint64_t present, bool has_etag, std::optional<std::uint64_t> wanted);

/// Brings a file in as many attempts as it takes: faults of the connection, stalls, 429 and 5xx are met with another
/// one after a pause, up to five without progress, each going on where the file ends. A file that changed on the server
/// meanwhile is begun anew, so that no two versions are mixed.
///
/// Progress is told of every byte that the file has, those of earlier runs included. Throws Error{failed} saying why
/// and how far it came, Error{corrupt} when the server's file has another size, Error{usage}, Error{interrupted}; what
/// came stays for the next run. The file is not synced.
Downloaded download(const HttpHelper& http, const DownloadOptions& options, Progress& progress);

}  // namespace reef::io
