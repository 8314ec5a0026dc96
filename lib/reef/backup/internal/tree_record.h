#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {

/// An entry of a snapshot of plain files, with what its file must hold. Hard links have the digest of their file.
struct TreeRecord {
  Entry entry;
  io::Sha256Digest digest{};
  Counts counts;
};

/// The entries of a snapshot as text that mtree(5) describes, so that `mtree -f tree.mtree -p FOLDER` and bsdtar(1)
/// understand it: modes and owners can be put back onto files that went through a filesystem without them.
///
/// The first line is "#mtree", the last one "# reef: N entries"; between them a line for each entry, in the order in
/// which they were put:
///   ./PATH type=file mode=0640 uid=0 gid=0 time=1764475200.000000000 size=5 sha256digest=HEX
/// and, for what mtree has no word for, a comment line after it with some of
///   #  state=TEXT same=PATH led=TARGET rows=TABLE:N,TABLE:N
/// where "same" is Entry::same_file_as, and "led" the link_target of a folder.
/// In paths, link targets, states and names of tables all bytes but letters, digits and -._/+@ are \ooo, in octal.
/// The file's checksum stands in SHA256SUMS and in snapshot.json.
std::string to_mtree(const std::vector<TreeRecord>& records);
/// Throws Error{corrupt} naming `shown` and the line.
std::vector<TreeRecord> from_mtree(std::string_view text, const std::string& shown);

/// \ooo for all but the harmless bytes, and back. Throws std::invalid_argument.
std::string escaped(std::string_view bytes);
std::string unescaped(std::string_view text);

/// Lines that `sha256sum -c` reads, in the form that coreutils gives names with newlines, carriage returns and
/// backslashes.
void add_sum(std::string& sums, const io::Sha256Digest& digest, std::string_view name);

}  // namespace reef::backup::internal
