#include "reef/session/internal/ordinals.h"

#include <charconv>

namespace reef::session::internal {
namespace {

constexpr std::size_t kFirstSlots = 1024;

std::uint64_t mark_of(const std::string& digest) {
  std::uint64_t mark = 0;
  std::from_chars(digest.data(), digest.data() + 16, mark, 16);
  return mark | 1;  // never that of a free slot
}

}  // namespace

std::string Ordinals::digest_of(std::string_view session, std::string_view role, std::string_view created,
                                std::string_view content) {
  std::string digest = message_digest(session, role, created, content, 0);
  const std::uint64_t mark = mark_of(digest);
  if (insert(mark)) return digest;
  return message_digest(session, role, created, content, ++again_[mark]);
}

bool Ordinals::insert(std::uint64_t mark) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  std::size_t at = mark >> 8 & (slots_.size() - 1);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1))
    if (slots_[at] == mark) return false;
  slots_[at] = mark;
  ++used_;
  return true;
}

void Ordinals::grow() {
  std::vector<std::uint64_t> before(std::max(kFirstSlots, 2 * slots_.size()), 0);
  before.swap(slots_);
  used_ = 0;
  for (const std::uint64_t mark : before)
    if (mark != 0) insert(mark);
}

}  // namespace reef::session::internal
